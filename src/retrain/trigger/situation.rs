//! What is known when it is decided whether to train. All times are in milliseconds since 1970.

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::drift::accuracy::Loss;
use crate::drift::severity::{Remedy, Severity};

/// The serving model and what speaks for or against another one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Situation {
    /// Version of the serving model.
    pub champion: String,
    /// Hash of how it would be trained: the recipe, the base data and the choice of rows.
    pub recipe: String,
    /// What has been labelled since the last training.
    pub labels: LabelStock,
    /// Unlabelled texts of the feed that could be trained on.
    pub texts: u64,
    /// The champion's open alarms, as they were decided last.
    pub alarms: Vec<OpenAlarm>,
    /// Accuracy lost, measured on labels, where these are enough to tell.
    pub measured: Option<Loss>,
    /// Accuracy lost, as estimated from the model's confidence.
    pub estimated: Option<Loss>,
    /// Requests by hand that have not been answered.
    pub requests: Vec<Request>,
    /// The trainings of the last 24 hours, those since the latest that passed, and the latest one in any case. Whoever keeps
    /// them must refuse a fingerprint that any earlier one had.
    pub runs: Vec<Run>,
    /// Launches and cures that were decided for the champion before, whatever came of them.
    pub decided: Vec<Fingerprint>,
    /// Cures without training that have been applied to the champion.
    pub applied: Vec<Fingerprint>,
}

/// Labels that could be trained on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelStock {
    /// Labelled messages with their text, and with a label that counts, since the last training that came to a verdict.
    pub usable: u64,
    /// Those of the champion's messages that were chosen by chance and could calibrate it.
    pub random: u64,
    /// Number of the latest label, in the order of arrival.
    pub mark: i64,
    /// Hash of the rows that would be trained on, where they have been chosen.
    pub rows: Option<String>,
}

/// An alarm of the champion that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAlarm {
    /// The id of its first report.
    pub id: String,
    /// When it was opened.
    pub since: i64,
    /// How bad it is.
    pub severity: Severity,
    /// What is proposed.
    pub remedy: Remedy,
}

/// Somebody wants a training, by HTTP or on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Tells it from others.
    pub id: String,
    /// Who asks.
    pub by: String,
    /// Neither cool-down nor breaker shall stop it.
    #[serde(default)]
    pub force: bool,
}

/// A training that was launched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// What it was launched for.
    pub fingerprint: Fingerprint,
    /// When it was launched.
    pub started: i64,
    /// When and how it ended; none while it runs, or is to be resumed.
    pub ended: Option<(i64, RunEnd)>,
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// The candidate passed the gate.
    Passed,
    /// The gate could not tell; the candidate is watched beside the champion.
    Inconclusive,
    /// The candidate failed the gate.
    Failed,
    /// The candidate passed the gate, and its rollout was halted or taken back.
    RolledBack,
    /// The program refused its input, or was not good enough by its own measure.
    Refused,
    /// It died or was killed, and was not resumed.
    Died,
    /// Somebody stopped it.
    Stopped,
}

impl RunEnd {
    /// Whether it counts as a failure, as none or as a success; none: it says nothing of the next one.
    #[must_use]
    pub fn is_failure(self) -> Option<bool> {
        match self {
            Self::Passed => Some(false),
            Self::Failed | Self::RolledBack | Self::Refused | Self::Died => Some(true),
            Self::Inconclusive | Self::Stopped => None,
        }
    }
}
