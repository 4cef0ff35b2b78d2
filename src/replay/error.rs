//! What can go wrong with a file, and with one of its lines.

use std::path::PathBuf;

/// A fault that ends a replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("cannot read {}: {source}", path.display())]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the format of {} is not clear from its name: say --format tsv, csv, jsonl or lines", path.display())]
    UnknownFormat { path: PathBuf },
    #[error(
        "{file} has no column named '{column}' in its first line: name the column by its header or its number (from 1), for example --text-field 3"
    )]
    NoSuchColumn { file: String, column: String },
    #[error("columns are numbered from 1: '{0}' is none")]
    ColumnZero(String),
    #[error("{}", crate::refusal::of_client(.0))]
    Client(rdkafka::error::KafkaError),
    #[error("no Kafka broker answers ({0}): check the address, and that the broker runs")]
    Unreachable(#[source] rdkafka::error::KafkaError),
    #[error(
        "Kafka has no topic {topic} for this user ({fault}): create it, or check its name and the user's rights"
    )]
    NoTopic {
        topic: String,
        fault: rdkafka::error::RDKafkaErrorCode,
    },
}

/// A line that gives no post, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {detail}")]
pub struct LineFault {
    pub file: String,
    /// Counted from 1.
    pub line: u64,
    /// What is wrong, such as `no column 3 (the line has 2)`.
    pub detail: String,
}
