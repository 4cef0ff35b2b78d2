//! What labels say of a window's messages, beside what was estimated of them without any.

use serde::{Deserialize, Serialize};

use super::accuracy::{CalibrationError, EstimatedAccuracy, Loss};
use super::proportion::{share, wilson};

/// What is known of a labelled message's answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The probability of the predicted label.
    pub confidence: f32,
    /// The predicted label is the one that people gave.
    pub right: bool,
}

/// What the labels of messages chosen by chance say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    pub accuracy: MeasuredAccuracy,
    /// Right less confidence; none for fewer than two labels.
    pub calibration: Option<CalibrationError>,
    /// How the accuracy that was estimated without labels compares.
    pub agreement: Agreement,
}

impl Measured {
    /// Of some answers, beside an estimate for all messages; none without answers.
    #[must_use]
    pub fn of(answers: &[Answer], estimated: Option<&EstimatedAccuracy>) -> Option<Self> {
        let right = answers.iter().filter(|answer| answer.right).count();
        let accuracy = MeasuredAccuracy::of(right as u64, answers.len() as u64);
        let pairs = answers
            .iter()
            .map(|answer| (answer.confidence, answer.right));
        (!answers.is_empty()).then(|| Self {
            accuracy,
            calibration: CalibrationError::of(pairs),
            agreement: estimated
                .map_or(Agreement::Unknown, |estimated| accuracy.compare(estimated)),
        })
    }
}

/// Accuracy measured on labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredAccuracy {
    /// Share of the labelled answers that were right; 0 without labels.
    pub value: f64,
    /// Lower end of its 95 % interval (Wilson 1927).
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
    /// Labelled messages.
    pub messages: u64,
}

impl MeasuredAccuracy {
    /// Of `messages` labelled ones, `right` were answered right.
    #[must_use]
    pub fn of(right: u64, messages: u64) -> Self {
        let (low, high) = wilson(right, messages);
        Self {
            value: share(right, messages),
            low,
            high,
            messages,
        }
    }

    /// Answers that were right.
    #[must_use]
    pub fn right(&self) -> u64 {
        (self.value * self.messages as f64).round() as u64
    }

    /// Whether the accuracy estimated without labels can be believed in view of the labels.
    ///
    /// The difference of the two has the interval that Zou and Donner 2008 ("Construction of confidence limits about effect
    /// measures: a general approach") put together from the two intervals: the distances from each value to the end that faces
    /// the other, added as squares. Two overlapping intervals would be too lenient a test.
    #[must_use]
    pub fn compare(&self, estimated: &EstimatedAccuracy) -> Agreement {
        if self.messages == 0 || estimated.messages == 0 {
            return Agreement::Unknown;
        }
        let above = estimated.value - self.value;
        let (of_estimate, of_measure) = if above > 0.0 {
            (estimated.value - estimated.low, self.high - self.value)
        } else {
            (estimated.high - estimated.value, self.value - self.low)
        };
        if above.abs() <= of_estimate.hypot(of_measure) {
            Agreement::Agrees
        } else if above > 0.0 {
            Agreement::TooHigh
        } else {
            Agreement::TooLow
        }
    }

    /// The loss against a baseline's accuracy, if the labels are enough to tell: they show that there is one, or that there is none
    /// of `high` points. Fewer would only be taken for an all-clear.
    #[must_use]
    pub fn telling_loss(&self, baseline: f64, high: f64) -> Option<Loss> {
        Loss::measured(self.right(), self.messages, baseline)
            .filter(|loss| loss.low > 0.0 || loss.high < high)
    }
}

/// How an accuracy estimated without labels compares with the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// There is nothing to compare.
    Unknown,
    /// No difference that chance does not explain.
    Agrees,
    /// The estimate is above the truth: the model is surer than right, as after concept drift.
    TooHigh,
    /// The estimate is below the truth.
    TooLow,
}

impl Agreement {
    /// As it is told and stands in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Agrees => "agrees",
            Self::TooHigh => "too_high",
            Self::TooLow => "too_low",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_agrees_with_labels_unless_their_distance_is_beyond_chance() {
        let estimated = EstimatedAccuracy {
            value: 0.8,
            low: 0.77,
            high: 0.83,
            messages: 500,
        };
        let verdicts = [(0, 0), (156, 200), (144, 200), (190, 200)]
            .map(|(right, labelled)| MeasuredAccuracy::of(right, labelled).compare(&estimated));
        assert_eq!(
            verdicts,
            [
                Agreement::Unknown,
                Agreement::Agrees,
                Agreement::TooHigh,
                Agreement::TooLow
            ]
        );
    }

    #[test]
    fn a_few_labels_are_no_all_clear_and_a_loss_they_show_is_told() {
        let loss = |right, messages| MeasuredAccuracy::of(right, messages).telling_loss(0.75, 7.0);
        assert_eq!(loss(7, 10), None);
        assert_eq!(loss(70, 100), None);
        assert!(loss(50, 100).unwrap().points > 24.0);
        assert!(loss(760, 1_000).unwrap().high < 7.0);
        assert_eq!(loss(0, 0), None);
    }

    #[test]
    fn answers_are_measured_with_their_calibration_and_nothing_without_any() {
        let answer = |right| Answer {
            confidence: 0.9,
            right,
        };
        let measured = Measured::of(&[true, true, false, false].map(answer), None).unwrap();
        assert_eq!(
            (measured.accuracy.value, measured.accuracy.messages),
            (0.5, 4)
        );
        assert!((measured.calibration.unwrap().bias + 0.4).abs() < 1e-6);
        assert_eq!(measured.agreement, Agreement::Unknown);
        assert_eq!(Measured::of(&[], None), None);
    }
}
