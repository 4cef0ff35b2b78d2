//! Decisions on trainings: what was asked for, what was decided and why, and what came of it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::leases::{self, Lease};
use super::{Store, StoreError, clean};

/// Somebody wants a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingRequest {
    pub id: i64,
    pub asked: DateTime<Utc>,
    pub by: String,
    pub reason: String,
    /// Neither cool-down nor breaker shall stop it.
    pub forced: bool,
}

/// A decision to be written down.
#[derive(Debug, Clone)]
pub struct NewDecision<'a> {
    /// `launch`, `remedy` or `wait`.
    pub action: &'a str,
    /// Nothing is done about it.
    pub dry_run: bool,
    /// Version of the champion.
    pub champion: &'a str,
    /// What is launched or cured, and why.
    pub cause: Value,
    pub fingerprint: Option<&'a str>,
    /// As records, and as sentences.
    pub reasons: Value,
    pub sentences: Value,
    /// What was known.
    pub situation: Value,
    /// The instance that decides.
    pub by: &'a str,
    /// Requests that it answers.
    pub answers: &'a [i64],
}

/// A decision as it stands in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptDecision {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub action: String,
    pub dry_run: bool,
    pub champion: String,
    pub cause: Value,
    pub fingerprint: Option<String>,
    pub reasons: Value,
    pub sentences: Value,
    pub situation: Value,
    pub by: String,
    /// What came of a launch or a remedy, once that is known.
    pub outcome: Option<String>,
    /// Nothing came of it.
    pub refused: bool,
}

impl Store {
    /// Asks for a training; the number of the request.
    ///
    /// # Errors
    ///
    /// The database does not answer; asking again makes another request.
    pub async fn request_training(
        &self,
        by: &str,
        reason: &str,
        forced: bool,
    ) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!(
            "INSERT INTO training_requests (by_whom, reason, forced) VALUES ($1, $2, $3) RETURNING id",
            &*clean::name(by),
            &*clean::text(reason),
            forced,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// The requests that no decision has answered, the earliest first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn open_requests(&self) -> Result<Vec<TrainingRequest>, StoreError> {
        Ok(sqlx::query_as!(
            TrainingRequest,
            "SELECT id, asked_at AS asked, by_whom AS by, reason, forced FROM training_requests
              WHERE answered_at IS NULL ORDER BY id LIMIT 100"
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Writes a decision down with the requests that it answers, by the duty to decide; its number, and `None` where the duty
    /// has passed to another instance and nothing was written.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn record_decision(
        &self,
        lease: &Lease,
        new: &NewDecision<'_>,
    ) -> Result<Option<i64>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !leases::hold(&mut transaction, lease).await? {
            return Ok(None);
        }
        let id = sqlx::query_scalar!(
            "INSERT INTO training_decisions
                 (action, dry_run, champion, cause, fingerprint, reasons, sentences, situation, by_whom)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
            new.action,
            new.dry_run,
            new.champion,
            clean::json(&new.cause),
            new.fingerprint,
            clean::json(&new.reasons),
            clean::json(&new.sentences),
            clean::json(&new.situation),
            &*clean::name(new.by),
        )
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query!(
            "UPDATE training_requests SET answered_at = now(), decision = $2 WHERE id = ANY($1) AND answered_at IS NULL",
            new.answers,
            id,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// Says what came of a launch or a remedy, or that nothing did; once.
    ///
    /// # Errors
    ///
    /// The database does not answer; saying it again is safe.
    pub async fn settle_decision(
        &self,
        id: i64,
        outcome: &str,
        refused: bool,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE training_decisions SET outcome = $2, refused = $3 WHERE id = $1 AND outcome IS NULL",
            id,
            &*clean::text(outcome),
            refused,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The latest decisions, the latest first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn decisions(&self, limit: u32) -> Result<Vec<KeptDecision>, StoreError> {
        Ok(sqlx::query_as!(
            KeptDecision,
            "SELECT id, at, action, dry_run, champion, cause, fingerprint, reasons, sentences, situation, by_whom AS by, outcome,
                    refused
               FROM training_decisions ORDER BY id DESC LIMIT $1",
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Fingerprints of launches and remedies that were decided for this champion, and not only told: those of which nothing
    /// came, and those of which something did.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn decided_for(&self, champion: &str) -> Result<Vec<(String, bool)>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT fingerprint AS "fingerprint!", refused FROM training_decisions
                WHERE champion = $1 AND action <> 'wait' AND NOT dry_run AND fingerprint IS NOT NULL AND outcome IS NOT NULL
                ORDER BY id DESC LIMIT 1000"#,
            champion,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.fingerprint, row.refused))
            .collect())
    }
}
