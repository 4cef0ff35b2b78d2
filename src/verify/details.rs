//! What each side says of a few messages, in words.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use chrono::{DateTime, SecondsFormat, Utc};
use futures::TryStreamExt;
use rdkafka::message::Message;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::error::VerifyError;
use super::judge::Place;
use super::kafka::Kafka;
use super::outcome::{self, Kind};
use super::postgres::{Model, Snapshot};
use super::read::Outputs;
use super::watch::{Step, Watch};
use crate::pipeline::config::OutputConfig;

/// Outcomes told of one message on one side; one that is there ten thousand times needs no more.
const MOST: usize = 4;

/// What each side says of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sayings {
    pub kafka: Vec<String>,
    pub postgres: Vec<String>,
}

pub(super) type Details = BTreeMap<Place, Sayings>;

/// Reads the outputs again for what they say of these messages.
pub(super) fn kafka(
    kafka: &Kafka,
    names: &OutputConfig,
    outputs: &Outputs,
    details: &mut Details,
    watch: &mut Watch<'_>,
) -> Result<(), VerifyError> {
    let spans = outputs
        .results
        .values()
        .chain(outputs.dead_letters.values());
    watch.begin(
        Step::Details,
        spans.map(|range| range.end.abs_diff(range.start)).sum(),
    );
    for (topic, spans, kind) in outputs.each(names) {
        kafka.read(topic, spans, |message| {
            watch.advance(1);
            let value = message.payload().unwrap_or_default();
            let Some(origin) = outcome::origin(value) else {
                return ControlFlow::Continue(());
            };
            let place = Place {
                topic: origin.topic.as_ref().into(),
                partition: origin.partition,
                offset: origin.offset,
            };
            if let Some(sayings) = details.get_mut(&place)
                && sayings.kafka.len() < MOST
            {
                let said = record_in_words(kind, value);
                let (partition, offset) = (message.partition(), message.offset());
                sayings
                    .kafka
                    .push(format!("{said} (in {topic}[{partition}]@{offset})"));
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(())
}

fn record_in_words(kind: Kind, value: &[u8]) -> String {
    let body: Value = serde_json::from_slice(value).unwrap_or_default();
    let text = |member: &str| body[member].as_str().unwrap_or("?").to_owned();
    match kind {
        Kind::Dead => format!("dead letter, {}", text("reason")),
        Kind::Result => {
            let probabilities = body["probabilities"].as_object();
            let probabilities: Vec<String> = probabilities
                .into_iter()
                .flatten()
                .map(|(label, probability)| {
                    // As many digits as an f32 has.
                    let probability = probability.as_f64().unwrap_or(f64::NAN) as f32;
                    format!("{label} {probability}")
                })
                .collect();
            let (label, model) = (text("label"), short(&text("model")));
            format!("{label} ({}) by model {model}", probabilities.join(", "))
        }
    }
}

/// The beginning of a model's version, enough to tell it from others.
fn short(version: &str) -> String {
    version.chars().take(12).collect()
}

impl Snapshot {
    /// Looks up the rows of these messages.
    pub(super) async fn details(&mut self, details: &mut Details) -> Result<(), VerifyError> {
        let failed = || VerifyError::postgres("the rows cannot be read");
        for (place, sayings) in details {
            for (kind, statement) in [
                (
                    Kind::Result,
                    r#"SELECT kafka_time, label, model, confidence, probabilities FROM predictions
                        WHERE topic = $1 AND "partition" = $2 AND "offset" = $3 ORDER BY kafka_time"#,
                ),
                (
                    Kind::Dead,
                    r#"SELECT kafka_time, reason FROM dead_letters
                        WHERE topic = $1 AND "partition" = $2 AND "offset" = $3 ORDER BY kafka_time"#,
                ),
            ] {
                let mut rows = sqlx::query(statement)
                    .bind(&*place.topic)
                    .bind(place.partition)
                    .bind(place.offset)
                    .fetch(&mut self.connection);
                while let Some(row) = rows.try_next().await.map_err(failed())? {
                    if sayings.postgres.len() < MOST {
                        let said = row_in_words(kind, &row, &self.models).map_err(failed())?;
                        sayings.postgres.push(said);
                    }
                }
            }
        }
        Ok(())
    }
}

fn row_in_words(
    kind: Kind,
    row: &PgRow,
    models: &HashMap<i32, Model>,
) -> Result<String, sqlx::Error> {
    let time: DateTime<Utc> = row.try_get(0)?;
    let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let label: &str = row.try_get(1)?;
    let said = match kind {
        Kind::Dead => format!("dead letter, {label}"),
        Kind::Result => {
            let number: i32 = row.try_get(2)?;
            let values: Vec<Option<f32>> = row.try_get(4)?;
            let model = models.get(&number);
            let labels = model.map_or(&[][..], |model| &model.labels);
            let names = labels.iter().map(String::as_str);
            let probabilities: Vec<String> = names
                .chain(std::iter::repeat("?"))
                .zip(values)
                .map(|(label, value)| format!("{label} {}", value.unwrap_or(f32::NAN)))
                .collect();
            let unknown = format!("{number}, which is not in the table models");
            let version = model.map_or(unknown, |model| short(&model.version));
            let confidence: f32 = row.try_get(3)?;
            format!(
                "{label} ({}, confidence {confidence}) by model {version}",
                probabilities.join(", ")
            )
        }
    };
    Ok(format!("{said} (of {time})"))
}
