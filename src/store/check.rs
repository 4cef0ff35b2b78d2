//! What is wrong with a database, in sentences that say what to do.

use std::collections::BTreeMap;

use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::partitions::PARTITIONED;
use super::schema::{MIGRATIONS, changed, newer};
use super::{Store, StoreError};

/// The oldest server that understands our SQL.
const OLDEST: i32 = 140_000;

/// What each table must allow us.
const RIGHTS: [(&str, &[&str]); 32] = [
    ("models", &["SELECT", "INSERT", "UPDATE"]),
    ("partition_epochs", &["SELECT", "INSERT", "UPDATE"]),
    ("predictions", &["SELECT", "INSERT", "DELETE"]),
    ("dead_letters", &["SELECT", "INSERT", "DELETE"]),
    (
        "sentiment_minute",
        &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ),
    ("leases", &["SELECT", "INSERT", "UPDATE"]),
    ("drift_panes", &["SELECT", "INSERT", "DELETE"]),
    ("drift_positions", &["SELECT", "INSERT", "UPDATE"]),
    ("drift_baselines", &["SELECT", "INSERT", "UPDATE"]),
    ("drift_held", &["SELECT", "INSERT", "DELETE"]),
    ("drift_state", &["SELECT", "INSERT", "UPDATE"]),
    ("drift_windows", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("drift_reports", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("labels", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    (
        "labelled_messages",
        &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ),
    ("rejected_labels", &["SELECT", "INSERT", "DELETE"]),
    (
        "annotation_queue",
        &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ),
    ("annotation_pace", &["SELECT", "INSERT", "UPDATE"]),
    ("alert_series", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("alert_cells", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("alerts", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("notices", &["SELECT", "INSERT", "DELETE"]),
    ("deliveries", &["SELECT", "INSERT", "UPDATE"]),
    ("model_aliases", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("deployments", &["SELECT", "INSERT"]),
    ("serving", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("training_runs", &["SELECT", "INSERT", "UPDATE"]),
    ("rollouts", &["SELECT", "INSERT", "UPDATE"]),
    ("rollout_steps", &["SELECT", "INSERT"]),
    ("shadow_predictions", &["SELECT", "INSERT", "DELETE"]),
    ("training_requests", &["SELECT", "INSERT", "UPDATE"]),
    ("training_decisions", &["SELECT", "INSERT", "UPDATE"]),
];

/// What [`Store::check`] has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// What keeps the service from working.
    pub faults: Vec<String>,
    /// What it works with, at a risk.
    pub warnings: Vec<String>,
}

impl Store {
    /// Looks for whatever would keep the service from writing to this database. Changes nothing.
    ///
    /// # Errors
    ///
    /// The database does not answer, or refuses even the questions.
    pub async fn check(&self) -> Result<Findings, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut found = Findings::default();
        server(&mut connection, &mut found).await?;
        let fault = schema(&mut connection).await?;
        let usable = fault.is_none();
        found.faults.extend(fault);
        if usable {
            rights(&mut connection, &mut found).await?;
        }
        Ok(found)
    }

    /// Makes sure that the schema is the one of this version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] where it is not; or the database does not answer.
    pub async fn require_schema(&self) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        match schema(&mut connection).await? {
            Some(fault) => Err(StoreError::schema(fault)),
            None => Ok(()),
        }
    }
}

async fn server(connection: &mut PgConnection, found: &mut Findings) -> Result<(), StoreError> {
    let server = sqlx::query!(
        r#"SELECT current_setting('server_version_num')::integer AS "number!", current_setting('server_version') AS "version!",
                  current_setting('server_encoding') AS "encoding!", pg_is_in_recovery() AS "standby!",
                  current_setting('default_transaction_read_only') = 'on' AS "read_only!",
                  current_setting('fsync') = 'off' AS "forgetful!""#
    )
    .fetch_one(connection)
    .await?;
    let faults = &mut found.faults;
    if server.number < OLDEST {
        faults.push(format!(
            "the server is Postgres {}, which is too old: use version {} or newer",
            server.version,
            OLDEST / 10_000
        ));
    }
    if server.encoding != "UTF8" {
        faults.push(format!(
            "the database's encoding is {}, which cannot hold every text: create one with ENCODING 'UTF8'",
            server.encoding
        ));
    }
    if server.standby {
        faults.push(
            "the server is a standby, which cannot be written to: name the primary in [postgres] url, or add \
             target hosts that lead to it"
                .to_owned(),
        );
    } else if server.read_only {
        faults.push(
            "transactions are read-only by default (default_transaction_read_only): turn it off for this role and database"
                .to_owned(),
        );
    }
    if server.forgetful {
        found.warnings.push(
            "fsync is off: when the server's machine crashes, rows may be lost of which Kafka holds the offsets; turn it on \
             wherever the data matters"
                .to_owned(),
        );
    }
    Ok(())
}

/// A migration that was applied to the database. The table is sqlx's own.
#[derive(Debug, FromRow)]
struct Applied {
    version: i64,
    checksum: Vec<u8>,
    success: bool,
}

/// The first thing wrong with the schema, if any.
async fn schema(connection: &mut PgConnection) -> Result<Option<String>, StoreError> {
    let exists = sqlx::query_scalar!(
        r#"SELECT to_regclass($1) IS NOT NULL AS "exists!""#,
        &*MIGRATIONS.table_name
    )
    .fetch_one(&mut *connection)
    .await?;
    if !exists {
        return Ok(Some(
            "the database has no schema yet: run `tidewatch migrate`".to_owned(),
        ));
    }
    let applied: Vec<Applied> =
        sqlx::query_as("SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version")
            .fetch_all(connection)
            .await?;
    let known: BTreeMap<i64, &[u8]> = MIGRATIONS
        .iter()
        .map(|migration| (migration.version, &*migration.checksum))
        .collect();
    for migration in &applied {
        let Some(checksum) = known.get(&migration.version) else {
            return Ok(Some(newer(migration.version).to_string()));
        };
        if *checksum != migration.checksum {
            return Ok(Some(changed(migration.version).to_string()));
        }
        if !migration.success {
            return Ok(Some(format!(
                "migration {} was left half done: use an empty database, or restore a backup",
                migration.version
            )));
        }
    }
    let wanted = known.keys().find(|version| {
        !applied
            .iter()
            .any(|migration| migration.version == **version)
    });
    Ok(wanted.map(|version| {
        format!("the database's schema is older than this version (migration {version} is missing): run `tidewatch migrate`")
    }))
}

async fn rights(connection: &mut PgConnection, found: &mut Findings) -> Result<(), StoreError> {
    let role = sqlx::query_scalar!(r#"SELECT current_user::text AS "role!""#)
        .fetch_one(&mut *connection)
        .await?;
    for (table, wanted) in RIGHTS {
        let mut lacking = Vec::new();
        for &right in wanted {
            let granted = sqlx::query_scalar!(
                r#"SELECT coalesce(has_table_privilege(to_regclass($1), $2), false) AS "granted!""#,
                table,
                right
            )
            .fetch_one(&mut *connection)
            .await?;
            if !granted {
                lacking.push(right);
            }
        }
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            found.faults.push(format!(
                "the role {role} lacks rights on {table}: GRANT {lacking} ON {table} TO {role}"
            ));
        }
    }
    for table in PARTITIONED {
        let owner = sqlx::query!(
            r#"SELECT pg_get_userbyid(relowner)::text AS "name!", pg_has_role(relowner, 'USAGE') AS "ours!",
                      has_schema_privilege(relnamespace, 'CREATE') AS "room!", relnamespace::regnamespace::text AS "schema!"
                 FROM pg_class WHERE oid = to_regclass($1)"#,
            table
        )
        .fetch_optional(&mut *connection)
        .await?;
        let Some(owner) = owner else { continue };
        if !owner.ours {
            found.faults.push(format!(
                "the role {role} does not own {table}, so it cannot make its daily partitions: GRANT {} TO {role}",
                owner.name
            ));
        }
        if !owner.room {
            found.faults.push(format!(
                "the role {role} cannot make partitions of {table}: GRANT CREATE ON SCHEMA {} TO {role}",
                owner.schema
            ));
        }
    }
    Ok(())
}
