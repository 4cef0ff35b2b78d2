//! How much stands in the tables.

use super::{Store, StoreError};

/// The outcomes of one input topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub predictions: u64,
    pub dead_letters: u64,
}

impl Store {
    /// Counts the rows that came from a topic. Reads all of them: meant for checks, not for every second.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn counts(&self, topic: &str) -> Result<Counts, StoreError> {
        let row = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM predictions WHERE topic = $1)  AS "predictions!",
                      (SELECT count(*) FROM dead_letters WHERE topic = $1) AS "dead_letters!""#,
            topic
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Counts {
            predictions: row.predictions.unsigned_abs(),
            dead_letters: row.dead_letters.unsigned_abs(),
        })
    }
}
