//! Removing bundles: what nothing refers to, and keeping that apart from imports.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::deployments::{Change, begin, note};
use super::{Store, StoreError};

/// The key of the advisory lock between imports and the removal of bundles.
const BUNDLES: i64 = 0x7469_6465_6275_6e64;

/// A bundle that nothing refers to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreferenced {
    pub id: i32,
    pub version: String,
    pub bytes: u64,
}

/// Keeps imports and the removal of bundles apart: it is shared by imports, and whoever removes has it alone. It ends with
/// its connection.
#[derive(Debug)]
pub struct BundleLock {
    connection: PgConnection,
}

impl BundleLock {
    /// Gives it back.
    pub async fn release(self) {
        // Where the server does not answer, the lock ends with the connection.
        let _ = self.connection.close().await;
    }
}

impl Store {
    /// Marks as removed, and returns, the bundles that nothing refers to: none with an alias, none of the `keep` that were
    /// promoted last, none imported within `days` days, none that an instance has had loaded within the last day, none of the rollout
    /// that is under way. With
    /// `look_only` they are returned and stay.
    ///
    /// From then on none of them can be given an alias, so their files may be deleted.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn retire_unreferenced(
        &self,
        keep: u32,
        days: u32,
        look_only: bool,
        change: &Change<'_>,
    ) -> Result<Vec<Unreferenced>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !begin(&mut transaction, change).await? {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            "UPDATE models m SET removed_at = now()
              WHERE imported_at < now() - make_interval(days => $2) AND removed_at IS NULL
                AND NOT EXISTS (SELECT FROM model_aliases a WHERE a.model = m.id)
                AND NOT EXISTS (SELECT FROM serving s WHERE s.model = m.id AND s.heard_at > now() - interval '1 day')
                AND NOT EXISTS (SELECT FROM rollouts r WHERE r.ended IS NULL AND m.id IN (r.champion, r.candidate))
                AND id NOT IN (SELECT model FROM deployments WHERE what IN ('promote', 'rollback')
                                GROUP BY model ORDER BY max(number) DESC LIMIT $1)
             RETURNING id, version, bytes",
            i64::from(keep),
            i32::try_from(days).unwrap_or(i32::MAX),
        )
        .fetch_all(&mut *transaction)
        .await?;
        let mut unreferenced: Vec<Unreferenced> = rows
            .into_iter()
            .map(|row| Unreferenced {
                id: row.id,
                version: row.version,
                bytes: row.bytes.unwrap_or_default().unsigned_abs(),
            })
            .collect();
        unreferenced.sort_by_key(|model| model.id);
        if look_only {
            transaction.rollback().await?;
            return Ok(unreferenced);
        }
        for model in &unreferenced {
            note(&mut transaction, "remove", None, (model.id, None), change).await?;
        }
        transaction.commit().await?;
        Ok(unreferenced)
    }

    /// Takes the lock between imports and the removal of bundles; `None` while another has it in a way that excludes this.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn lock_bundles(&self, alone: bool) -> Result<Option<BundleLock>, StoreError> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let has = sqlx::query_scalar!(
            r#"SELECT CASE WHEN $2 THEN pg_try_advisory_lock($1) ELSE pg_try_advisory_lock_shared($1) END AS "has!""#,
            BUNDLES,
            alone,
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(has.then_some(BundleLock { connection }))
    }
}
