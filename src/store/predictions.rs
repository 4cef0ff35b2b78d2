//! One row for each scored message.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::config::TextStorage;
use super::keys::Keys;
use super::rollups::{Deltas, Minute};
use super::{StoreError, clean, slices};
use crate::record::{ModelVersion, Origin, Prediction, Scored};

/// Inserts the rows; none of them may be there yet.
pub(super) async fn insert(
    connection: &mut PgConnection,
    rows: &[&Scored],
    model: &ModelVersion,
    model_id: i32,
    storage: TextStorage,
) -> Result<(), StoreError> {
    for part in slices::bounded(rows, |row| row.message.text.len()) {
        Columns::of(part, model, storage)?
            .insert(connection, model_id)
            .await?;
    }
    Ok(())
}

/// Removes the rows with these keys, where there are any, and takes what they had contributed out of `deltas`.
pub(super) async fn delete(
    connection: &mut PgConnection,
    keys: &Keys<'_>,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    let Some((first, last)) = keys.times() else {
        return Ok(());
    };
    let gone = sqlx::query!(
        r#"WITH gone AS (
               DELETE FROM predictions held
                USING unnest($1::text[], $2::integer[], $3::bigint[], $4::timestamptz[])
                      AS key (topic, number, position, kafka_time)
                WHERE held.topic = key.topic AND held."partition" = key.number
                  AND held."offset" = key.position AND held.kafka_time = key.kafka_time
                  -- Implied, but only this keeps the other days' partitions out of the plan.
                  AND held.kafka_time BETWEEN $5 AND $6
            RETURNING held.event_time, held.source, held.subject, held.label)
           SELECT date_trunc('minute', event_time, 'UTC') AS "minute!", coalesce(source, '') AS "source!",
                  coalesce(subject, '') AS "subject!", label AS "label!", count(*) AS "messages!"
             FROM gone GROUP BY 1, 2, 3, 4"#,
        keys.topic as _,
        &keys.partition,
        &keys.offset,
        &keys.kafka_time,
        first,
        last,
    )
    .fetch_all(connection)
    .await?;
    for row in gone {
        let minute = Minute {
            start: row.minute,
            source: row.source,
            subject: row.subject,
            label: row.label,
        };
        deltas.add(minute, -row.messages);
    }
    Ok(())
}

/// The rows as one array for each column: Postgres takes them far faster than as rows.
struct Columns<'a> {
    keys: Keys<'a>,
    event_time: Vec<DateTime<Utc>>,
    tokens: Vec<i32>,
    confidence: Vec<f32>,
    truncated: Vec<bool>,
    label: Vec<Cow<'a, str>>,
    /// The probabilities of all rows, one row after the other.
    probabilities: Vec<f32>,
    /// How many of them belong to a row.
    labels: i64,
    message_id: Vec<Option<Cow<'a, str>>>,
    source: Vec<Option<Cow<'a, str>>>,
    subject: Vec<Option<Cow<'a, str>>>,
    author: Vec<Option<Cow<'a, str>>>,
    language: Vec<Option<Cow<'a, str>>>,
    text: Vec<Option<Cow<'a, str>>>,
    text_sha256: Vec<Option<[u8; 32]>>,
}

impl<'a> Columns<'a> {
    fn of(
        rows: &[&'a Scored],
        model: &'a ModelVersion,
        storage: TextStorage,
    ) -> Result<Self, StoreError> {
        let name = |value: &'a Option<String>| value.as_deref().map(clean::name);
        let messages = || rows.iter().map(|row| &row.message);
        let mut probabilities = Vec::with_capacity(rows.len() * model.labels.len());
        let mut label = Vec::with_capacity(rows.len());
        let mut confidence = Vec::with_capacity(rows.len());
        for row in rows {
            let prediction = &row.prediction;
            let (name, probability) = answer(&row.message.raw.origin, model, prediction)?;
            label.push(clean::name(name));
            confidence.push(probability);
            probabilities.extend_from_slice(&prediction.probabilities);
        }
        Ok(Self {
            keys: messages().map(|message| &message.raw).collect(),
            event_time: messages()
                .map(|message| clean::time(message.event_time))
                .collect(),
            tokens: rows
                .iter()
                .map(|row| i32::try_from(row.tokens).unwrap_or(i32::MAX))
                .collect(),
            confidence,
            truncated: rows.iter().map(|row| row.truncated).collect(),
            label,
            probabilities,
            labels: i64::try_from(model.labels.len()).unwrap_or(i64::MAX),
            message_id: messages().map(|message| name(&message.id)).collect(),
            source: messages().map(|message| name(&message.source)).collect(),
            subject: messages().map(|message| name(&message.subject)).collect(),
            author: messages().map(|message| name(&message.author)).collect(),
            language: messages().map(|message| name(&message.language)).collect(),
            text: messages()
                .map(|message| (storage == TextStorage::Full).then(|| clean::text(&message.text)))
                .collect(),
            text_sha256: messages()
                .map(|message| {
                    (storage == TextStorage::Hash).then(|| Sha256::digest(&message.text).into())
                })
                .collect(),
        })
    }

    async fn insert(&self, connection: &mut PgConnection, model_id: i32) -> Result<(), StoreError> {
        sqlx::query!(
            r#"INSERT INTO predictions (topic, "partition", "offset", kafka_time, event_time, model, tokens, confidence,
                      truncated, label, probabilities, message_id, source, subject, author, language, text, text_sha256)
               SELECT topic, number, position, kafka_time, event_time, $5, tokens, confidence, truncated, label,
                      ($6::real[])[(place - 1) * $7 + 1 : place * $7], message_id, source, subject, author, language, text, hash
                 FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::timestamptz[], $8::timestamptz[],
                             $9::integer[], $10::real[], $11::boolean[], $12::text[], $13::text[], $14::text[],
                             $15::text[], $16::text[], $17::text[], $18::text[], $19::bytea[])
                      WITH ORDINALITY
                      AS scored (topic, number, position, kafka_time, event_time, tokens, confidence, truncated, label,
                                 message_id, source, subject, author, language, text, hash, place)"#,
            &self.keys.topic as _,
            &self.keys.partition,
            &self.keys.offset,
            &self.keys.kafka_time,
            model_id,
            &self.probabilities,
            self.labels,
            &self.event_time,
            &self.tokens,
            &self.confidence,
            &self.truncated,
            &self.label as _,
            &self.message_id as _,
            &self.source as _,
            &self.subject as _,
            &self.author as _,
            &self.language as _,
            &self.text as _,
            &self.text_sha256 as _,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// The predicted label by name, and its probability.
pub(super) fn answer<'a>(
    origin: &Origin,
    model: &'a ModelVersion,
    prediction: &Prediction,
) -> Result<(&'a str, f32), StoreError> {
    let name = model.labels.get(prediction.label);
    let probability = prediction.probabilities.get(prediction.label);
    match (name, probability) {
        (Some(name), Some(&probability))
            if prediction.probabilities.len() == model.labels.len() =>
        {
            Ok((name, probability))
        }
        _ => Err(StoreError::Other {
            problem: format!(
                "message {origin} has {} probabilities and label {}, but its model has {} labels",
                prediction.probabilities.len(),
                prediction.label,
                model.labels.len()
            ),
            code: None,
        }),
    }
}
