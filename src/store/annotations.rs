//! The queue of messages that people are asked to label.

use std::collections::HashMap;
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::config::TextStorage;
use super::epochs::partition;
use super::{Store, StoreError, clean};
use crate::labels::Sampling;
use crate::record::{Origin, TopicPartition};

/// A message that was picked to be labelled, with the probabilities with which it was.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptPick {
    pub origin: Origin,
    pub sampling: Sampling,
    /// By the coin of the random slice.
    pub random: f64,
    /// For its uncertainty.
    pub uncertain: f64,
    pub margin: f64,
}

/// A message of the queue, as an annotator is shown it: without what the model says, which would lead them.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub origin: Origin,
    pub message_id: Option<String>,
    pub source: Option<String>,
    pub subject: Option<String>,
    pub language: Option<String>,
    /// None where texts are not kept, or not any more.
    pub text: Option<String>,
    /// The labels to choose from.
    pub labels: Vec<String>,
    pub sampling: Sampling,
    pub picked_at: DateTime<Utc>,
    /// `open`, `claimed`, `labelled` or `skipped`.
    pub state: String,
    pub claimed_by: Option<String>,
    pub claimed_until: Option<DateTime<Utc>>,
}

impl Store {
    /// Whether texts are kept, so that annotators can be shown them.
    #[must_use]
    pub fn keeps_texts(&self) -> bool {
        self.text == TextStorage::Full
    }

    /// Gives an annotator at most `limit` messages, the earliest picked first, which nobody else is given for so many minutes.
    /// What they were given before and have not settled comes again; a nameless one gets only what nobody has.
    ///
    /// # Errors
    ///
    /// The database does not answer; what was claimed is free again when its time has passed.
    pub async fn claim_annotations(
        &self,
        annotator: &str,
        limit: u32,
        minutes: u32,
    ) -> Result<Vec<Asked>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"WITH free AS (
                   SELECT topic, "partition", "offset" FROM annotation_queue
                    WHERE state = 'open'
                      AND (claimed_until IS NULL OR claimed_until < now() OR (claimed_by = $1 AND $1 <> ''))
                    ORDER BY picked_at, topic, "partition", "offset"
                    LIMIT $2 FOR UPDATE SKIP LOCKED),
               given AS (
                   UPDATE annotation_queue q SET claimed_by = $1, claimed_until = now() + make_interval(mins => $3)
                     FROM free
                    WHERE q.topic = free.topic AND q."partition" = free."partition" AND q."offset" = free."offset"
                   RETURNING q.topic, q."partition", q."offset", q.model, q.sampling, q.picked_at, q.claimed_by, q.claimed_until)
               SELECT q.topic AS "topic!", q."partition" AS "partition!", q."offset" AS "offset!", q.sampling AS "sampling!",
                      q.picked_at AS "picked_at!", 'claimed' AS "state!", q.claimed_by AS "claimed_by?",
                      q.claimed_until AS "claimed_until?", m.labels AS "labels?", p.message_id AS "message_id?",
                      p.source AS "source?", p.subject AS "subject?", p.language AS "language?", p.text AS "text?"
                 FROM given q
                 LEFT JOIN models m ON m.id = q.model
                 LEFT JOIN LATERAL (
                     SELECT * FROM predictions p
                      WHERE p.topic = q.topic AND p."partition" = q."partition" AND p."offset" = q."offset" LIMIT 1) p ON true
                ORDER BY q.picked_at, q.topic, q."partition", q."offset""#,
            &*clean::name(annotator),
            i64::from(limit),
            i32::try_from(minutes).unwrap_or(i32::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Row::asked).collect())
    }

    /// Messages of the queue, the latest picked first; only those that are to be labelled yet, or all.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn annotations(&self, open: bool, limit: u32) -> Result<Vec<Asked>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT q.topic AS "topic!", q."partition" AS "partition!", q."offset" AS "offset!", q.sampling AS "sampling!",
                      q.picked_at AS "picked_at!", q.claimed_by AS "claimed_by?", q.claimed_until AS "claimed_until?",
                      CASE WHEN q.state = 'open' AND q.claimed_until > now() THEN 'claimed' ELSE q.state END AS "state!",
                      m.labels AS "labels?", p.message_id AS "message_id?", p.source AS "source?", p.subject AS "subject?",
                      p.language AS "language?", p.text AS "text?"
                 FROM annotation_queue q
                 LEFT JOIN models m ON m.id = q.model
                 LEFT JOIN LATERAL (
                     SELECT * FROM predictions p
                      WHERE p.topic = q.topic AND p."partition" = q."partition" AND p."offset" = q."offset" LIMIT 1) p ON true
                WHERE q.state = 'open' OR NOT $1
                ORDER BY q.picked_at DESC, q.topic, q."partition", q."offset" LIMIT $2"#,
            open,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Row::asked).collect())
    }

    /// Notes that an annotator cannot label a message, so that nobody else is asked; `false` where it is not waiting for a label.
    ///
    /// # Errors
    ///
    /// The database does not answer; asking again is safe.
    pub async fn skip_annotation(
        &self,
        origin: &Origin,
        annotator: &str,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"UPDATE annotation_queue SET state = 'skipped', settled_at = now(), claimed_by = $4
                WHERE topic = $1 AND "partition" = $2 AND "offset" = $3 AND state = 'open'"#,
            &*clean::text(&origin.topic),
            origin.partition,
            origin.offset,
            &*clean::name(annotator),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// How fast messages are picked, as it was written last.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn annotation_pace(&self) -> Result<Option<Value>, StoreError> {
        Ok(sqlx::query_scalar!("SELECT payload FROM annotation_pace")
            .fetch_optional(&self.pool)
            .await?)
    }

    /// The languages that the messages of a partition say, by offset.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn languages(
        &self,
        place: &TopicPartition,
        offsets: Range<i64>,
    ) -> Result<HashMap<i64, String>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT "offset", language AS "language!" FROM predictions
                WHERE topic = $1 AND "partition" = $2 AND "offset" >= $3 AND "offset" < $4 AND language IS NOT NULL"#,
            &*place.topic,
            place.partition,
            offsets.start,
            offsets.end,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.offset, row.language))
            .collect())
    }

    /// Removes what was picked before, and of what waits for a label the earliest beyond so many.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn trim_annotations(
        &self,
        before: DateTime<Utc>,
        most_open: u32,
    ) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM annotation_queue WHERE picked_at < $1", before)
            .execute(&self.pool)
            .await?;
        sqlx::query!(
            r#"DELETE FROM annotation_queue q
                USING (SELECT topic, "partition", "offset" FROM annotation_queue WHERE state = 'open'
                        ORDER BY picked_at DESC, topic, "partition", "offset" OFFSET $1) beyond
                WHERE q.topic = beyond.topic AND q."partition" = beyond."partition" AND q."offset" = beyond."offset"
                  AND q.state = 'open'"#,
            i64::from(most_open),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that a message of the queue, if it is one, has a label.
    pub(super) async fn settle_annotation(&self, origin: &Origin) -> Result<(), StoreError> {
        settle(&mut *self.pool.acquire().await?, origin).await
    }
}

