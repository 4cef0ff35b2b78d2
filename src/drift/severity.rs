//! How bad a drift is, and what to do about it.
//!
//! A tiny p-value says that the feed has surely changed, not that it matters: with enough messages any change is significant.
//! Severity therefore goes by the accuracy lost, measured on labels where there are some and estimated otherwise.

use serde::{Deserialize, Serialize};

use super::accuracy::{CalibrationError, Loss};

/// How much accuracy a drift costs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Less than matters, or nothing is known of a loss.
    #[default]
    None,
    /// Worth a look.
    Low,
    /// Worth work.
    Medium,
    /// Worth an interruption.
    High,
}

/// What to do about a drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Nothing.
    #[default]
    None,
    /// Weigh the probabilities by the new class shares ([`shift::correct`](super::shift::correct)).
    PriorCorrection,
    /// Fit the temperature again on labelled messages.
    Recalibration,
    /// Have a random sample labelled: without labels it cannot be told what is wrong.
    AskForLabels,
    /// Train the encoder on unlabelled messages of the feed, then tune it as before.
    ContinuedPretraining,
    /// Train with newly labelled messages.
    Retrain,
}

/// Limits of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Points of accuracy lost from which a drift is of low severity.
    pub low: f64,
    /// The same for medium severity.
    pub medium: f64,
    /// The same for high severity.
    pub high: f64,
    /// Points by which class shares must have moved (total variation) for a correction to be worth it.
    pub shift: f64,
    /// Largest condition at which an estimate of class shares is believed
    /// ([`LabelShift::condition`](super::shift::LabelShift::condition)).
    pub condition: f64,
    /// Points between confidence and accuracy on labels from which the calibration is taken for lost.
    pub calibration: f64,
    /// Share of the drift from which one subject is said to carry it.
    pub one_subject: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            low: 1.0,
            medium: 3.0,
            high: 7.0,
            shift: 5.0,
            condition: 30.0,
            calibration: 2.0,
            one_subject: 0.5,
        }
    }
}

/// What is known of a drift.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Situation {
    /// A statistic of labels, probabilities or confidence fired.
    pub labels_fired: bool,
    /// A statistic of words, tokens or lengths fired.
    pub vocabulary_fired: bool,
    /// The sequential test on labelled errors fired.
    pub errors_fired: bool,
    /// The estimated movement of the class shares, where there is one.
    pub shift: Option<ShiftSize>,
    /// Estimated loss of accuracy, where there is a baseline.
    pub estimated: Option<Loss>,
    /// Measured loss of accuracy, where there are labels.
    pub measured: Option<Loss>,
    /// Right less confidence on labels of this window, where there are some.
    pub calibration: Option<CalibrationError>,
    /// Share of the drift that the one subject with the most of it carries (0 to 1), where known.
    pub one_subject: Option<f64>,
}

/// The size of an estimated label shift.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShiftSize {
    /// Total variation distance of the class shares from those of the calibration set, in points.
    pub points: f64,
    /// Some class's 95 % interval does not hold its old share.
    pub significant: bool,
    /// How well the classes are told apart; smaller is better, from 1.
    pub condition: f64,
    /// The estimate stood still.
    pub converged: bool,
}

impl ShiftSize {
    /// Whether it is sure and large enough to be acted on, or reckoned with.
    #[must_use]
    pub fn is_believed(&self, settings: &Settings) -> bool {
        self.significant
            && self.converged
            && self.points >= settings.shift
            && self.condition <= settings.condition
    }
}

/// What a drift means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// How bad it is.
    pub severity: Severity,
    /// What to do.
    pub remedy: Remedy,
    /// Why, in one sentence.
    pub reason: &'static str,
}

/// The severity of a loss. A loss whose interval holds zero is at most low: it may be none.
#[must_use]
pub fn severity(loss: Option<Loss>, settings: &Settings) -> Severity {
    let Some(loss) = loss else {
        return Severity::None;
    };
    let severity = if loss.points >= settings.high {
        Severity::High
    } else if loss.points >= settings.medium {
        Severity::Medium
    } else if loss.points >= settings.low {
        Severity::Low
    } else {
        Severity::None
    };
    if loss.low > 0.0 {
        severity
    } else {
        severity.min(Severity::Low)
    }
}

