//! From an outcome to the record that stands for it in Kafka. Pure.
//!
//! Results and dead letters are JSON, with [CloudEvents](https://github.com/cloudevents/spec) attributes as headers (its
//! Kafka binding, binary mode). Dead letters also carry Kafka Connect's `__connect.errors.*` headers, which many tools read.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::config::OutputConfig;
use crate::clock;
use crate::record::{DeadLetter, Outcome, RawMessage, Scored};

/// A record on its way to an output topic.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record<'a> {
    pub topic: &'a str,
    /// The source's key, so that results are partitioned as their messages were.
    pub key: Option<Bytes>,
    pub headers: Vec<(String, Bytes)>,
    pub value: Vec<u8>,
}

/// Headers of the source that are passed on: W3C's trace context.
const PASSED_ON: [&str; 3] = ["traceparent", "tracestate", "baggage"];
/// Longer ones are left out: no standard allows them.
const MAX_HEADER: usize = 8192;
/// Most characters of a name (id, author, source, subject, language) in a record that is too large otherwise.
const MAX_NAME: usize = 200;
/// Room for the framing of a record and of its batch.
const FRAMING: usize = 512;

/// Makes records that no broker refuses for their size.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    topics: OutputConfig,
    /// CloudEvents' `source`.
    source: String,
    /// The largest record that both topics take, in bytes.
    max_bytes: usize,
}

impl Encoder {
    pub(super) fn new(topics: OutputConfig, group: &str, max_bytes: usize) -> Self {
        Self {
            topics,
            source: format!("/tidewatch/{group}"),
            max_bytes,
        }
    }

    /// The record of an outcome.
    pub(super) fn encode(&self, outcome: &Outcome) -> Record<'_> {
        match outcome {
            Outcome::Scored(scored) => self.result(scored),
            Outcome::Dead(letter) => self.dead_letter(letter),
        }
    }

    fn result(&self, scored: &Scored) -> Record<'_> {
        let raw = &scored.message.raw;
        let mut record = Record {
            topic: &self.topics.results,
            key: self.key(raw),
            headers: self.headers(
                raw,
                "io.tidewatch.sentiment.scored.v1",
                scored.message.event_time,
            ),
            value: Vec::new(),
        };
        let room = self.room(&record);
        let mut body = result_body(scored, usize::MAX);
        let mut value = body.to_string();
        if value.len() > room {
            // The text is what is long; the whole of it stands in the input topic, at the origin.
            body = result_body(scored, MAX_NAME);
            let without = body.to_string().len();
            let text = cut_to_json(&scored.message.text, room.saturating_sub(without));
            body["text"] = json!(text);
            body["text_cut"] = json!(true);
            value = body.to_string();
        }
        record.value = value.into_bytes();
        record
    }

    fn dead_letter(&self, letter: &DeadLetter) -> Record<'_> {
        let raw = &letter.raw;
        let mut record = Record {
            topic: &self.topics.dead_letters,
            key: self.key(raw),
            headers: self.headers(raw, "io.tidewatch.sentiment.dead.v1", raw.kafka_time),
            value: Vec::new(),
        };
        let detail: String = letter.detail.chars().take(1_000).collect();
        let connect = [
            ("topic", raw.origin.topic.to_string()),
            ("partition", raw.origin.partition.to_string()),
            ("offset", raw.origin.offset.to_string()),
            ("connector.name", "tidewatch".to_owned()),
            ("stage", stage(letter).to_owned()),
            ("exception.class.name", letter.reason.to_string()),
            ("exception.message", detail.clone()),
        ];
        record.headers.extend(
            connect.map(|(name, value)| (format!("__connect.errors.{name}"), Bytes::from(value))),
        );
        let mut body = Map::new();
        body.insert("reason".into(), json!(letter.reason.as_str()));
        body.insert("detail".into(), json!(detail));
        body.insert("origin".into(), origin(raw));
        body.insert("kafka_time".into(), json!(time(raw.kafka_time)));
        if let Some(payload) = &raw.payload {
            body.insert("payload_bytes".into(), json!(payload.len()));
            body.insert(
                "payload_sha256".into(),
                json!(hex::encode(Sha256::digest(payload))),
            );
            let without = Value::Object(body.clone()).to_string().len() + 64;
            let most = self.room(&record).saturating_sub(without) / 4 * 3;
            let kept = &payload[..payload.len().min(most)];
            body.insert("payload".into(), json!(BASE64.encode(kept)));
            if kept.len() < payload.len() {
                body.insert("payload_cut".into(), json!(true));
            }
        }
        record.value = Value::Object(body).to_string().into_bytes();
        record
    }

    /// The source's key, unless it alone would fill the record.
    fn key(&self, raw: &RawMessage) -> Option<Bytes> {
        raw.key
            .clone()
            .filter(|key| key.len() <= self.max_bytes / 4)
    }

    fn headers(&self, raw: &RawMessage, kind: &str, when: DateTime<Utc>) -> Vec<(String, Bytes)> {
        let ours = [
            ("content-type", "application/json".to_owned()),
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", raw.origin.to_string()),
            ("ce_source", self.source.clone()),
            ("ce_type", kind.to_owned()),
            ("ce_time", time(when)),
        ];
        let passed_on = raw.headers.iter().filter_map(|(name, value)| {
            let most = MAX_HEADER.min(self.max_bytes / 16);
            let value = value.clone().filter(|value| value.len() <= most)?;
            PASSED_ON
                .contains(&&*name.to_ascii_lowercase())
                .then(|| (name.clone(), value))
        });
        ours.map(|(name, value)| (name.to_owned(), Bytes::from(value)))
            .into_iter()
            .chain(passed_on.take(PASSED_ON.len()))
            .collect()
    }

    /// What is left for the value.
    fn room(&self, record: &Record<'_>) -> usize {
        let headers: usize = record
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 10)
            .sum();
        let key = record.key.as_ref().map_or(0, Bytes::len);
        self.max_bytes.saturating_sub(headers + key + FRAMING)
    }
}

