//! Labels that are given one at a time, with an answer to whoever gives them.

use chrono::{DateTime, Utc};

use super::epochs::partition;
use super::{Store, StoreError, clean};
use crate::labels::{Label, Reference, canonical};
use crate::record::{Origin, TopicPartition};

/// What became of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It is kept.
    Accepted {
        /// Its message is not known yet: it waits for it.
        waiting: bool,
        /// Another annotator says otherwise.
        conflict: bool,
    },
    /// The annotator has said the same already.
    Duplicate,
    /// It is none of the labels of the message's model, which these are.
    Unknown { labels: Vec<String> },
}

/// A labelled message, for estimates over all messages.
#[derive(Debug, Clone, PartialEq)]
pub struct PickedLabel {
    /// Version of the model that scored it.
    pub model: String,
    /// The model's labels, in its order.
    pub labels: Vec<String>,
    pub truth: String,
    pub predicted: String,
    /// The probability with which it was picked.
    pub inclusion: f64,
}

impl Store {
    /// Keeps a label, unless its annotator has said the same already or the model has no such label. The watch counts it.
    ///
    /// # Errors
    ///
    /// The database does not answer; giving the label again is safe.
    pub async fn submit_label(&self, label: &Label) -> Result<Submitted, StoreError> {
        let found = self.message_of(&label.message).await?;
        let labels = found.as_ref().map(|(_, labels)| labels.as_slice());
        let name = match labels {
            None => label.label.trim(),
            Some(labels) => match canonical(labels, &label.label) {
                Some(name) => name,
                None => {
                    let labels = labels.to_vec();
                    return Ok(Submitted::Unknown { labels });
                }
            },
        };
        let origin = match (&found, &label.message) {
            (Some((origin, _)), _) | (None, Reference::Place(origin)) => Some(origin),
            (None, Reference::Id { .. }) => None,
        };
        let others = self.held_labels(origin, &label.message).await?;
        let annotator = clean::name(&label.annotator);
        let same = |held: &&Held| held.label.trim().eq_ignore_ascii_case(name);
        let own = others.iter().filter(|held| held.annotator == *annotator);
        let latest = own.max_by_key(|held| (held.given_at, held.id));
        let conflict = others
            .iter()
            .any(|held| held.annotator != *annotator && !same(&held));
        let outcome = if latest.as_ref().is_some_and(same) {
            Submitted::Duplicate
        } else {
            self.add_labels(std::slice::from_ref(label)).await?;
            Submitted::Accepted {
                waiting: found.is_none(),
                conflict,
            }
        };
        if let Some(origin) = origin {
            self.settle_annotation(origin).await?;
        }
        Ok(outcome)
    }

    /// The message that a label is about, if it is known, and the labels of its model.
    async fn message_of(
        &self,
        message: &Reference,
    ) -> Result<Option<(Origin, Vec<String>)>, StoreError> {
        let (place, id, topic) = parts(message);
        let row = sqlx::query!(
            r#"SELECT held.topic AS "topic!", held."partition" AS "number!", held."offset" AS "position!", m.labels AS "labels!"
                 FROM (SELECT p.topic, p."partition", p."offset", p.kafka_time, p.model FROM predictions p
                        WHERE $4::text IS NULL AND p.topic = $1 AND p."partition" = $2 AND p."offset" = $3
                       UNION ALL
                       SELECT p.topic, p."partition", p."offset", p.kafka_time, p.model FROM predictions p
                        WHERE p.message_id = $4 AND ($1::text IS NULL OR p.topic = $1)) held
                 JOIN models m ON m.id = held.model
                ORDER BY held.kafka_time, held.topic, held."partition", held."offset" LIMIT 1"#,
            topic,
            place.map(|origin| origin.partition),
            place.map(|origin| origin.offset),
            id,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| {
            let TopicPartition { topic, partition } = partition(&row.topic, row.number);
            let origin = Origin {
                topic,
                partition,
                offset: row.position,
            };
            (origin, row.labels)
        }))
    }

    /// The labels that a message has, those that wait for it included.
    async fn held_labels(
        &self,
        origin: Option<&Origin>,
        message: &Reference,
    ) -> Result<Vec<Held>, StoreError> {
        let (_, id, _) = parts(message);
        Ok(sqlx::query_as!(
            Held,
            r#"SELECT id AS "id!", annotator AS "annotator!", label AS "label!", given_at AS "given_at!" FROM labels
                WHERE matched AND topic = $1 AND "partition" = $2 AND "offset" = $3
               UNION ALL
               SELECT id, annotator, label, given_at FROM labels
                WHERE NOT matched AND topic = $1 AND "partition" = $2 AND "offset" = $3
               UNION ALL
               SELECT id, annotator, label, given_at FROM labels
                WHERE NOT matched AND message_id = $4 AND "offset" IS NULL"#,
            origin.map(|origin| clean::text(&origin.topic).into_owned()),
            origin.map(|origin| origin.partition),
            origin.map(|origin| origin.offset),
            id,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Labelled messages that were picked with a known probability, of a span of event time, at most `limit`, the latest first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn picked_labels(
        &self,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<PickedLabel>, StoreError> {
        Ok(sqlx::query_as!(
            PickedLabel,
            r#"SELECT v.version AS model, v.labels, m.label AS "truth!", m.predicted, m.inclusion AS "inclusion!"
                 FROM labelled_messages m JOIN models v ON v.id = m.model
                WHERE m.inclusion IS NOT NULL AND m.label IS NOT NULL
                  AND ($1::timestamptz IS NULL OR m.event_time >= $1) AND ($2::timestamptz IS NULL OR m.event_time < $2)
                ORDER BY m.event_time DESC LIMIT $3"#,
            from,
            to,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }
}

/// A label that a message has.
struct Held {
    id: i64,
    annotator: String,
    label: String,
    given_at: DateTime<Utc>,
}

/// Place, id and topic, as the tables have them.
fn parts(message: &Reference) -> (Option<&Origin>, Option<String>, Option<String>) {
    match message {
        Reference::Place(origin) => {
            let topic = clean::text(&origin.topic).into_owned();
            (Some(origin), None, Some(topic))
        }
        Reference::Id { id, topic } => {
            let topic = topic
                .as_deref()
                .map(|topic| clean::text(topic).into_owned());
            (None, Some(clean::name(id).into_owned()), topic)
        }
    }
}
