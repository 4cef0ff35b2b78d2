//! Notices: who is told what, and whether it has arrived.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{Lease, Store, StoreError, clean, leases};

/// Something that somebody is told of.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptNotice {
    /// Unique, and the same when the step that made it is repeated.
    pub id: String,
    /// `alert`, `drift` or `model`.
    pub kind: &'static str,
    /// What it tells of: notices about the same reach a receiver in their order.
    pub about: String,
    pub body: Value,
    pub receivers: Vec<String>,
}

/// A notice that is due for a receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub number: i64,
    pub id: String,
    pub kind: String,
    pub about: String,
    pub body: Value,
    pub recorded_at: DateTime<Utc>,
    /// Attempts so far.
    pub attempts: i32,
}

/// What has become of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Delivered,
    /// It will be tried again after this time.
    Again(Duration, String),
    /// It may have arrived.
    InDoubt(String),
    GivenUp(String),
}

/// Writes notices and whom they are for, in the transaction of what they tell of.
pub(super) async fn write(
    connection: &mut PgConnection,
    notices: &[KeptNotice],
) -> Result<(), StoreError> {
    for notice in notices {
        let receivers: Vec<&str> = notice.receivers.iter().map(String::as_str).collect();
        sqlx::query!(
            "WITH made AS (
                INSERT INTO notices (id, kind, about, body) VALUES ($1, $2, $3, $4)
                ON CONFLICT (id) DO NOTHING RETURNING number)
             INSERT INTO deliveries (notice, receiver) SELECT number, receiver FROM made, unnest($5::text[]) AS receiver",
            notice.id,
            notice.kind,
            notice.about,
            notice.body,
            receivers as _,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

impl Store {
    /// Writes notices that are not there yet, with whom they are for.
    ///
    /// # Errors
    ///
    /// The database does not answer; saying it again is safe.
    pub async fn put_notices(&self, notices: &[KeptNotice]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        write(&mut transaction, notices).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The notices that are due for a receiver, the earliest first, at most `limit`; none whose forerunner about the same
    /// has not ended. An update of an alert that somebody has acknowledged is not among them: see [`Store::spare`].
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn due(&self, receiver: &str, limit: u32) -> Result<Vec<Due>, StoreError> {
        Ok(sqlx::query_as!(
            Due,
            "SELECT n.number, n.id, n.kind, n.about, n.body, n.recorded_at, d.attempts
               FROM deliveries d JOIN notices n ON n.number = d.notice
              WHERE d.receiver = $1 AND d.ended_at IS NULL AND d.state = 'waiting' AND d.due_at <= now()
                AND NOT EXISTS (SELECT FROM deliveries earlier JOIN notices e ON e.number = earlier.notice
                                 WHERE earlier.receiver = d.receiver AND earlier.ended_at IS NULL
                                   AND earlier.notice < d.notice AND e.about = n.about)
              ORDER BY d.notice LIMIT $2",
            receiver,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Ends the deliveries of updates on alerts that somebody has acknowledged.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn spare(&self, receiver: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE deliveries d SET state = 'spared', ended_at = now()
               FROM notices n JOIN alerts a ON a.id = n.about
              WHERE n.number = d.notice AND d.receiver = $1 AND d.ended_at IS NULL AND d.state = 'waiting'
                AND n.kind = 'alert' AND n.body ->> 'status' = 'updated' AND a.acknowledged_at IS NOT NULL",
            receiver,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that a notice is about to be sent; `false` where the lease has gone, or another has sent it.
    ///
    /// # Errors
    ///
    /// The database does not answer; whether it was noted is then to be found out.
    pub async fn begin_delivery(
        &self,
        lease: &Lease,
        receiver: &str,
        notice: i64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !leases::hold(&mut transaction, lease).await? {
            return Ok(false);
        }
        let done = sqlx::query!(
            "UPDATE deliveries SET state = 'sending', attempts = attempts + 1
              WHERE receiver = $1 AND notice = $2 AND state = 'waiting'",
            receiver,
            notice,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Notes what has become of the attempt of this number. Whoever was overtaken meanwhile changes nothing, but that what was
    /// taken to be in doubt has arrived.
    ///
    /// # Errors
    ///
    /// The database does not answer; asking again is safe.
    pub async fn end_delivery(
        &self,
        receiver: &str,
        notice: i64,
        attempt: i32,
        ending: &Ending,
    ) -> Result<(), StoreError> {
        let (state, fault, pause) = match ending {
            Ending::Delivered => ("delivered", None, None),
            Ending::Again(pause, fault) => ("waiting", Some(fault), Some(pause.as_secs_f64())),
            Ending::InDoubt(fault) => ("in_doubt", Some(fault), None),
            Ending::GivenUp(fault) => ("given_up", Some(fault), None),
        };
        sqlx::query!(
            "UPDATE deliveries
                SET state = $3, fault = $4, ended_at = CASE WHEN $5::double precision IS NULL THEN now() END,
                    due_at = now() + make_interval(secs => coalesce($5, 0))
              WHERE receiver = $1 AND notice = $2 AND attempts = $6
                AND (state = 'sending' OR state = 'in_doubt' AND $3 = 'delivered')",
            receiver,
            notice,
            state,
            fault.map(|fault| clean::name(fault).into_owned()),
            pause,
            attempt,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The number of the last notice; 0 where there is none.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn last_notice(&self) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar!(r#"SELECT coalesce(max(number), 0) AS "number!" FROM notices"#)
                .fetch_one(&self.pool)
                .await?,
        )
    }

    /// Notices with a number above `number`, in their order, at most `limit`.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn notices_after(&self, number: i64, limit: u32) -> Result<Vec<Due>, StoreError> {
        Ok(sqlx::query_as!(
            Due,
            r#"SELECT number, id, kind, about, body, recorded_at, 0 AS "attempts!"
                 FROM notices WHERE number > $1 ORDER BY number LIMIT $2"#,
            number,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// What an earlier holder of the lease has begun and not ended: it may have arrived.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn unended(&self, receiver: &str) -> Result<Vec<Due>, StoreError> {
        Ok(sqlx::query_as!(
            Due,
            "SELECT n.number, n.id, n.kind, n.about, n.body, n.recorded_at, d.attempts
               FROM deliveries d JOIN notices n ON n.number = d.notice
              WHERE d.receiver = $1 AND d.state = 'sending' ORDER BY d.notice",
            receiver,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// The last notice for a receiver about each thing that is not over, whatever has become of it.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn told_and_open(&self, receiver: &str) -> Result<Vec<Due>, StoreError> {
        Ok(sqlx::query_as!(
            Due,
            r#"SELECT number AS "number!", id AS "id!", kind AS "kind!", about AS "about!", body AS "body!",
                      recorded_at AS "recorded_at!", attempts AS "attempts!"
                 FROM (SELECT DISTINCT ON (n.about) n.number, n.id, n.kind, n.about, n.body, n.recorded_at, d.attempts
                         FROM deliveries d JOIN notices n ON n.number = d.notice
                        WHERE d.receiver = $1
                        ORDER BY n.about, n.number DESC) AS latest
                WHERE coalesce(body ->> 'status', body ->> 'change') <> 'resolved' ORDER BY number"#,
            receiver,
        )
        .fetch_all(&self.pool)
        .await?)
    }
}
