//! Leases: duties that one instance has for all.

use std::time::Duration;

use sqlx::PgConnection;

use super::{Store, StoreError, clean};

/// A duty that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub duty: String,
    /// Rises whenever the duty passes to another: the fencing token.
    pub token: i64,
}

impl Store {
    /// Takes a duty that nobody has, or keeps one that `holder` has, for the time `lasts`; `None` where another has it.
    ///
    /// `holder` must be unique to the process, not only to the instance.
    ///
    /// # Errors
    ///
    /// The database does not answer; asking again is safe.
    pub async fn lease(
        &self,
        duty: &str,
        holder: &str,
        lasts: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let token = sqlx::query_scalar!(
            "INSERT INTO leases AS held (duty, holder, token, expires_at)
             VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
             ON CONFLICT (duty) DO UPDATE
                SET holder = excluded.holder, expires_at = excluded.expires_at,
                    token = held.token + CASE WHEN held.holder = excluded.holder THEN 0 ELSE 1 END
              WHERE held.holder = excluded.holder OR held.expires_at < clock_timestamp()
             RETURNING token",
            duty,
            &*clean::name(holder),
            lasts.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(token.map(|token| Lease {
            duty: duty.to_owned(),
            token,
        }))
    }

    /// Gives a duty back, so that another need not wait for its end.
    ///
    /// # Errors
    ///
    /// The database does not answer; then the duty ends by itself.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE leases SET expires_at = '-infinity' WHERE duty = $1 AND token = $2",
            lease.duty,
            lease.token,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// Whether the lease is still its holder's; if so, nobody takes it before the transaction has ended.
pub(super) async fn hold(connection: &mut PgConnection, lease: &Lease) -> Result<bool, StoreError> {
    let token = sqlx::query_scalar!(
        "SELECT token FROM leases WHERE duty = $1 FOR UPDATE",
        lease.duty
    )
    .fetch_optional(connection)
    .await?;
    Ok(token == Some(lease.token))
}
