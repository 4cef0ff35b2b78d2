//! The `[kafka]`, `[[input]]`, `[output]` and `[batch]` sections. Defaults stand in `config/default.toml`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How to reach Kafka, and as whom.
#[derive(Clone, PartialEq, Eq, Deserialize)]
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
    /// Where a partition without a committed offset begins.
    pub start: Start,
    /// Any further librdkafka option, by its own name. Options that would break a guarantee are refused.
    #[serde(default)]
    pub client: BTreeMap<String, String>,
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    Earliest,
    Latest,
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
    /// A chunk closes at this many bytes of values.
    pub max_chunk_bytes: usize,
    /// A batch holds at most this many tokens, padding included.
    pub max_tokens: usize,
    /// Values longer than this many bytes become dead letters instead of being decoded.
    pub max_bytes: usize,
    /// Threads that tokenise, beside the one that infers; 0 takes half of the cores.
    pub tokenizer_threads: usize,
}

/// Options of the client that carry the exactly-once promise or an identity, with what to do instead of setting them.
const REFUSED: [(&str, &str); 16] = [
    ("bootstrap.servers", "set [kafka] bootstrap_servers"),
    ("metadata.broker.list", "set [kafka] bootstrap_servers"),
    ("group.id", "set [kafka] group"),
    (
        "group.instance.id",
        "set [kafka] static_membership and instance",
    ),
    (
        "group.protocol",
        "the hand-over of partitions relies on the classic protocol",
    ),
    (
        "transactional.id",
        "set [kafka] instance, from which it derives",
    ),
    ("auto.offset.reset", "set [kafka] start"),
    (
        "enable.auto.commit",
        "offsets are committed with the results, in one transaction",
    ),
    (
        "auto.commit.enable",
        "offsets are committed with the results, in one transaction",
    ),
    (
        "offset.store.method",
        "offsets are committed with the results, in one transaction",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed with the results, in one transaction",
    ),
    (
        "isolation.level",
        "only committed messages and offsets may be read",
    ),
    ("enable.idempotence", "transactions need it"),
    (
        "acks",
        "a result counts only when every in-sync replica has it",
    ),
    (
        "request.required.acks",
        "a result counts only when every in-sync replica has it",
    ),
    ("enable.partition.eof", "it is the service's own"),
];

/// The least `max.poll.interval.ms`: a quarter of it is what a chunk has to be committed in when partitions are handed over.
const LEAST_POLL_INTERVAL: u64 = 10_000;

impl KafkaConfig {
    /// Says what makes no sense, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("bootstrap_servers", &self.bootstrap_servers),
            ("group", &self.group),
        ] {
            if value.trim().is_empty() {
                return Err(format!("[kafka] {name} is empty"));
            }
        }
        if let Some(value) = self.client.get("max.poll.interval.ms")
            && value
                .parse::<u64>()
                .is_ok_and(|value| value < LEAST_POLL_INTERVAL)
        {
            return Err(format!(
                "[kafka.client] max.poll.interval.ms = {value} leaves too little time to hand partitions over: at least {LEAST_POLL_INTERVAL}"
            ));
        }
        match REFUSED
            .iter()
            .find(|(option, _)| self.client.contains_key(*option))
        {
            Some((option, instead)) => {
                Err(format!("[kafka.client] must not set {option}: {instead}"))
            }
            None => Ok(()),
        }
    }

    /// The instance's name: as configured, or else the host's.
    #[must_use]
    pub fn instance_name(&self) -> String {
        if !self.instance.is_empty() {
            return self.instance.clone();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        match host.trim() {
            "" => "tidewatch".to_owned(),
            name => name.to_owned(),
        }
    }
}

impl fmt::Debug for KafkaConfig {
    /// Without the values of client options: passwords are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("group", &self.group)
            .field("instance", &self.instance)
            .field("static_membership", &self.static_membership)
            .field("start", &self.start)
            .field("client", &self.client.keys())
            .finish()
    }
}

impl InputConfig {
    /// Says what makes no sense, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.topic.is_empty() {
            return Err("an [[input]] has an empty topic".to_owned());
        }
        if self.decoder == DecoderKind::Json && self.fields.text.is_empty() {
            return Err(format!(
                "the [[input]] {} says nowhere where the text is: set fields.text",
                self.topic
            ));
        }
        Ok(())
    }
}

impl OutputConfig {
    /// Says what makes no sense, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.results.is_empty()
            || self.dead_letters.is_empty()
            || self.results == self.dead_letters
        {
            return Err("[output] results and dead_letters must be two topics".to_owned());
        }
        Ok(())
    }
}

impl BatchConfig {
    /// Says what makes no sense, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        let least = [
            ("max_messages", self.max_messages, 1),
            ("max_tokens", self.max_tokens, 1),
            ("max_bytes", self.max_bytes, 1),
            ("max_chunk_bytes", self.max_chunk_bytes, 1),
        ];
        match least.iter().find(|(_, value, least)| value < least) {
            Some((name, _, least)) => Err(format!("[batch] {name} must be at least {least}")),
            None => Ok(()),
        }
    }
}
