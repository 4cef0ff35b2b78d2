//! The types handed from stage to stage, in the order in which a message meets them.
//!
//! Reading this file from top to bottom is reading the pipeline: a [`Message`] (or a [`DeadLetter`]) is
//! collected into a [`Chunk`], encoded ([`EncodedChunk`]), grouped into [`Batch`]es, scored, and leaves as a [`ScoredChunk`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Where a message stands in Kafka: the identity of everything derived from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

impl Origin {
    /// The partition this message was read from.
    #[must_use]
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// What Kafka delivered, before decoding; kept so that a dead letter can carry the original bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    pub origin: Origin,
    /// The broker's or producer's timestamp of the record. It never changes on redelivery,
    /// so storage may partition by it.
    pub kafka_time: DateTime<Utc>,
    pub key: Option<Bytes>,
    /// Headers in their order; passed on to the result (trace context) or the dead letter.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// `None` is a tombstone.
    pub payload: Option<Bytes>,
}

/// One decoded post or review.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub raw: RawMessage,
    /// The producer's own identifier of the post, if it has one.
    pub id: Option<String>,
    /// The text as received.
    pub text: String,
    pub author: Option<String>,
    /// The platform or feed, such as `twitter` or `app-store`.
    pub source: Option<String>,
    /// What the post is about: a brand, product or topic.
    pub subject: Option<String>,
    /// BCP 47 language tag, as received.
    pub language: Option<String>,
    /// When the post was written; [`RawMessage::kafka_time`] where the payload does not say.
    pub event_time: DateTime<Utc>,
}

/// Why a message became a dead letter; the `reason` label of metrics, rows and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeadReason {
    /// The record has no value.
    Tombstone,
    /// The value is larger than the configured limit.
    TooLarge,
    /// The value is not what the topic's decoder expects.
    Undecodable,
    /// Decoded, but it holds no text (absent, empty, or only whitespace and control characters).
    NoText,
    /// The model failed on this message alone.
    ModelFailed,
}

impl DeadReason {
    /// Every reason, for metrics that must exist before the first event.
    pub const ALL: [Self; 5] = [
        Self::Tombstone,
        Self::TooLarge,
        Self::Undecodable,
        Self::NoText,
        Self::ModelFailed,
    ];

    /// The stable name used in metrics, headers and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::TooLarge => "too_large",
            Self::Undecodable => "undecodable",
            Self::NoText => "no_text",
            Self::ModelFailed => "model_failed",
        }
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message that cannot be scored, with its reason and its original bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub raw: RawMessage,
    pub reason: DeadReason,
    /// One sentence for a person, such as `expected JSON: EOF at line 1 column 7`.
    pub detail: String,
}

/// What decoding makes of a [`RawMessage`].
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    Message(Message),
    Dead(DeadLetter),
}

impl Decoded {
    /// The record this came from.
    #[must_use]
    pub fn raw(&self) -> &RawMessage {
        match self {
            Self::Message(message) => &message.raw,
            Self::Dead(letter) => &letter.raw,
        }
    }
}

/// The offsets a chunk covers: for each partition `first..next`, where `next` is what gets committed.
///
/// A range may be wider than its messages (compaction and transaction markers leave gaps).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offsets(pub BTreeMap<TopicPartition, Range<i64>>);

impl Offsets {
    /// Extends the range of the message's partition so that it includes the message.
    pub fn include(&mut self, origin: &Origin) {
        let next = origin.offset + 1;
        self.0
            .entry(origin.topic_partition())
            .and_modify(|range| {
                range.start = range.start.min(origin.offset);
                range.end = range.end.max(next);
            })
            .or_insert(origin.offset..next);
    }
}

/// Numbers an instance's assignments: it rises with every rebalance that changes what the instance owns,
/// so that a chunk collected under an older one is recognised and abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Assignment(pub u64);

/// The unit of work and of commit: consecutive messages of one consumer's stream.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// In the order consumed.
    pub items: Vec<Decoded>,
    pub offsets: Offsets,
    /// The assignment under which every item was consumed.
    pub assignment: Assignment,
    /// When the first item arrived; latency is measured from here.
    pub started: std::time::Instant,
}

/// A text as the model's token ids, special tokens included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub ids: Vec<u32>,
    /// The text was longer than the model takes; its tail was cut.
    pub truncated: bool,
}

/// A chunk whose texts have been turned into tokens.
#[derive(Debug, Clone)]
pub struct EncodedChunk {
    pub chunk: Chunk,
    /// One for each [`Decoded::Message`] of the chunk that the champion scores, in their order: all of them, unless a rollout is
    /// under way.
    pub encoded: Vec<Encoded>,
}

/// A padded batch for the model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Token ids, row-major `[rows, width]`, padded at the end of each row.
    pub ids: Vec<i64>,
    /// 1 for a token and 0 for padding, row-major `[rows, width]`.
    pub mask: Vec<i64>,
    pub rows: usize,
    pub width: usize,
    /// For each row, the index of its text among those that were batched together.
    pub members: Vec<usize>,
}

/// How a model's labels relate to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Exactly one label holds: probabilities are a softmax and sum to one.
    #[default]
    SingleLabel,
    /// Any number of labels hold: probabilities are independent sigmoids.
    MultiLabel,
}

/// Which model scored a message, and what its outputs mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelVersion {
    /// The hex SHA-256 of the bundle's manifest: the bundle's identity.
    pub version: String,
    pub labels: Vec<String>,
    pub problem: Problem,
}

/// What the model says of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Index of the most probable label in [`ModelVersion::labels`].
    pub label: usize,
    /// One calibrated probability for each label, in the labels' order.
    pub probabilities: Vec<f32>,
}

/// What a model says of a message that another one serves.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowPrediction {
    pub model: Arc<ModelVersion>,
    /// The number of the rollout for which it was scored.
    pub rollout: i64,
    pub prediction: Prediction,
}

/// A message with its prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    pub message: Message,
    /// The model that scored it.
    pub model: Arc<ModelVersion>,
    pub prediction: Prediction,
    /// What another model says of it, where one was asked too.
    pub shadow: Option<Box<ShadowPrediction>>,
    /// Tokens seen by the model, special tokens included.
    pub tokens: u32,
    pub truncated: bool,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Scored(Scored),
    Dead(DeadLetter),
}

impl Outcome {
    /// The record this came from.
    #[must_use]
    pub fn raw(&self) -> &RawMessage {
        match self {
            Self::Scored(scored) => &scored.message.raw,
            Self::Dead(letter) => &letter.raw,
        }
    }
}

/// What is kept of a chunk's messages in one partition that one model has scored, for those who watch the feed; what the bytes hold is theirs to know.
///
/// It is written and replaced together with the messages' rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pane {
    pub partition: TopicPartition,
    /// The offsets that the chunk covers there.
    pub offsets: Range<i64>,
    /// The model that scored its messages.
    pub model: Arc<ModelVersion>,
    pub payload: Vec<u8>,
}

/// A chunk ready to be committed: one outcome for each of its messages, each scored by the model that it names.
#[derive(Debug, Clone)]
pub struct ScoredChunk {
    /// In the order consumed.
    pub outcomes: Vec<Outcome>,
    pub offsets: Offsets,
    pub assignment: Assignment,
    /// One for each partition with scored messages and each model that has scored any there, where the feed is watched.
    pub panes: Vec<Pane>,
    /// When the first message of the chunk arrived.
    pub started: std::time::Instant,
}
