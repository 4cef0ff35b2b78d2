//! Labels find the messages they are about.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::epochs::{columns, partition};
use super::labels::{RejectedLabel, forget, reject};
use super::{Lease, Store, StoreError, annotations, leases};
use crate::labels::consensus::{Vote, consensus};
use crate::labels::{LabelFault, Sampling, canonical};
use crate::record::{Origin, TopicPartition};

/// A message that has not been found is looked for again after a quarter of the time that its label has waited, but no sooner and
/// no later than after so many seconds.
const AGAIN: (f64, f64) = (5.0, 600.0);

/// What became of labels that waited.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Labels that have found their message.
    pub found: usize,
    /// Labels that were looked at for the first time.
    pub fresh: usize,
    pub rejected: Vec<LabelFault>,
}

impl Store {
    /// Looks for the messages of at most `limit` labels that wait, among those below the committed offsets, and says anew what
    /// the labels of each message come to; `None` where the lease is lost, and nothing was written.
    ///
    /// # Errors
    ///
    /// The database does not answer; calling it again is safe.
    pub async fn match_labels(
        &self,
        lease: &Lease,
        committed: &[(TopicPartition, i64)],
        limit: u32,
    ) -> Result<Option<Matched>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !leases::hold(&mut transaction, lease).await? {
            return Ok(None);
        }
        let tried = try_waiting(&mut transaction, committed, i64::from(limit)).await?;
        let mut done = Matched {
            fresh: tried.iter().filter(|label| label.fresh).count(),
            ..Matched::default()
        };
        let mut messages = BTreeSet::new();
        let mut rejected = Vec::new();
        for label in &tried {
            let Some(found) = &label.found else { continue };
            let Some(name) = canonical(&found.labels, &label.label) else {
                rejected.push(unknown(label, found));
                done.rejected.push(LabelFault::UnknownLabel);
                forget(&mut transaction, &[label.id]).await?;
                continue;
            };
            settle(&mut transaction, label.id, name, &found.origin).await?;
            keep_message(&mut transaction, label.id, found).await?;
            annotations::settle(&mut transaction, &found.origin).await?;
            messages.insert(found.origin.clone());
            done.found += 1;
        }
        reject(&mut transaction, &rejected).await?;
        agree(&mut transaction, &messages).await?;
        transaction.commit().await?;
        Ok(Some(done))
    }
}

/// A label that waited, and its message, if that was found.
struct Tried {
    id: i64,
    /// Its message has not been looked for before.
    fresh: bool,
    label: String,
    annotator: String,
    found: Option<Found>,
}

struct Found {
    origin: Origin,
    kafka_time: DateTime<Utc>,
    model: i32,
    /// The labels of its model.
    labels: Vec<String>,
}

/// Looks for the messages of labels that wait, those that were never looked for first.
async fn try_waiting(
    connection: &mut PgConnection,
    committed: &[(TopicPartition, i64)],
    limit: i64,
) -> Result<Vec<Tried>, StoreError> {
    let (topics, numbers) = columns(committed.iter().map(|(partition, _)| partition));
    let offsets: Vec<i64> = committed.iter().map(|(_, offset)| *offset).collect();
    // One message after the other, by the indices: whatever the planner thinks of the sizes of tables, these are few.
    let rows = sqlx::query!(
        r#"WITH waiting AS (
               SELECT id, tried_at IS NULL AS fresh FROM labels
                WHERE NOT matched
                  AND (tried_at IS NULL OR tried_at < now() - least(make_interval(secs => $5),
                          greatest(make_interval(secs => $4), (tried_at - received_at) / 4)))
                ORDER BY tried_at NULLS FIRST, id LIMIT $6),
           tried AS (
               UPDATE labels SET tried_at = now() FROM waiting WHERE labels.id = waiting.id
               RETURNING labels.id, waiting.fresh, labels.label, labels.annotator, labels.topic, labels."partition", labels."offset", labels.message_id)
           SELECT tried.id AS "id!", tried.fresh AS "fresh!", tried.label AS "label!", tried.annotator AS "annotator!", found.topic AS "topic?",
                  found."partition" AS "number?", found."offset" AS "position?", found.kafka_time AS "kafka_time?",
                  found.model AS "model?", models.labels AS "labels?"
             FROM tried
             LEFT JOIN LATERAL (
                 SELECT * FROM (
                     SELECT p.topic, p."partition", p."offset", p.kafka_time, p.model FROM predictions p
                      WHERE tried.message_id IS NULL AND p.topic = tried.topic AND p."partition" = tried."partition"
                        AND p."offset" = tried."offset"
                     UNION ALL
                     SELECT p.topic, p."partition", p."offset", p.kafka_time, p.model FROM predictions p
                      WHERE p.message_id = tried.message_id AND (tried.topic IS NULL OR p.topic = tried.topic)) held
                  WHERE EXISTS (
                     SELECT FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS done (topic, number, next)
                      WHERE done.topic = held.topic AND done.number = held."partition" AND held."offset" < done.next)
                  ORDER BY held.kafka_time, held.topic, held."partition", held."offset" LIMIT 1) found ON true
             LEFT JOIN models ON models.id = found.model
            ORDER BY tried.id"#,
        topics as _,
        &numbers,
        &offsets,
        AGAIN.0,
        AGAIN.1,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let found = (|| {
                let TopicPartition { topic, partition } = partition(&row.topic?, row.number?);
                Some(Found {
                    origin: Origin {
                        topic,
                        partition,
                        offset: row.position?,
                    },
                    kafka_time: row.kafka_time?,
                    model: row.model?,
                    labels: row.labels.unwrap_or_default(),
                })
            })();
            Tried {
                id: row.id,
                fresh: row.fresh,
                label: row.label,
                annotator: row.annotator,
                found,
            }
        })
        .collect())
}

