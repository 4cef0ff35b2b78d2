//! Temperature scaling: one number that makes a classifier's confidence honest.
//!
//! Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks": logits are divided
//! by the temperature that minimises the negative log likelihood of held-out examples. Labels do not change.

use serde::{Deserialize, Serialize};

/// Bins of equal width in which confidence is compared with accuracy (the paper's choice).
const BINS: usize = 15;
/// Temperatures outside are not believed: the examples are too few or all right.
const RANGE: (f64, f64) = (0.05, 20.0);

/// A fitted temperature, and what it did to the examples it was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Logits are divided by this.
    pub temperature: f64,
    /// Mean negative log likelihood in nats at temperature one.
    pub nll_before: f64,
    /// The same at the fitted temperature.
    pub nll_after: f64,
    /// Expected calibration error at temperature one: the mean distance between confidence and accuracy.
    pub ece_before: f64,
    /// The same at the fitted temperature.
    pub ece_after: f64,
}

/// Examples on which a temperature is fitted.
#[derive(Debug, Clone, Copy)]
pub struct Fitted<'a> {
    /// One row an example.
    pub logits: &'a [Vec<f32>],
    /// The right class of each.
    pub labels: &'a [u32],
    /// How much each counts; empty where all count alike.
    pub weights: &'a [f64],
    /// What is added to each class's logit after the division, such as the logarithm of its prior's ratio; empty for nothing.
    pub offsets: &'a [f64],
}

/// The temperature at which the examples are likeliest; one without examples.
///
/// The likelihood is concave in the inverse temperature, so its slope has at most one zero, found by bisection.
#[must_use]
pub fn temperature(examples: Fitted<'_>) -> f64 {
    if examples.logits.is_empty() {
        return 1.0;
    }
    let (lowest, highest) = RANGE;
    let (mut low, mut high) = ((1.0 / highest).ln(), (1.0 / lowest).ln());
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if slope(examples, middle.exp()) > 0.0 {
            high = middle
        } else {
            low = middle
        }
    }
    1.0 / low.exp()
}

/// Fits the temperature on logits (one row an example) and the right class of each.
#[must_use]
pub fn fit(logits: &[Vec<f32>], labels: &[u32]) -> Calibration {
    let temperature = temperature(Fitted {
        logits,
        labels,
        weights: &[],
        offsets: &[],
    });
    Calibration {
        temperature,
        nll_before: nll(logits, labels, 1.0),
        nll_after: nll(logits, labels, temperature),
        ece_before: ece(logits, labels, 1.0),
        ece_after: ece(logits, labels, temperature),
    }
}

/// Derivative of the summed negative log likelihood by the inverse temperature: for each example the
/// mean logit under the model's distribution less the logit of the right class.
fn slope(examples: Fitted<'_>, inverse: f64) -> f64 {
    let of_example = |(index, (row, &label)): (usize, (&Vec<f32>, &u32))| {
        let mean: f64 = shares(row, inverse, examples.offsets)
            .iter()
            .zip(row)
            .map(|(p, &z)| p * f64::from(z))
            .sum();
        let weight = examples.weights.get(index).copied().unwrap_or(1.0);
        weight * (mean - f64::from(row[label as usize]))
    };
    let rows = examples.logits.iter().zip(examples.labels);
    rows.enumerate().map(of_example).sum()
}

fn shares(row: &[f32], inverse: f64, offsets: &[f64]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let raw: Vec<f64> = row
        .iter()
        .enumerate()
        .map(|(class, &z)| {
            let offset = offsets.get(class).copied().unwrap_or(0.0);
            (f64::from(z - largest) * inverse + offset).exp()
        })
        .collect();
    let total: f64 = raw.iter().sum();
    raw.iter().map(|value| value / total).collect()
}

/// Mean negative log likelihood in nats.
#[must_use]
pub fn nll(logits: &[Vec<f32>], labels: &[u32], temperature: f64) -> f64 {
    let of_example = |(row, &label): (&Vec<f32>, &u32)| {
        // The smallest positive number stands in for a probability that is too small to write down.
        -shares(row, 1.0 / temperature, &[])[label as usize]
            .max(f64::MIN_POSITIVE)
            .ln()
    };
    logits.iter().zip(labels).map(of_example).sum::<f64>() / labels.len().max(1) as f64
}