/// Decides by the first row that holds; an empty cell means either.
///
/// | row | fired | vocabulary | clear shift | labels | calibration lost | severity | one subject | remedy |
/// |---|---|---|---|---|---|---|---|---|
/// | 1 | no | | | | | | | none |
/// | 2 | yes | no | yes | | no | | | prior correction |
/// | 3 | yes | | | yes | | high | | retrain |
/// | 4 | yes | yes | | yes | | low, medium | no | continued pretraining |
/// | 5 | yes | | | yes | | medium | | retrain |
/// | 6 | yes | | | yes | yes | none, low | | recalibration |
/// | 7 | yes | | | yes | no | none, low | | none |
/// | 8 | yes | yes | | no | | medium, high | no | continued pretraining |
/// | 9 | yes | no | | no | | none, and a loss is known | | none |
/// | 10 | yes | | | no | | | | ask for labels |
///
/// "Clear shift" is an estimate of class shares that converged at a condition within the limit and lies both beyond chance and
/// beyond the limit in points. It must be the whole story for row 2: class shares are estimated under the assumption that the
/// words of each class stayed as they were, and labels that show lost calibration contradict it. "Calibration lost" needs labels.
/// The severity is of the measured loss if there are labels, else of the estimated one. Rows 8 and 10: without labels words that
/// are new everywhere cost accuracy for a cause that unlabelled text cures, whereas for one new subject, or for doubt that words
/// do not explain, the model's own confidence is no witness.
#[must_use]
pub fn decide(situation: &Situation, settings: &Settings) -> Decision {
    let labelled = situation.measured.is_some();
    let severity = severity(situation.measured.or(situation.estimated), settings);
    let fired = situation.labels_fired || situation.vocabulary_fired || situation.errors_fired;
    let words = situation.vocabulary_fired;
    let shifted = situation
        .shift
        .is_some_and(|shift| shift.is_believed(settings));
    let lost = situation.calibration.is_some_and(|calibration| {
        !calibration.may_be_zero() && calibration.bias.abs() * 100.0 >= settings.calibration
    });
    let one = situation
        .one_subject
        .is_some_and(|share| share >= settings.one_subject);
    let (remedy, reason) = if !fired {
        (Remedy::None, "No statistic shows a change.")
    } else if !words && shifted && !lost {
        (
            Remedy::PriorCorrection,
            "The shares of the classes have moved while the words stayed the same, which weighing the probabilities by the new shares makes good.",
        )
    } else if labelled {
        with_labels(severity, words, one, lost)
    } else {
        without_labels(severity, words, one, situation.estimated.is_some())
    };
    Decision {
        severity,
        remedy,
        reason,
    }
}

/// Rows 3 to 7.
fn with_labels(severity: Severity, words: bool, one: bool, lost: bool) -> (Remedy, &'static str) {
    match severity {
        Severity::High => (
            Remedy::Retrain,
            "Labels show a loss too large to be made good without training on new examples.",
        ),
        Severity::Low | Severity::Medium if words && !one => (
            Remedy::ContinuedPretraining,
            "Labels show a loss while the words have changed in all subjects, so the model has to learn the new words first.",
        ),
        Severity::Medium => (
            Remedy::Retrain,
            "Labels show a loss that a change of words all over the feed does not explain, so what is right has changed.",
        ),
        Severity::None | Severity::Low if lost => (
            Remedy::Recalibration,
            "Labels show that the answers hold but the confidence in them does not.",
        ),
        Severity::None | Severity::Low => (
            Remedy::None,
            "Labels show that the model reads the changed feed about as well as before.",
        ),
    }
}

/// Rows 8 to 10.
fn without_labels(
    severity: Severity,
    words: bool,
    one: bool,
    known: bool,
) -> (Remedy, &'static str) {
    match (words, severity) {
        (true, Severity::Medium | Severity::High) if !one => (
            Remedy::ContinuedPretraining,
            "The words have changed in all subjects and the model is less sure, which training on the feed's unlabelled text can mend.",
        ),
        (true, _) if one => (
            Remedy::AskForLabels,
            "One subject with other words carries the drift, and whether the model reads it right only labels can tell.",
        ),
        (true, _) => (
            Remedy::AskForLabels,
            "The words have changed, and an accuracy estimated from confidence does not see words that changed their meaning.",
        ),
        (false, Severity::None) if known => (
            Remedy::None,
            "The answers are distributed otherwise, but no loss of accuracy is to be expected from it.",
        ),
        (false, _) => (
            Remedy::AskForLabels,
            "The answers have changed for a reason that neither words nor class shares explain, so labels have to tell.",
        ),
    }
}

#[cfg(test)]
mod tests;
