//! Which instance has which model loaded, and what it does with it.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, clean};

/// A model that an instance has loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Serving {
    pub instance: String,
    pub version: String,
    pub since: DateTime<Utc>,
    /// When the instance last said so.
    pub heard: DateTime<Utc>,
    /// The rollout that the instance follows.
    pub rollout: Option<i64>,
    /// The part of the messages that it has the model score for those who read the results.
    pub share: f64,
}

/// What an instance does with a model that it has loaded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loaded {
    /// The number of [`Store::model_id`] or [`RegisteredModel::id`](super::RegisteredModel::id).
    pub model: i32,
    pub rollout: Option<i64>,
    /// As [`Serving::share`].
    pub share: f64,
}

impl Store {
    /// Says which models an instance has loaded. An instance says so at least every few minutes: after ten minutes of silence a model
    /// counts as loaded anew, after a week it is forgotten. Of models that it had loaded before, it is kept that they have no share.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn serving(&self, instance: &str, loaded: &[Loaded]) -> Result<(), StoreError> {
        let models: Vec<i32> = loaded.iter().map(|loaded| loaded.model).collect();
        let rollouts: Vec<Option<i64>> = loaded.iter().map(|loaded| loaded.rollout).collect();
        let shares: Vec<f64> = loaded.iter().map(|loaded| loaded.share).collect();
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "INSERT INTO serving (instance, model, rollout, share)
             SELECT $1, model, rollout, share FROM unnest($2::integer[], $3::bigint[], $4::double precision[]) AS loaded (model, rollout, share)
             ON CONFLICT (instance, model) DO UPDATE
                SET heard_at = now(), rollout = excluded.rollout, share = excluded.share,
                    since = CASE WHEN serving.heard_at < now() - interval '10 minutes' THEN now() ELSE serving.since END",
            &*clean::name(instance),
            &models,
            &rollouts as _,
            &shares,
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "UPDATE serving SET share = 0, rollout = NULL WHERE instance = $1 AND model <> ALL ($2) AND (share > 0 OR rollout IS NOT NULL)",
            &*clean::name(instance),
            &models,
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
            "SELECT s.instance, m.version, s.since, s.heard_at AS heard, s.rollout, s.share
               FROM serving s JOIN models m ON m.id = s.model
              WHERE s.heard_at > now() - interval '10 minutes' ORDER BY s.instance, s.since"
        )
        .fetch_all(&self.pool)
        .await?)
    }
}
