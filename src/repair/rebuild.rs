//! From an outcome's record and its message back to the outcome. Pure.
//!
//! The record is what counts: it says what was scored, and how it was read then. The message gives what the record lacks: its time
//! and key, a text or a payload that was cut for its size, and a time of the event below the millisecond.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::pipeline::Decoder;
use crate::record::{
    DeadLetter, DeadReason, Decoded, Message, ModelVersion, Outcome, Prediction, Problem,
    RawMessage, Scored,
};
use crate::verify::Kind;

/// A result's record.
#[derive(Debug, Deserialize)]
struct ResultBody {
    id: Option<String>,
    author: Option<String>,
    source: Option<String>,
    subject: Option<String>,
    language: Option<String>,
    event_time: String,
    text: String,
    #[serde(default)]
    text_cut: bool,
    label: String,
    probabilities: Map<String, Value>,
    model: String,
    tokens: u32,
    truncated: bool,
}

#[derive(Debug, Deserialize)]
struct DeadLetterBody {
    reason: String,
    detail: String,
}

/// Puts an outcome together again; `Err` says in words why it cannot be. The model of a scored one is as the record shows it.
pub(super) fn rebuild(
    kind: Kind,
    record: &[u8],
    raw: RawMessage,
    decoder: &Decoder,
) -> Result<Outcome, String> {
    let unreadable = |error: serde_json::Error| format!("its outcome cannot be read: {error}");
    match kind {
        Kind::Dead => {
            let body: DeadLetterBody = serde_json::from_slice(record).map_err(unreadable)?;
            let reason = DeadReason::ALL
                .into_iter()
                .find(|reason| reason.as_str() == body.reason)
                .ok_or_else(|| format!("this version knows no reason {:?}", body.reason))?;
            Ok(Outcome::Dead(DeadLetter {
                raw,
                reason,
                detail: body.detail,
            }))
        }
        Kind::Result => {
            let body: ResultBody = serde_json::from_slice(record).map_err(unreadable)?;
            scored(body, raw, decoder)
        }
    }
}

fn scored(body: ResultBody, raw: RawMessage, decoder: &Decoder) -> Result<Outcome, String> {
    let labels: Vec<String> = body.probabilities.keys().cloned().collect();
    let label = labels
        .iter()
        .position(|label| *label == body.label)
        .ok_or("its label has no probability")?;
    let probabilities: Vec<f32> = body
        .probabilities
        .values()
        .map(|probability| probability.as_f64().map_or(f32::NAN, |value| value as f32))
        .collect();
    let kafka_time = raw.kafka_time;
    // Read as the settings say today, which may be others than then.
    let read_today = match decoder.decode(raw.clone()) {
        Decoded::Message(message) => Some(message),
        Decoded::Dead(_) => None,
    };
    let event_time = read_today
        .as_ref()
        .map(|message| message.event_time)
        .filter(|time| in_record(*time) == body.event_time)
        .or_else(|| body.event_time.parse().ok())
        .unwrap_or(kafka_time);
    let mut message = Message {
        raw,
        id: body.id,
        text: body.text,
        author: body.author,
        source: body.source,
        subject: body.subject,
        language: body.language,
        event_time,
    };
    if body.text_cut
        && let Some(whole) = read_today
        && whole.text.starts_with(&message.text)
    {
        message = Message {
            event_time,
            ..whole
        };
    }
    let problem = problem(&probabilities);
    Ok(Outcome::Scored(Scored {
        message,
        model: Arc::new(ModelVersion {
            version: body.model,
            labels,
            problem,
        }),
        prediction: Prediction {
            label,
            probabilities,
        },
        shadow: None,
        tokens: body.tokens,
        truncated: body.truncated,
    }))
}

/// A time as a record has it.
fn in_record(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What probabilities look like: those of one label of several sum to one. Only asked where nobody knows the model any more.
fn problem(probabilities: &[f32]) -> Problem {
    if (probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-3 {
        Problem::SingleLabel
    } else {
        Problem::MultiLabel
    }
}

/// Brings the probabilities into the order that the database has for the model; `false` where its labels are others.
pub(super) fn reorder(scored: &mut Scored, wanted: &[String]) -> bool {
    let labels = &scored.model.labels;
    let places: Option<Vec<usize>> = wanted
        .iter()
        .map(|name| labels.iter().position(|label| label == name))
        .collect();
    let Some(places) = places.filter(|places| places.len() == labels.len()) else {
        return false;
    };
    let prediction = &mut scored.prediction;
    let probabilities = places.iter().map(|&at| prediction.probabilities[at]);
    let probabilities = probabilities.collect();
    prediction.label = places
        .iter()
        .position(|&at| at == prediction.label)
        .unwrap_or_default();
    prediction.probabilities = probabilities;
    true
}

#[cfg(test)]
mod tests;
