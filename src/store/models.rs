//! Models by number: predictions refer to them so.

use super::{Store, StoreError, clean};
use crate::record::{ModelVersion, Problem};

impl Store {
    /// The labels of a model, in the order of its rows' probabilities, if it is known.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn labels_of(&self, version: &str) -> Result<Option<Vec<String>>, StoreError> {
        Ok(
            sqlx::query_scalar!("SELECT labels FROM models WHERE version = $1", version)
                .fetch_optional(&self.pool)
                .await?,
        )
    }

    /// The labels of a model by its number, if it is known.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn labels_by_id(&self, id: i32) -> Result<Option<Vec<String>>, StoreError> {
        Ok(
            sqlx::query_scalar!("SELECT labels FROM models WHERE id = $1", id)
                .fetch_optional(&self.pool)
                .await?,
        )
    }

    /// Which kind of answer a model gives, by its number, if it is known.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn problem_by_id(&self, id: i32) -> Result<Option<Problem>, StoreError> {
        let name = sqlx::query_scalar!("SELECT problem FROM models WHERE id = $1", id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(name.map(|name| problem(&name)))
    }

    /// The number of a model, registered at first sight.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn model_id(&self, model: &ModelVersion) -> Result<i32, StoreError> {
        if let Some(&id) = self.models.read().await.get(&model.version) {
            return Ok(id);
        }
        let labels: Vec<_> = model
            .labels
            .iter()
            .map(|label| clean::name(label))
            .collect();
        // Outside any transaction: the number must outlive a chunk that is rolled back, since it is remembered here.
        sqlx::query!(
            "INSERT INTO models (version, labels, problem) VALUES ($1, $2, $3)
             ON CONFLICT (version) DO UPDATE SET first_seen = now() WHERE models.first_seen IS NULL",
            model.version,
            labels as _,
            problem_name(model.problem),
        )
        .execute(&self.pool)
        .await?;
        let id = sqlx::query_scalar!("SELECT id FROM models WHERE version = $1", model.version)
            .fetch_one(&self.pool)
            .await?;
        self.models.write().await.insert(model.version.clone(), id);
        Ok(id)
    }
}

pub(super) fn problem_name(problem: Problem) -> &'static str {
    match problem {
        Problem::SingleLabel => "single_label",
        Problem::MultiLabel => "multi_label",
    }
}

/// A problem out of the table.
pub(super) fn problem(name: &str) -> Problem {
    if name == "multi_label" {
        Problem::MultiLabel
    } else {
        Problem::SingleLabel
    }
}
