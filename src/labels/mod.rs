//! Labels that people give to messages, often long after those were scored. Pure: how a record becomes a label, and what several
//! labels of one message come to. `store` keeps them beside the predictions they are about.

pub mod config;
pub mod consensus;
pub mod decode;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::record::Origin;

/// What somebody says that a message is.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    pub message: Reference,
    /// By the name that the model has for it, in whatever case.
    pub label: String,
    /// Who says so; empty where the label does not say.
    pub annotator: String,
    pub sampling: Sampling,
    /// When it was given.
    pub given_at: DateTime<Utc>,
}

/// Which message a label is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The one at this place in Kafka.
    Place(Origin),
    /// The earliest one with this id, of one topic where it is named.
    Id { id: String, topic: Option<String> },
}

/// How a message came to be labelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// By chance: such labels say how often the model is right.
    #[default]
    Random,
    /// Because the model was not sure: more of these are wrong than of others, so they only serve for training.
    Uncertain,
}

impl Sampling {
    /// As it stands in labels and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Uncertain => "uncertain",
        }
    }

    /// The one of this name, in whatever case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Random, Self::Uncertain]
            .into_iter()
            .find(|sampling| sampling.as_str().eq_ignore_ascii_case(name.trim()))
    }
}

/// Why a label is not taken; the `reason` label of the metric and of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelFault {
    /// The record is no JSON object.
    Undecodable,
    /// It says nowhere which message it is about.
    NoMessage,
    /// It holds no label.
    NoLabel,
    /// Its sampling is none that is known.
    UnknownSampling,
    /// Its label is none of the model that scored the message.
    UnknownLabel,
}

impl LabelFault {
    /// Every reason, for metrics that must exist before the first event.
    pub const ALL: [Self; 5] = [
        Self::Undecodable,
        Self::NoMessage,
        Self::NoLabel,
        Self::UnknownSampling,
        Self::UnknownLabel,
    ];

    /// The stable name used in metrics and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::NoMessage => "no_message",
            Self::NoLabel => "no_label",
            Self::UnknownSampling => "unknown_sampling",
            Self::UnknownLabel => "unknown_label",
        }
    }
}

/// The model's own name for a label that a person wrote, whatever its case and the space around it.
#[must_use]
pub fn canonical<'a>(labels: &'a [String], given: &str) -> Option<&'a str> {
    let given = given.trim();
    let found = labels
        .iter()
        .find(|label| label.eq_ignore_ascii_case(given));
    found.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_whatever_its_case_and_another_is_not() {
        let labels = ["negative", "positive"].map(String::from);
        assert_eq!(canonical(&labels, " Positive\n"), Some("positive"));
        assert_eq!(canonical(&labels, "postive"), None);
        assert_eq!(Sampling::named("RANDOM"), Some(Sampling::Random));
        assert_eq!(Sampling::named("some"), None);
    }
}
