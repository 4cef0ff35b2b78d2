//! The values of labels that are known beforehand.

use super::declare::Label;
use crate::labels::LabelFault;
use crate::record::DeadReason;

/// Where a chunk spends its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the first message to the chunk's being closed.
    Collect,
    Tokenize,
    Infer,
    /// The SQL transaction.
    Postgres,
    /// The Kafka transaction.
    Kafka,
}

/// Why a chunk was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// Its assignment ended before it was written: partitions went to another instance, an earlier chunk was given up, or the
    /// service was stopped.
    Revoked,
    /// Another instance had claimed its partitions.
    Fenced,
    /// Kafka or Postgres refused it.
    Failed,
}

/// How an attempt to let another model serve ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapEnd {
    /// It serves.
    Served,
    /// It could not be loaded, and what served goes on.
    Failed,
}

impl Label for SwapEnd {
    const ALL: &'static [Self] = &[Self::Served, Self::Failed];

    fn value(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Failed => "failed",
        }
    }
}

/// As what a model has scored a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArmRole {
    /// As the champion, which serves it.
    Champion,
    /// As the model beside the champion, which serves it.
    Candidate,
    /// As the model beside the champion, which does not.
    Shadow,
}

impl Label for ArmRole {
    const ALL: &'static [Self] = &[Self::Champion, Self::Candidate, Self::Shadow];

    fn value(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Candidate => "candidate",
            Self::Shadow => "shadow",
        }
    }
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingEnd {
    /// There is a candidate.
    Done,
    /// It was stopped, and can go on.
    Stopped,
    /// There is no candidate.
    Failed,
}

impl Label for TrainingEnd {
    const ALL: &'static [Self] = &[Self::Done, Self::Stopped, Self::Failed];

    fn value(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// Whose unavailability makes us try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Postgres,
    Kafka,
}

impl Label for Stage {
    const ALL: &'static [Self] = &[
        Self::Collect,
        Self::Tokenize,
        Self::Infer,
        Self::Postgres,
        Self::Kafka,
    ];

    fn value(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Tokenize => "tokenize",
            Self::Infer => "infer",
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
        }
    }
}

impl Label for Abandoned {
    const ALL: &'static [Self] = &[Self::Revoked, Self::Fenced, Self::Failed];

    fn value(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Fenced => "fenced",
            Self::Failed => "failed",
        }
    }
}

impl Label for Target {
    const ALL: &'static [Self] = &[Self::Postgres, Self::Kafka];

    fn value(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
        }
    }
}

impl Label for DeadReason {
    const ALL: &'static [Self] = &DeadReason::ALL;

    fn value(self) -> &'static str {
        self.as_str()
    }
}

impl Label for LabelFault {
    const ALL: &'static [Self] = &LabelFault::ALL;

    fn value(self) -> &'static str {
        self.as_str()
    }
}
