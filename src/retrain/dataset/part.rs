//! Which part a labelled message belongs to.

use super::config::DatasetConfig;
use super::rows::FeedbackRow;
use crate::coin;

/// What a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// To train on.
    Train,
    /// To calibrate on.
    Validation,
    /// For the gate.
    HeldOut,
}

/// No setting changes it: whatever was held out from one model must stay held out from the next, which starts from its
/// weights.
const SALT: &str = "tidewatch.held-out";

impl Part {
    /// By a hash of the author, so that nobody's habits are in two parts; of the message's id, or of its place, where the
    /// author is not known. As long as the shares stay as they are a message never changes its part.
    #[must_use]
    pub fn of(row: &FeedbackRow, config: &DatasetConfig) -> Self {
        let source = row.source.as_deref().unwrap_or_default().as_bytes();
        let place = row.origin.to_string();
        let (kind, name) = match (&row.author, &row.message_id) {
            (Some(author), _) => ("author", author),
            (None, Some(id)) => ("id", id),
            (None, None) => ("place", &place),
        };
        let fallen = coin::toss(SALT, &[kind.as_bytes(), source, name.as_bytes()]);
        if fallen < config.held_out {
            Self::HeldOut
        } else if fallen < config.held_out + config.validation {
            Self::Validation
        } else {
            Self::Train
        }
    }
}
