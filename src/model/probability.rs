//! From logits to calibrated probabilities, the same wherever a model's answer is read.

use super::manifest::Manifest;
use crate::record::{Prediction, Problem};

/// How a bundle's logits become probabilities: its temperature, and other class shares where it corrects for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    temperature: f64,
    /// What is added to each label's logit after the division; empty where class shares are not corrected.
    offsets: Vec<f64>,
    problem: Problem,
}

impl Calibrated {
    /// As the manifest says.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let adjustment = manifest.adjustment.as_ref();
        let priors = adjustment.and_then(|adjustment| adjustment.prior_correction.as_ref());
        Self {
            offsets: priors.map(|priors| priors.offsets()).unwrap_or_default(),
            ..Self::at(manifest.temperature, manifest.problem)
        }
    }

    /// With this temperature and no correction.
    #[must_use]
    pub fn at(temperature: f64, problem: Problem) -> Self {
        Self {
            temperature,
            offsets: Vec::new(),
            problem,
        }
    }

    /// The prediction that a row of logits stands for.
    ///
    /// # Panics
    /// When there are no logits; a bundle has at least one label.
    #[must_use]
    pub fn predict(&self, logits: &[f32]) -> Prediction {
        if self.offsets.is_empty() {
            return predict(logits, self.temperature, self.problem);
        }
        let scores: Vec<f64> = logits
            .iter()
            .zip(&self.offsets)
            .map(|(&logit, offset)| f64::from(logit) / self.temperature + offset)
            .collect();
        let probabilities = softmax(scores.iter().copied());
        Prediction {
            // Other class shares may change which label is the likeliest.
            label: largest(&probabilities),
            probabilities,
        }
    }
}

/// The calibrated probabilities of one text, in the labels' order.
///
/// Logits are divided by the bundle's temperature (Guo et al. 2017, "On Calibration of Modern Neural
/// Networks", section 4.2), then go through a softmax, or through independent sigmoids where any number
/// of labels may hold. Division by a positive number keeps the order, so the label does not change.
#[must_use]
pub fn probabilities(logits: &[f32], temperature: f64, problem: Problem) -> Vec<f32> {
    let scaled = logits.iter().map(|&logit| f64::from(logit) / temperature);
    match problem {
        Problem::SingleLabel => softmax(scaled),
        Problem::MultiLabel => scaled
            .map(|logit| (1.0 / (1.0 + (-logit).exp())) as f32)
            .collect(),
    }
}

fn softmax(scores: impl Iterator<Item = f64> + Clone) -> Vec<f32> {
    // Subtracting the largest keeps every exponential at most one.
    let largest = scores.clone().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = scores.map(|score| (score - largest).exp()).collect();
    let total: f64 = shares.iter().sum();
    shares.iter().map(|share| (share / total) as f32).collect()
}

/// The prediction that a row of logits stands for.
///
/// # Panics
/// When there are no logits; a bundle has at least one label.
#[must_use]
pub fn predict(logits: &[f32], temperature: f64, problem: Problem) -> Prediction {
    Prediction {
        label: largest(logits),
        probabilities: probabilities(logits, temperature, problem),
    }
}

/// Index of the largest value of a row; the first of equal ones.
///
/// # Panics
/// When the row is empty.
#[must_use]
pub fn largest(row: &[f32]) -> usize {
    assert!(!row.is_empty(), "a model has at least one label");
    (1..row.len()).fold(
        0,
        |best, index| if row[index] > row[best] { index } else { best },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_softmax_sums_to_one_and_keeps_the_order_at_any_temperature(
            logits in prop::collection::vec(-200.0_f32..200.0, 1..6),
            temperature in 0.05_f64..20.0,
        ) {
            let prediction = predict(&logits, temperature, Problem::SingleLabel);
            let total: f32 = prediction.probabilities.iter().sum();
            prop_assert!((total - 1.0).abs() < 1e-5);
            let top = prediction.probabilities[prediction.label];
            prop_assert!(prediction.probabilities.iter().all(|&p| p <= top));
        }

        #[test]
        fn labels_that_may_all_hold_do_not_influence_each_other(
            one in -50.0_f32..50.0, other in -50.0_f32..50.0, another in -50.0_f32..50.0,
        ) {
            let first = probabilities(&[one, other], 1.3, Problem::MultiLabel);
            let second = probabilities(&[one, another], 1.3, Problem::MultiLabel);
            prop_assert_eq!(first[0], second[0]);
        }
    }

    #[test]
    fn a_temperature_above_one_moves_probabilities_towards_each_other() {
        let sharp = probabilities(&[2.0, 0.0], 1.0, Problem::SingleLabel);
        let soft = probabilities(&[2.0, 0.0], 2.0, Problem::SingleLabel);
        assert!((sharp[0] - 0.880_797).abs() < 1e-6);
        assert!((soft[0] - 0.731_059).abs() < 1e-6);
    }

    #[test]
    fn of_equal_logits_the_first_wins() {
        assert_eq!(largest(&[1.0, 3.0, 3.0]), 1);
    }
}