fn unknown(label: &Tried, found: &Found) -> RejectedLabel {
    RejectedLabel {
        reason: LabelFault::UnknownLabel,
        detail: format!(
            "the label {:?} that {:?} gave to the message {} is none of its model ({})",
            label.label,
            label.annotator,
            found.origin,
            found.labels.join(", ")
        ),
        payload: None,
    }
}

/// Notes which message a label is about. How that was chosen is the queue's to say, if it is of the queue.
async fn settle(
    connection: &mut PgConnection,
    id: i64,
    name: &str,
    origin: &Origin,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE labels SET matched = true, label = $2, topic = $3, "partition" = $4, "offset" = $5,
                  sampling = coalesce((SELECT q.sampling FROM annotation_queue q
                                        WHERE q.topic = $3 AND q."partition" = $4 AND q."offset" = $5), sampling)
            WHERE id = $1"#,
        id,
        name,
        &*origin.topic,
        origin.partition,
        origin.offset,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Copies the prediction, unless an earlier label has had it copied. The time is the one by which windows go: an event time of
/// more than five minutes after Kafka's is not believed.
async fn keep_message(
    connection: &mut PgConnection,
    label: i64,
    found: &Found,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO labelled_messages (topic, "partition", "offset", first_label, event_time, labelled_at, model, annotators,
                  confidence, predicted, probabilities, sampling, message_id, source, subject, language, text, author_sha256, inclusion)
           SELECT topic, "partition", "offset", $5,
                  date_trunc('milliseconds', CASE WHEN event_time > kafka_time + interval '5 minutes' THEN kafka_time ELSE event_time END),
                  now(), model, 0, confidence, label, probabilities, 'uncertain', message_id, source, subject, language, text,
                  sha256(convert_to(author, 'UTF8')),
                  (SELECT 1 - (1 - q.random) * (1 - q.uncertain) FROM annotation_queue q
                    WHERE q.topic = $1 AND q."partition" = $2 AND q."offset" = $3)
             FROM predictions
            WHERE topic = $1 AND "partition" = $2 AND "offset" = $3 AND kafka_time = $4 AND model = $6
           ON CONFLICT DO NOTHING"#,
        &*found.origin.topic,
        found.origin.partition,
        found.origin.offset,
        found.kafka_time,
        label,
        found.model,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Says of each message anew what its labels come to.
async fn agree(
    connection: &mut PgConnection,
    messages: &BTreeSet<Origin>,
) -> Result<(), StoreError> {
    let topics: Vec<&str> = messages.iter().map(|message| &*message.topic).collect();
    let numbers: Vec<i32> = messages.iter().map(|message| message.partition).collect();
    let offsets: Vec<i64> = messages.iter().map(|message| message.offset).collect();
    let rows = sqlx::query!(
        r#"SELECT l.id, l.topic AS "topic!", l."partition" AS "number!", l."offset" AS "position!", l.annotator, l.label, l.sampling,
                  l.given_at
             FROM labels l
             JOIN unnest($1::text[], $2::integer[], $3::bigint[]) AS wanted (topic, number, position)
               ON l.matched AND l.topic = wanted.topic AND l."partition" = wanted.number AND l."offset" = wanted.position
            ORDER BY l.id"#,
        topics as _,
        &numbers,
        &offsets,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut votes: BTreeMap<(String, i32, i64), Vec<Vote>> = BTreeMap::new();
    for row in rows {
        let vote = Vote {
            id: row.id,
            annotator: row.annotator,
            label: row.label,
            sampling: Sampling::named(&row.sampling).unwrap_or_default(),
            given_at: row.given_at,
        };
        let message = (row.topic, row.number, row.position);
        votes.entry(message).or_default().push(vote);
    }
    for ((topic, number, position), votes) in votes {
        let Some(found) = consensus(&votes) else {
            continue;
        };
        if !found.superseded.is_empty() {
            forget(connection, &found.superseded).await?;
        }
        sqlx::query!(
            r#"UPDATE labelled_messages SET label = $4, annotators = $5, sampling = $6, labelled_at = $7, pending = true
                WHERE topic = $1 AND "partition" = $2 AND "offset" = $3"#,
            topic,
            number,
            position,
            found.label,
            i32::try_from(found.annotators).unwrap_or(i32::MAX),
            found.sampling.as_str(),
            found.given_at,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