/// The body of a result, with names of at most `most` characters; where that is a limit, the text is left empty.
fn result_body(scored: &Scored, most: usize) -> Value {
    let (message, model) = (&scored.message, &scored.model);
    let mut body = Map::new();
    let mut name = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            body.insert(key.into(), json!(shortened(value, most)));
        }
    };
    name("id", &message.id);
    name("author", &message.author);
    name("source", &message.source);
    name("subject", &message.subject);
    name("language", &message.language);
    body.insert("event_time".into(), json!(time(message.event_time)));
    body.insert(
        "text".into(),
        json!(if most == usize::MAX {
            &*message.text
        } else {
            ""
        }),
    );
    let label = model
        .labels
        .get(scored.prediction.label)
        .map_or("", String::as_str);
    body.insert("label".into(), json!(label));
    let probabilities = model
        .labels
        .iter()
        .zip(&scored.prediction.probabilities)
        .map(|(label, probability)| (label.clone(), json!(probability)));
    body.insert(
        "probabilities".into(),
        Value::Object(probabilities.collect()),
    );
    body.insert("model".into(), json!(model.version));
    body.insert("tokens".into(), json!(scored.tokens));
    body.insert("truncated".into(), json!(scored.truncated));
    body.insert("origin".into(), origin(&message.raw));
    Value::Object(body)
}

fn origin(raw: &RawMessage) -> Value {
    json!({
        "topic": &*raw.origin.topic,
        "partition": raw.origin.partition,
        "offset": raw.origin.offset,
    })
}

/// Where Kafka Connect would say that it failed.
fn stage(letter: &DeadLetter) -> &'static str {
    match letter.reason {
        crate::record::DeadReason::ModelFailed => "TRANSFORMATION",
        _ => "VALUE_CONVERTER",
    }
}

/// As RFC 3339 has it, whose years have four digits.
fn time(time: DateTime<Utc>) -> String {
    clock::within_calendar(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The longest beginning of a text that takes at most `room` bytes as JSON.
fn cut_to_json(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (index, c) in text.char_indices() {
        used += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if c < ' ' => 6,
            c => c.len_utf8(),
        };
        // Room for the flag that says that it was cut.
        if used + 32 > room {
            return &text[..index];
        }
    }
    text
}

#[cfg(test)]
mod tests;
