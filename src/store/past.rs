//! What was scored in a span of event time, read back.

use chrono::{DateTime, Utc};

use super::{Store, StoreError};

/// A scored message whose text is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct PastMessage {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub event_time: DateTime<Utc>,
    /// The event time, or Kafka's where that lies more than five minutes before: a post cannot be written after Kafka had it.
    pub time: DateTime<Utc>,
    pub predicted: String,
    /// In the order of the model's labels.
    pub probabilities: Vec<f32>,
    pub source: Option<String>,
    pub subject: Option<String>,
    pub text: String,
    /// The label that people gave, where the message was chosen by chance.
    pub label: Option<String>,
}

/// A model's part of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanModel {
    pub version: String,
    pub messages: i64,
    /// Those whose text is kept, and those of which only the text's hash is.
    pub texts: i64,
    pub hashes: i64,
}

impl Store {
    /// Which models have scored the messages with an event time of `from` or later and before `to`.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn models_between(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<SpanModel>, StoreError> {
        Ok(sqlx::query_as!(
            SpanModel,
            r#"SELECT m.version, count(*) AS "messages!", count(p.text) AS "texts!", count(p.text_sha256) AS "hashes!"
                 FROM predictions p JOIN models m ON m.id = p.model
                WHERE p.event_time >= $1 AND p.event_time < $2
                GROUP BY m.version ORDER BY 2 DESC"#,
            from,
            to,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Messages of a model with an event time of `from` or later and before `to` whose texts are kept, at most `limit`, in the order
    /// of their event times and places, beginning after `last`.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn scored_between(
        &self,
        version: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        last: Option<&PastMessage>,
        limit: u32,
    ) -> Result<Vec<PastMessage>, StoreError> {
        Ok(sqlx::query_as!(
            PastMessage,
            r#"SELECT p.topic, p."partition", p."offset", p.event_time,
                      CASE WHEN p.event_time > p.kafka_time + interval '5 minutes' THEN p.kafka_time ELSE p.event_time END AS "time!",
                      p.label AS predicted, p.probabilities, p.source, p.subject, p.text AS "text!", l.label AS "label?"
                 FROM predictions p
                 JOIN models m ON m.id = p.model AND m.version = $1
                 LEFT JOIN labelled_messages l
                   ON l.topic = p.topic AND l."partition" = p."partition" AND l."offset" = p."offset" AND l.sampling = 'random'
                WHERE p.event_time >= $2 AND p.event_time < $3 AND p.text IS NOT NULL
                  AND ($4::text IS NULL OR (p.event_time, p.topic, p."partition", p."offset") > ($5, $4, $6, $7))
                ORDER BY p.event_time, p.topic, p."partition", p."offset" LIMIT $8"#,
            version,
            last.map_or(from, |last| last.event_time),
            to,
            last.map(|last| &*last.topic),
            last.map_or(from, |last| last.event_time),
            last.map_or(0, |last| last.partition),
            last.map_or(0, |last| last.offset),
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }
}
