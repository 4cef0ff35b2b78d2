//! What was found: how a model is corrected, by what, and what labels say of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Checked, LeftOut};
use crate::adjustment::Adjustment;

/// A kind of remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    PriorCorrection,
    Recalibration,
}

impl Kind {
    /// As it stands in sentences.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::PriorCorrection => "correction of the class shares",
            Self::Recalibration => "recalibration",
        }
    }
}

/// How a remedy came about. It is kept in the bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub kind: Kind,
    /// The version of the model that was trained.
    pub original: String,
    /// The version that was to be corrected: the original, or a model derived from it.
    pub corrects: String,
    /// In the order of the probabilities.
    pub labels: Vec<String>,
    /// What the derived model does to the original's probabilities, and what the one that was named did.
    pub adjustment: Adjustment,
    pub before: Adjustment,
    /// What the watch has estimated, where class shares were taken from it.
    pub watched: Option<WatchedShares>,
    /// What labelled messages say; none where there were too few.
    pub checked: Option<Checked>,
    pub left_out: LeftOut,
    /// All of it for people.
    pub sentences: Vec<String>,
}

/// Class shares by the latest windows of the watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedShares {
    /// The windows' numbers.
    pub windows: Vec<i64>,
    /// When the first message of these was written.
    pub since: DateTime<Utc>,
    pub messages: u64,
    /// In the order of the labels.
    pub shares: Vec<f64>,
    /// 95 % intervals.
    pub intervals: Vec<(f64, f64)>,
    /// The largest condition number of the windows' estimates; none where one is infinite.
    pub condition: Option<f64>,
    /// Every estimate stood still.
    pub converged: bool,
}

/// Class shares as a list for people.
pub(super) fn in_words(labels: &[String], shares: &[f64]) -> String {
    let said: Vec<String> = labels
        .iter()
        .zip(shares)
        .map(|(label, share)| format!("{label} {:.1} %", 100.0 * share))
        .collect();
    said.join(", ")
}
