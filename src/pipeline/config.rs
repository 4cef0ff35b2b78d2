//! The `[kafka]`, `[[input]]`, `[output]` and `[batch]` sections. Defaults stand in `config/default.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How to reach Kafka, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port,host:port`.
    pub bootstrap_servers: String,
    /// The consumer group; instances of one deployment share it.
    pub group: String,
    /// This instance's stable name: its transactional id derives from it. Empty means the host's name.
    pub instance: String,
    /// Join as a static member (`group.instance.id` = `instance`), so that a quick restart moves no partition.
    pub static_membership: bool,
    /// Any further librdkafka option, by its own name. Options that would break a guarantee are refused.
    pub client: BTreeMap<String, String>,
}

/// One input topic and how to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    pub topic: String,
    #[serde(default)]
    pub decoder: DecoderKind,
    /// Where the JSON decoder finds each field.
    #[serde(default)]
    pub fields: FieldPaths,
    /// The source of messages that name none.
    #[serde(default)]
    pub source: Option<String>,
}

/// The format of a topic's values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecoderKind {
    /// One JSON object a message.
    #[default]
    Json,
    /// The value is the text.
    Text,
}

/// Paths into a JSON object, with dots between the names of nested objects (`user.name`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldPaths {
    pub id: String,
    pub text: String,
    pub author: String,
    pub source: String,
    pub subject: String,
    pub language: String,
    /// RFC 3339 text, or a number of seconds or milliseconds since the epoch.
    pub event_time: String,
}

impl Default for FieldPaths {
    fn default() -> Self {
        Self {
            id: "id".into(),
            text: "text".into(),
            author: "author".into(),
            source: "source".into(),
            subject: "subject".into(),
            language: "language".into(),
            event_time: "event_time".into(),
        }
    }
}

/// Where outcomes go in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// The topic of results.
    pub results: String,
    /// The topic of dead letters.
    pub dead_letters: String,
}

/// How messages are collected into chunks and batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchConfig {
    /// A chunk closes this many milliseconds after its first message at the latest.
    pub max_delay_ms: u64,
    /// A chunk closes at this many messages.
    pub max_messages: usize,
    /// A batch holds at most this many tokens, padding included.
    pub max_tokens: usize,
    /// Values longer than this many bytes become dead letters instead of being decoded.
    pub max_bytes: usize,
    /// Threads that tokenise, beside the one that infers.
    pub tokenizer_threads: usize,
}
