//! How the shares of the classes have moved, estimated without labels.
//!
//! Under label shift the classes become more or less frequent while each class's messages look as before: p(y) changes and
//! p(x | y) does not. Then calibrated probabilities of unlabelled messages tell the new shares (Saerens, Latinne and
//! Decaestecker 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities", section 2.2). Where the words
//! themselves change, or the probabilities are not calibrated, the answer is biased, and nothing in it says so.

use serde::{Deserialize, Serialize};

use super::matrix;
use super::proportion::Z95;

/// Rounds after which the estimate is given up as not converged.
const ROUNDS: u32 = 2000;
/// The estimate has converged when no share moves by more in a round.
const STILL: f64 = 1e-8;
/// A row of probabilities may miss a sum of one by this: they were single-precision numbers.
const ROUNDING: f64 = 1e-3;
/// Of a class with fewer expected messages in the window, nothing is said on how well it is told apart.
const FEW: f64 = 5.0;

/// The estimated shares of the classes among some messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelShift {
    /// Share of each class, in the labels' order; they sum to one.
    pub shares: Vec<f64>,
    /// 95 % intervals of the shares, each within 0 and 1.
    ///
    /// They come from the information that the messages hold (see [`estimate`]) and take the probabilities for calibrated: the
    /// error of the calibration itself is not in them.
    pub intervals: Vec<(f64, f64)>,
    /// Rounds of the expectation-maximisation algorithm.
    pub iterations: u32,
    /// How well the probabilities tell the classes apart: 1 if they are certain, infinite if some mixture of classes looks like
    /// another.
    ///
    /// It is the condition number of the expected confusion matrix at the class shares of the calibration set, made symmetric:
    /// the entry of classes j and k is the sum of `p_j p_k` over the root of the product of the sums of `p_j` and of `p_k`. The
    /// largest eigenvalue is always 1. The smallest is, for the mixture of classes hardest to tell, the part of the information
    /// of a labelled message that an unlabelled one holds; so a condition of 10 says that ten unlabelled messages count as one
    /// labelled one there.
    #[serde(with = "finite_or_null")]
    pub condition: f64,
    /// The shares stood still at the end.
    pub converged: bool,
}

impl LabelShift {
    /// Total variation distance from other shares, in points (0 to 100): the least part of the messages that would have to
    /// change their class.
    #[must_use]
    pub fn points_from(&self, priors: &[f64]) -> f64 {
        let apart = self.shares.iter().zip(priors).map(|(a, b)| (a - b).abs());
        100.0 * apart.sum::<f64>() / 2.0
    }

    /// Some class's interval does not hold its old share.
    #[must_use]
    pub fn is_significant(&self, priors: &[f64]) -> bool {
        self.intervals
            .iter()
            .zip(priors)
            .any(|((low, high), prior)| !(*low..=*high).contains(prior))
    }
}

/// Why shares could not be estimated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShiftError {
    /// No messages.
    #[error("there are no messages to estimate class shares from: give at least one")]
    Empty,
    /// The old shares cannot be divided by.
    #[error(
        "the class shares of the calibration set must all be above 0 and sum to 1: calibrate on data that holds every class"
    )]
    Priors,
    /// A row is not a distribution over the classes.
    #[error(
        "the probabilities of message {row} do not give each of {classes} classes a share of one whole: only a model with one label a message has class shares"
    )]
    Row {
        /// Its index.
        row: usize,
        /// Classes of the model.
        classes: usize,
    },
}

/// Estimates the class shares of messages from their calibrated probabilities (one row a message) and the class shares `priors`
/// of the data that the probabilities were calibrated on.
///
/// The likelihood of shares s given message x is, but for a factor, the sum over classes of s_k p(k | x) / prior_k; it is
/// concave in s, so expectation-maximisation finds its one maximum from any start. The intervals are those of the observed
/// information, restricted to shares that sum to one. A bootstrap would cost some hundred times as much and has nothing to add:
/// the second derivative of this likelihood is exactly the negated outer product of the first, so the inverse of the information
/// equals the sandwich variance (White 1982) that holds for whatever distribution the messages come from, and the bootstrap
/// estimates just that. At a share of 0 an interval goes one way only and covers more than it says.
///
/// Take as `priors` the mean probabilities that the model gave the calibration set, not the shares counted there (Alexandari,
/// Kundaje and Shrikumar 2020, "Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation",
/// section 3): where the calibration is off the two differ, and only with the former do messages like the calibration set's
/// show no shift.
///
/// # Errors
/// When there are no rows, a prior is not positive, or a row does not sum to one.
pub fn estimate<'a>(
    rows: impl IntoIterator<Item = &'a [f32]>,
    priors: &[f64],
) -> Result<LabelShift, ShiftError> {
    let classes = priors.len();
    let total: f64 = priors.iter().sum();
    if !priors.iter().all(|prior| *prior > 0.0) || (total - 1.0).abs() > 1e-6 {
        return Err(ShiftError::Priors);
    }
    let mut probabilities = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let total: f64 = row.iter().map(|&p| f64::from(p)).sum();
        let sound = row.len() == classes && row.iter().all(|p| *p >= 0.0);
        // Written so that a sum that is not a number is refused too.
        if !(sound && (total - 1.0).abs() <= ROUNDING) {
            return Err(ShiftError::Row {
                row: index,
                classes,
            });
        }
        probabilities.extend(row.iter().map(|&p| f64::from(p) / total));
    }
    if probabilities.is_empty() {
        return Err(ShiftError::Empty);
    }
    // Likelihood ratios: how much likelier the message is in the class than it was among all.
    let ratios: Vec<f64> = probabilities
        .chunks_exact(classes)
        .flat_map(|row| row.iter().zip(priors).map(|(p, prior)| p / prior))
        .collect();
    let (shares, iterations, converged) = maximise(&ratios, priors);
    Ok(LabelShift {
        intervals: intervals(&ratios, &shares),
        condition: condition(&probabilities, &ratios, &shares),
        shares,
        iterations,
        converged,
    })
}

