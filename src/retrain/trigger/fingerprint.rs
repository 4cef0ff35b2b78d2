//! What a training would be trained on, and why, as one number.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cause::Cause;
use super::situation::Situation;
use crate::drift::severity::Remedy;

/// The hex SHA-256 of what would be done and why: two equal ones are the same training, or the same cure, and it is done
/// once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of a training: the champion it starts from, the labels, the recipe and the cause. The labels are told by the hash of
    /// the chosen rows where these have been chosen, else by the number of the latest label.
    #[must_use]
    pub fn of_training(situation: &Situation, cause: &Cause) -> Self {
        let mark = situation.labels.mark.to_string();
        let labels = match &situation.labels.rows {
            Some(rows) => ["rows", rows],
            None => ["mark", &mark],
        };
        let [what, which] = cause.key();
        Self::hash(&[
            "training",
            &situation.champion,
            &situation.recipe,
            labels[0],
            labels[1],
            what,
            which,
        ])
    }

    /// Of a cure without training: once for each alarm of a champion.
    #[must_use]
    pub fn of_remedy(situation: &Situation, remedy: Remedy, alarm: &str) -> Self {
        let remedy = match remedy {
            Remedy::None => "none",
            Remedy::PriorCorrection => "prior_correction",
            Remedy::Recalibration => "recalibration",
            Remedy::AskForLabels => "ask_for_labels",
            Remedy::ContinuedPretraining => "continued_pretraining",
            Remedy::Retrain => "retrain",
        };
        Self::hash(&["remedy", &situation.champion, remedy, alarm])
    }

    /// One that was kept.
    #[must_use]
    pub fn kept(digits: String) -> Self {
        Self(digits)
    }

    /// Its 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn hash(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hex::encode(hash.finalize()))
    }
}
