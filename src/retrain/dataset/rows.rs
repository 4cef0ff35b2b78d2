//! Rows to choose from, and rows that were chosen. Times are in milliseconds since 1970.

use crate::labels::Sampling;
use crate::labels::consensus::Vote;
use crate::record::Origin;

/// A labelled message of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackRow {
    pub origin: Origin,
    /// The number of its first label, in the order of arrival. It never changes.
    pub arrived: i64,
    /// The producer's own identifier.
    pub message_id: Option<String>,
    /// Empty where it is not kept.
    pub text: String,
    /// What people say of it.
    pub votes: Vec<Vote>,
    /// The probability with which it was chosen to be labelled, where that is known.
    pub inclusion: Option<f64>,
    pub author: Option<String>,
    pub source: Option<String>,
    pub subject: Option<String>,
    /// When it was written.
    pub event_time: i64,
}

/// What the first training was on, as its recipe's files and split give it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base {
    pub train: Vec<BaseRow>,
    pub validation: Vec<BaseRow>,
}

/// A row of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRow {
    pub id: Option<String>,
    /// Prepared: escapes are undone.
    pub text: String,
    /// Index of its class.
    pub label: usize,
    pub time: Option<i64>,
}

/// A message of the feed without a label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnlabelledRow {
    pub text: String,
    /// When it was written.
    pub event_time: i64,
    pub author: Option<String>,
    pub source: Option<String>,
}

/// A row that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The place in Kafka of a message of the feed; the id of a base row, or its text's fingerprint where it has none.
    pub id: String,
    pub text: String,
    /// Index of its class.
    pub label: usize,
    pub time: Option<i64>,
    /// How often it occurs in an epoch.
    pub repeats: u32,
    /// [`Fingerprint::near`](crate::drift::reading::Fingerprint::near) of its text.
    pub print: u64,
}

/// A row for the gate, with what is needed to compare slices and to correct for how it was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOutRow {
    pub row: Row,
    pub source: Option<String>,
    pub subject: Option<String>,
    pub sampling: Sampling,
    /// The probability with which it was chosen to be labelled, where that is known.
    pub inclusion: Option<f64>,
}