/// The likelihood of a message under some shares, never zero.
fn mixture(row: &[f64], shares: &[f64]) -> f64 {
    let sum: f64 = row.iter().zip(shares).map(|(r, share)| r * share).sum();
    sum.max(f64::MIN_POSITIVE)
}

/// Saerens et al. 2002, equation 2.9.
fn maximise(ratios: &[f64], start: &[f64]) -> (Vec<f64>, u32, bool) {
    let mut shares = start.to_vec();
    for round in 1..=ROUNDS {
        let mut next = vec![0.0; shares.len()];
        for row in ratios.chunks_exact(shares.len()) {
            let scale = 1.0 / mixture(row, &shares);
            for ((next, share), r) in next.iter_mut().zip(&shares).zip(row) {
                *next += share * r * scale;
            }
        }
        let total: f64 = next.iter().sum();
        next.iter_mut().for_each(|share| *share /= total);
        let moved = shares.iter().zip(&next).map(|(a, b)| (a - b).abs());
        let moved = moved.fold(0.0, f64::max);
        shares = next;
        if moved < STILL {
            return (shares, round, true);
        }
    }
    (shares, ROUNDS, false)
}

/// Intervals from the observed information about all shares but the last, which is what the others leave.
fn intervals(ratios: &[f64], shares: &[f64]) -> Vec<(f64, f64)> {
    let free = shares.len() - 1;
    let mut information = vec![vec![0.0; free]; free];
    for row in ratios.chunks_exact(shares.len()) {
        let scale = 1.0 / mixture(row, shares);
        let slope: Vec<f64> = row[..free]
            .iter()
            .map(|r| (r - row[free]) * scale)
            .collect();
        for (line, a) in information.iter_mut().zip(&slope) {
            for (entry, b) in line.iter_mut().zip(&slope) {
                *entry += a * b;
            }
        }
    }
    let Some(covariance) = matrix::inverse(information) else {
        return vec![(0.0, 1.0); shares.len()];
    };
    let last = covariance.iter().flatten().sum();
    let variances = (0..free).map(|k| covariance[k][k]).chain([last]);
    shares
        .iter()
        .zip(variances)
        .map(|(share, variance): (&f64, f64)| {
            let half = Z95 * variance.max(0.0).sqrt();
            ((share - half).max(0.0), (share + half).min(1.0))
        })
        .collect()
}

/// See [`LabelShift::condition`]. Messages are weighted so that their classes have the calibration set's shares again: a class
/// that became rare is not for that reason harder to tell.
fn condition(probabilities: &[f64], ratios: &[f64], shares: &[f64]) -> f64 {
    let classes = shares.len();
    let messages = (probabilities.len() / classes) as f64;
    let seen: Vec<usize> = (0..classes)
        .filter(|&k| shares[k] * messages >= FEW.min(messages / classes as f64))
        .collect();
    let mut sums = vec![0.0; classes];
    let mut products = vec![vec![0.0; seen.len()]; seen.len()];
    let rows = probabilities.chunks_exact(classes);
    for (row, ratios) in rows.zip(ratios.chunks_exact(classes)) {
        let within: f64 = seen.iter().map(|&k| row[k]).sum();
        let weight = within / mixture(ratios, shares);
        if within <= 0.0 || !weight.is_finite() {
            continue;
        }
        for (line, &j) in products.iter_mut().zip(&seen) {
            sums[j] += weight * row[j] / within;
            for (entry, &k) in line.iter_mut().zip(&seen) {
                *entry += weight * row[j] * row[k] / (within * within);
            }
        }
    }
    for (line, &j) in products.iter_mut().zip(&seen) {
        for (entry, &k) in line.iter_mut().zip(&seen) {
            *entry /= (sums[j] * sums[k]).sqrt().max(f64::MIN_POSITIVE);
        }
    }
    let least = matrix::eigenvalues(products)
        .into_iter()
        .fold(1.0, f64::min);
    if least > 1e-12 {
        1.0 / least
    } else {
        f64::INFINITY
    }
}

/// A row of probabilities under other class shares than it was calibrated on (Saerens et al. 2002, equation 2.4); it sums to
/// one. Where the new shares rule out all that the row holds possible, the row stays as it is.
#[must_use]
pub fn correct(probabilities: &[f32], old_priors: &[f64], new_priors: &[f64]) -> Vec<f64> {
    let weighted: Vec<f64> = probabilities
        .iter()
        .zip(old_priors.iter().zip(new_priors))
        .map(|(&p, (old, new))| f64::from(p) * new / old)
        .collect();
    let total: f64 = weighted.iter().sum();
    if total > 0.0 && total.is_finite() {
        weighted.iter().map(|value| value / total).collect()
    } else {
        probabilities.iter().map(|&p| f64::from(p)).collect()
    }
}

/// JSON knows no infinity: it is written as null.
mod finite_or_null {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            to.serialize_f64(*value)
        } else {
            to.serialize_none()
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
    }
}

#[cfg(test)]
mod tests;