/// Notes that a message of the queue, if it is one, has a label.
pub(super) async fn settle(
    connection: &mut PgConnection,
    origin: &Origin,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE annotation_queue SET state = 'labelled', settled_at = now()
            WHERE topic = $1 AND "partition" = $2 AND "offset" = $3 AND state <> 'labelled'"#,
        &*clean::text(&origin.topic),
        origin.partition,
        origin.offset,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts picks into the queue, with the model that scored them; one whose prediction is gone is none. A message that has a label
/// by now is not asked for, but gets its probability.
pub(super) async fn enqueue(
    connection: &mut PgConnection,
    picks: &[KeptPick],
) -> Result<(), StoreError> {
    if picks.is_empty() {
        return Ok(());
    }
    let topics: Vec<&str> = picks.iter().map(|pick| &*pick.origin.topic).collect();
    let numbers: Vec<i32> = picks.iter().map(|pick| pick.origin.partition).collect();
    let offsets: Vec<i64> = picks.iter().map(|pick| pick.origin.offset).collect();
    let samplings: Vec<&str> = picks.iter().map(|pick| pick.sampling.as_str()).collect();
    let random: Vec<f64> = picks.iter().map(|pick| pick.random).collect();
    let uncertain: Vec<f64> = picks.iter().map(|pick| pick.uncertain).collect();
    let margins: Vec<f64> = picks.iter().map(|pick| pick.margin).collect();
    sqlx::query!(
        r#"WITH picked AS (
               SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::double precision[],
                                    $6::double precision[], $7::double precision[])
                      AS made (topic, number, position, sampling, random, uncertain, margin)),
           known AS (
               UPDATE labelled_messages m SET inclusion = 1 - (1 - made.random) * (1 - made.uncertain)
                 FROM picked made
                WHERE m.topic = made.topic AND m."partition" = made.number AND m."offset" = made.position
               RETURNING m.topic, m."partition", m."offset")
           INSERT INTO annotation_queue (topic, "partition", "offset", model, sampling, random, uncertain, margin, state, settled_at)
           SELECT made.topic, made.number, made.position, p.model, made.sampling, made.random, made.uncertain, made.margin,
                  CASE WHEN known.topic IS NULL THEN 'open' ELSE 'labelled' END,
                  CASE WHEN known.topic IS NULL THEN NULL ELSE now() END
             FROM picked made
            CROSS JOIN LATERAL (
                 SELECT p.model FROM predictions p
                  WHERE p.topic = made.topic AND p."partition" = made.number AND p."offset" = made.position LIMIT 1) p
             LEFT JOIN known
               ON known.topic = made.topic AND known."partition" = made.number AND known."offset" = made.position
           ON CONFLICT DO NOTHING"#,
        topics as _,
        &numbers,
        &offsets,
        samplings as _,
        &random,
        &uncertain,
        &margins,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps how fast messages are picked.
pub(super) async fn keep_pace(
    connection: &mut PgConnection,
    payload: &Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO annotation_pace (payload) VALUES ($1) ON CONFLICT (single) DO UPDATE SET payload = excluded.payload",
        payload,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A row as it is read.
struct Row {
    topic: String,
    partition: i32,
    offset: i64,
    sampling: String,
    picked_at: DateTime<Utc>,
    state: String,
    claimed_by: Option<String>,
    claimed_until: Option<DateTime<Utc>>,
    labels: Option<Vec<String>>,
    message_id: Option<String>,
    source: Option<String>,
    subject: Option<String>,
    language: Option<String>,
    text: Option<String>,
}

impl Row {
    fn asked(self) -> Asked {
        let TopicPartition { topic, partition } = partition(&self.topic, self.partition);
        Asked {
            origin: Origin {
                topic,
                partition,
                offset: self.offset,
            },
            message_id: self.message_id,
            source: self.source,
            subject: self.subject,
            language: self.language,
            text: self.text,
            labels: self.labels.unwrap_or_default(),
            sampling: Sampling::named(&self.sampling).unwrap_or_default(),
            picked_at: self.picked_at,
            state: self.state,
            claimed_by: self.claimed_by.filter(|name| !name.is_empty()),
            claimed_until: self.claimed_until,
        }
    }
}
