//! What is said of a training once it has ended: by the gate of its candidate, or that nobody goes on with it.

use serde_json::Value;

use super::leases::{self, Lease};
use super::{Store, StoreError, clean};

impl Store {
    /// Writes down what the gate says of a training's candidate, by the duty to decide; `false` where that is another's, or
    /// there is a verdict already.
    ///
    /// # Errors
    ///
    /// The database does not answer; saying it again is safe.
    pub async fn gate_training(
        &self,
        lease: &Lease,
        id: i64,
        verdict: &str,
        gate: &Value,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !leases::hold(&mut transaction, lease).await? {
            return Ok(false);
        }
        let done = sqlx::query!(
            "UPDATE training_runs SET verdict = $2, gate = $3, gated_at = now()
              WHERE id = $1 AND state = 'done' AND verdict IS NULL",
            id,
            verdict,
            clean::json(gate),
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// What was compared at the gate, where a training's candidate has been there.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn gate_of(&self, id: i64) -> Result<Option<Value>, StoreError> {
        let row = sqlx::query_scalar!("SELECT gate FROM training_runs WHERE id = $1", id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.flatten())
    }

    /// Says of a training that was stopped, or has lost its process, that nobody goes on with it; `false` where it is under way,
    /// has ended, or the duty is another's.
    ///
    /// # Errors
    ///
    /// The database does not answer; saying it again is safe.
    pub async fn give_up_training(
        &self,
        lease: &Lease,
        id: i64,
        outcome: &Value,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !leases::hold(&mut transaction, lease).await? {
            return Ok(false);
        }
        let done = sqlx::query!(
            "UPDATE training_runs SET state = 'failed', outcome = $2, ended = now() WHERE id = $1 AND state = 'stopped'",
            id,
            clean::json(outcome),
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}
