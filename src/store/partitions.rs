//! Making and dropping the daily partitions of `predictions` and `dead_letters`.
//!
//! No step keeps writers waiting for long. A partition is made as a table of its own and then attached, which locks the
//! parent against nothing but other changes of its schema; each wait for a lock is short, and what could not be had is
//! tried again later: until then a day without a partition has its rows in the default one.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{AssertSqlSafe, Executor};

use super::days;
use super::{Store, StoreError};

pub(super) const PARTITIONED: [&str; 2] = ["predictions", "dead_letters"];

/// Of the lock under which the tables are changed ("tidewatc" in ASCII).
///
/// It is the lease of this duty: whoever holds it is its leader. It is held by the transaction that does the work, so
/// it needs no time-out and its fencing token is the transaction itself: a leader that lost it has lost its work too.
const LEASE: i64 = 0x7469_6465_7761_7463;

/// Waiting for a lock stops whoever comes after us, so it is short; moving rows and attaching keep writers to the default
/// partition waiting for less time than those have ([`super::SESSION`]).
const LIMITS: &str = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '10s'";

/// Most rows that move with a day. More would take too long under a lock; a day with more stays where it is, which costs
/// nothing but that its rows go by when they were written.
const MAX_MOVED: i64 = 200_000;

/// What the catalog says of a table's partitions.
#[derive(Debug)]
pub(super) struct Existing {
    /// The schema that the table lies in, quoted.
    schema: String,
    /// The days of the attached partitions.
    pub attached: BTreeSet<NaiveDate>,
    /// The days of tables that have a partition's name and are not attached: somebody has put them aside.
    detached: BTreeSet<NaiveDate>,
}

impl Existing {
    pub(super) fn missing(&self, day: NaiveDate) -> bool {
        !self.attached.contains(&day) && !self.detached.contains(&day)
    }
}

/// Reads the catalog.
pub(super) async fn existing(
    connection: &mut PgConnection,
    table: &str,
) -> Result<Existing, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT quote_ident(schema.nspname) AS "schema!", other.relname::text AS "name!",
                  EXISTS (SELECT FROM pg_inherits
                           WHERE inhrelid = other.oid AND inhparent = parent.oid) AS "attached!"
             FROM pg_class parent
             JOIN pg_namespace schema ON schema.oid = parent.relnamespace
             JOIN pg_class other ON other.relnamespace = parent.relnamespace AND other.relkind IN ('r', 'p')
            WHERE parent.oid = to_regclass($1)"#,
        table,
    )
    .fetch_all(connection)
    .await?;
    let Some(first) = rows.first() else {
        return Err(StoreError::schema(format!(
            "the database has no table {table}: run `tidewatch migrate`"
        )));
    };
    let schema = first.schema.clone();
    let days = |attached| {
        rows.iter()
            .filter(move |row| row.attached == attached)
            .filter_map(|row| days::day(table, &row.name))
            .collect()
    };
    Ok(Existing {
        schema,
        attached: days(true),
        detached: days(false),
    })
}

impl Store {
    /// Makes a day's partition, with the rows of that day that the default partition holds.
    ///
    /// Returns whether there was anything to do when its turn came.
    pub(super) async fn make_partition(
        &self,
        table: &str,
        day: NaiveDate,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.lead().await?;
        let existing = existing(&mut transaction, table).await?;
        if !existing.missing(day) {
            return Ok(false);
        }
        let schema = &existing.schema;
        let name = days::name(table, day);
        let from = days::start(day).to_rfc3339();
        let to = days::start(day + chrono::Days::new(1)).to_rfc3339();
        // All names are our own: a constant, a date, and a schema that the server has quoted.
        let rows = format!(
            "{schema}.{table}_default WHERE kafka_time >= '{from}' AND kafka_time < '{to}'"
        );
        let waiting =
            format!("SELECT count(*) FROM (SELECT FROM {rows} LIMIT {MAX_MOVED} + 1) AS waiting");
        let waiting: i64 = sqlx::query_scalar(AssertSqlSafe(waiting))
            .fetch_one(&mut *transaction)
            .await?;
        if waiting > MAX_MOVED {
            tracing::warn!(
                table,
                day = %day,
                "a day gets no partition of its own: more than {MAX_MOVED} of its rows are in the default partition"
            );
            return Ok(false);
        }
        let statements = format!(
            "CREATE TABLE {schema}.{name} (LIKE {schema}.{table} INCLUDING DEFAULTS INCLUDING STORAGE);
             -- Attaching would take this lock too; taken before the rows are moved, none can slip in between.
             LOCK TABLE {schema}.{table}_default IN ACCESS EXCLUSIVE MODE;
             WITH moved AS (DELETE FROM {rows} RETURNING *)
             INSERT INTO {schema}.{name} SELECT * FROM moved;
             ALTER TABLE {schema}.{table} ATTACH PARTITION {schema}.{name} FOR VALUES FROM ('{from}') TO ('{to}')"
        );
        transaction.execute(AssertSqlSafe(statements)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Drops a day's partition with its rows.
    ///
    /// Returns whether there was anything to do when its turn came.
    pub(super) async fn drop_partition(
        &self,
        table: &str,
        day: NaiveDate,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.lead().await?;
        let existing = existing(&mut transaction, table).await?;
        if !existing.attached.contains(&day) {
            return Ok(false);
        }
        let statement = format!("DROP TABLE {}.{}", existing.schema, days::name(table, day));
        transaction.execute(AssertSqlSafe(statement)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Begins a transaction that holds the lease.
    async fn lead(&self) -> Result<PgTransaction<'static>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        transaction.execute(LIMITS).await?;
        sqlx::query!(r#"SELECT pg_advisory_xact_lock($1) AS "held: ()""#, LEASE)
            .fetch_one(&mut *transaction)
            .await?;
        Ok(transaction)
    }
}
