//! Which instance has which model loaded.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, clean};

/// A model that an instance has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    pub instance: String,
    pub version: String,
    pub since: DateTime<Utc>,
    /// When the instance last said so.
    pub heard: DateTime<Utc>,
}

impl Store {
    /// Says that an instance has a model loaded, by the number of [`Store::model_id`] or [`RegisteredModel::id`]. An instance
    /// says so at least every few minutes: after ten minutes of silence it counts as loaded anew, after a week it is forgotten.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn serving(&self, instance: &str, model: i32) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "INSERT INTO serving (instance, model) VALUES ($1, $2)
             ON CONFLICT (instance, model) DO UPDATE
                SET heard_at = now(),
                    since = CASE WHEN serving.heard_at < now() - interval '10 minutes' THEN now() ELSE serving.since END",
            &*clean::name(instance),
            model,
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!("DELETE FROM serving WHERE heard_at < now() - interval '7 days'")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What instances have said of their models within the last ten minutes.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn serving_now(&self) -> Result<Vec<Serving>, StoreError> {
        Ok(sqlx::query_as!(
            Serving,
            "SELECT s.instance, m.version, s.since, s.heard_at AS heard FROM serving s JOIN models m ON m.id = s.model
              WHERE s.heard_at > now() - interval '10 minutes' ORDER BY s.instance, s.since"
        )
        .fetch_all(&self.pool)
        .await?)
    }
}