/// Expected calibration error over 15 bins of equal width of the largest probability.
#[must_use]
pub fn ece(logits: &[Vec<f32>], labels: &[u32], temperature: f64) -> f64 {
    let mut gaps = [0.0; BINS];
    for (row, &label) in logits.iter().zip(labels) {
        let shares = shares(row, 1.0 / temperature, &[]);
        let (best, confidence) =
            shares.iter().enumerate().fold(
                (0, 0.0),
                |best, (class, &p)| if p > best.1 { (class, p) } else { best },
            );
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        gaps[bin] += f64::from(u8::from(best == label as usize)) - confidence;
    }
    gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    /// Examples whose classes are drawn from the softmax of their logits, the logits then multiplied.
    fn overconfident(by: f32, seed: u64) -> (Vec<Vec<f32>>, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..20_000)
            .map(|_| {
                let row: Vec<f32> = (0..3).map(|_| rng.random_range(-2.0..2.0)).collect();
                let draw: f64 = rng.random();
                let mut passed = 0.0;
                let label = shares(&row, 1.0, &[]).iter().position(|share| {
                    passed += share;
                    draw < passed
                });
                (
                    row.iter().map(|z| z * by).collect(),
                    label.unwrap_or(2) as u32,
                )
            })
            .unzip()
    }

    #[test]
    fn the_factor_by_which_logits_were_inflated_is_found_again() {
        let (logits, labels) = overconfident(2.5, 1);
        let fitted = fit(&logits, &labels);
        assert!((fitted.temperature - 2.5).abs() < 0.1, "{fitted:?}");
        assert!(
            fitted.ece_before > 0.1 && fitted.ece_after < 0.02,
            "{fitted:?}"
        );
    }

    #[test]
    fn an_example_of_weight_two_counts_as_two_and_offsets_are_not_taken_for_sharpness() {
        let (logits, labels) = overconfident(1.5, 2);
        let (logits, labels) = (&logits[..400], &labels[..400]);
        let weights: Vec<f64> = (0..400).map(|index| f64::from(1 + index % 2)).collect();
        let twice = |index: &usize| 1 + index % 2;
        let repeated: Vec<usize> = (0..400)
            .flat_map(|index| std::iter::repeat_n(index, twice(&index)))
            .collect();
        let plain = fit(
            &repeated
                .iter()
                .map(|&index| logits[index].clone())
                .collect::<Vec<_>>(),
            &repeated
                .iter()
                .map(|&index| labels[index])
                .collect::<Vec<_>>(),
        );
        let examples = |offsets| Fitted {
            logits,
            labels,
            weights: &weights,
            offsets,
        };
        assert!((temperature(examples(&[])) - plain.temperature).abs() < 1e-9);
        // The same for every class is nothing.
        assert!((temperature(examples(&[0.7; 3])) - plain.temperature).abs() < 1e-6);
        assert!((temperature(examples(&[2.0, 0.0, -2.0])) - plain.temperature).abs() > 0.1);
    }

    #[test]
    fn examples_that_are_all_right_end_at_the_lowest_temperature_believed() {
        let fitted = fit(&[vec![3.0, 0.0], vec![0.0, 2.0]], &[0, 1]);
        assert!((fitted.temperature - RANGE.0).abs() < 1e-6, "{fitted:?}");
    }

    #[test]
    fn without_examples_nothing_is_scaled() {
        assert_eq!(fit(&[], &[]).temperature, 1.0);
    }

    proptest! {
        #[test]
        fn no_other_temperature_is_likelier(
            rows in prop::collection::vec((prop::array::uniform3(-5.0_f32..5.0), 0_u32..3), 5..40),
            other in 0.05_f64..20.0,
        ) {
            let (logits, labels): (Vec<_>, Vec<_>) = rows.iter().map(|(row, label)| (row.to_vec(), *label)).unzip();
            let fitted = fit(&logits, &labels);
            prop_assert!(fitted.nll_after <= nll(&logits, &labels, other) + 1e-9);
        }
    }
}
