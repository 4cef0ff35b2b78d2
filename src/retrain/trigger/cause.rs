//! What a training is for.

use serde::{Deserialize, Serialize};

use crate::drift::severity::Severity;

/// Why a training is launched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// Somebody asked for it.
    Request {
        /// Tells the request from others.
        id: String,
        /// Who asked.
        by: String,
        /// Neither cool-down nor breaker shall stop it.
        force: bool,
    },
    /// A drift that training can cure.
    Alarm {
        /// The alarm.
        id: String,
        /// How bad it is.
        severity: Severity,
        /// The encoder is trained on unlabelled texts of the feed first.
        unlabelled: bool,
    },
    /// Accuracy was lost.
    Loss {
        /// Points of accuracy.
        points: f64,
        /// On labels; else estimated from the model's confidence.
        measured: bool,
    },
    /// There are many labels that the model has not seen.
    Labels {
        /// How many.
        new: u64,
    },
}

impl Cause {
    /// Whether neither cool-down nor breaker stops it.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        matches!(self, Self::Request { force: true, .. })
    }

    /// What it is, without what only counts on: the same cause later has the same key.
    pub(super) fn key(&self) -> [&str; 2] {
        match self {
            Self::Request { id, .. } => ["request", id],
            Self::Alarm {
                id,
                unlabelled: false,
                ..
            } => ["alarm", id],
            Self::Alarm { id, .. } => ["alarm with unlabelled texts", id],
            Self::Loss { .. } => ["loss", ""],
            Self::Labels { .. } => ["labels", ""],
        }
    }
}
