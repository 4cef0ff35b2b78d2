//! What models say of messages that others serve.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::keys::Keys;
use super::predictions::answer;
use super::write::Numbers;
use super::{Store, StoreError, clean};
use crate::record::Scored;

/// Rows removed by one statement, so that none holds its locks for long.
const BATCH: i64 = 10_000;

/// Inserts what was said in shadow of these messages; none of it may be there yet.
pub(super) async fn insert(
    connection: &mut PgConnection,
    rows: &[&Scored],
    numbers: &Numbers,
) -> Result<(), StoreError> {
    let mut columns = Columns::default();
    for row in rows {
        columns.add(row, numbers)?;
    }
    if columns.keys.topic.is_empty() {
        return Ok(());
    }
    columns.insert(connection).await
}

/// Removes what was said in shadow of the messages with these keys.
pub(super) async fn delete(
    connection: &mut PgConnection,
    keys: &Keys<'_>,
) -> Result<(), StoreError> {
    if keys.topic.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"DELETE FROM shadow_predictions held
            USING unnest($1::text[], $2::integer[], $3::bigint[]) AS key (topic, number, position)
            WHERE held.topic = key.topic AND held."partition" = key.number AND held."offset" = key.position"#,
        keys.topic as _,
        &keys.partition,
        &keys.offset,
    )
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// Removes what was said in shadow before a time, a few rows after the other; how many there were.
    pub(super) async fn trim_shadow(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let gone = sqlx::query!(
                "DELETE FROM shadow_predictions WHERE ctid = ANY (ARRAY (
                     SELECT ctid FROM shadow_predictions WHERE scored_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
                before,
                BATCH,
            )
            .execute(&self.pool)
            .await?
            .rows_affected();
            removed += gone;
            if gone < BATCH.unsigned_abs() {
                return Ok(removed);
            }
        }
    }
}

/// The rows as one array for each column.
#[derive(Default)]
struct Columns<'a> {
    keys: Keys<'a>,
    rollout: Vec<i64>,
    model: Vec<i32>,
    label: Vec<Cow<'a, str>>,
    confidence: Vec<f32>,
    served: Vec<i32>,
    served_label: Vec<Cow<'a, str>>,
    served_confidence: Vec<f32>,
    /// The probabilities of all rows, one row after the other, and how many belong to each.
    probabilities: Vec<f32>,
    labels: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn add(&mut self, row: &'a Scored, numbers: &Numbers) -> Result<(), StoreError> {
        let Some(shadow) = &row.shadow else {
            return Ok(());
        };
        let origin = &row.message.raw.origin;
        let (label, confidence) = answer(origin, &shadow.model, &shadow.prediction)?;
        let (served_label, served_confidence) = answer(origin, &row.model, &row.prediction)?;
        self.keys.extend([&row.message.raw]);
        self.rollout.push(shadow.rollout);
        self.model.push(numbers.of(&shadow.model));
        self.label.push(clean::name(label));
        self.confidence.push(confidence);
        self.served.push(numbers.of(&row.model));
        self.served_label.push(clean::name(served_label));
        self.served_confidence.push(served_confidence);
        let probabilities = &shadow.prediction.probabilities;
        self.probabilities.extend_from_slice(probabilities);
        self.labels
            .push(i64::try_from(probabilities.len()).unwrap_or(i64::MAX));
        Ok(())
    }

    async fn insert(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        // Where each row's probabilities end follows from how many there are before it.
        sqlx::query!(
            r#"INSERT INTO shadow_predictions (topic, "partition", "offset", rollout, model, label, confidence, served, served_label,
                      served_confidence, probabilities)
               SELECT topic, number, position, rollout, model, label, confidence, served, served_label, served_confidence,
                      ($4::real[])[till - labels + 1 : till]
                 FROM (SELECT *, (sum(labels) OVER (ORDER BY place))::bigint AS till
                         FROM unnest($1::text[], $2::integer[], $3::bigint[], $5::bigint[], $6::integer[], $7::text[], $8::real[],
                                     $9::integer[], $10::text[], $11::real[], $12::bigint[])
                              WITH ORDINALITY
                              AS said (topic, number, position, rollout, model, label, confidence, served, served_label,
                                       served_confidence, labels, place)) AS rows"#,
            &self.keys.topic as _,
            &self.keys.partition,
            &self.keys.offset,
            &self.probabilities,
            &self.rollout,
            &self.model,
            &self.label as _,
            &self.confidence,
            &self.served,
            &self.served_label as _,
            &self.served_confidence,
            &self.labels,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}
