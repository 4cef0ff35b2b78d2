//! Labelled messages with all that their model said of them, by which a model is recalibrated.

use chrono::{DateTime, Utc};

use super::epochs::partition;
use super::{Store, StoreError};
use crate::labels::Sampling;
use crate::record::{Origin, TopicPartition};

/// A labelled message and its prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredMessage {
    pub origin: Origin,
    /// The version of the model that scored it.
    pub version: String,
    pub event_time: DateTime<Utc>,
    /// That most annotators gave.
    pub label: String,
    pub sampling: Sampling,
    /// The probability with which it was picked to be labelled, where it was picked.
    pub inclusion: Option<f64>,
    /// In the order of the model's labels.
    pub probabilities: Vec<f32>,
    /// As far as it is kept.
    pub text: Option<String>,
}

impl Store {
    /// Messages with an event time of `from` or later that have a label that counts, at most `limit`, the newest first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn answered_since(
        &self,
        from: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<AnsweredMessage>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT l.topic, l."partition", l."offset", m.version, l.event_time, l.label AS "label!", l.sampling, l.inclusion,
                      l.probabilities, l.text
                 FROM labelled_messages l JOIN models m ON m.id = l.model
                WHERE l.event_time >= $1 AND l.label IS NOT NULL
                ORDER BY l.event_time DESC, l.topic, l."partition", l."offset" LIMIT $2"#,
            from,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let TopicPartition { topic, partition } = partition(&row.topic, row.partition);
                AnsweredMessage {
                    origin: Origin {
                        topic,
                        partition,
                        offset: row.offset,
                    },
                    version: row.version,
                    event_time: row.event_time,
                    label: row.label,
                    sampling: Sampling::named(&row.sampling).unwrap_or_default(),
                    inclusion: row.inclusion,
                    probabilities: row.probabilities,
                    text: row.text,
                }
            })
            .collect())
    }
}
