//! How good the model is on all messages, from labels of some that were picked with known probabilities.
//!
//! A label counts with the inverse of the probability with which its message was picked. Horvitz and Thompson (1952, "A
//! generalization of sampling without replacement from a finite universe") divide such a sum by the number of all messages,
//! Hájek (1971) by the sum of the weights, which is steadier and needs no number of messages. Variances are those of Poisson
//! sampling (Särndal, Swensson and Wretman 1992, "Model Assisted Survey Sampling", section 3.5, and 5.6 to 5.8 for ratios),
//! which also hold for bottom-k samples with conditional probabilities, whose terms are uncorrelated
//! ([`keys`](super::keys)). They are of the messages that were there to be picked, not of a larger crowd behind them.
//!
//! What is picked and never labelled is missing; if what was not labelled is not like the rest, no weight mends it.

use serde::{Deserialize, Serialize};

use crate::drift::proportion::{Z95, score_interval};

/// A labelled message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled {
    /// Index of the label that people gave.
    pub truth: usize,
    /// Index of the label that the model gave.
    pub predicted: usize,
    /// The probability with which it was picked: above 0, up to 1.
    pub inclusion: f64,
}

/// An estimate of a share, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
    pub standard_error: f64,
    /// Labels that it is of.
    pub labels: u64,
}

/// What labels say of all messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// Share of right answers, by Hájek.
    pub accuracy: Estimate,
    /// The same by Horvitz and Thompson, where the number of all messages was given.
    pub horvitz_thompson: Option<Estimate>,
    /// Shares of all messages: `confusion[truth][predicted]`.
    pub confusion: Vec<Vec<f64>>,
    /// Of each class, the share that the model finds; none of a class without labels.
    pub recall: Vec<Option<Estimate>>,
    /// Its mean over the classes; none where one has no labels.
    pub macro_recall: Option<Estimate>,
    /// Messages that would tell as much if all had the same probability: the square of the weights' sum over the sum of
    /// their squares (Kish 1965, "Survey Sampling", section 11.7).
    pub effective: f64,
    /// The share of right answers among the labels, uncorrected, for comparison: it is off where unsure messages were
    /// preferred.
    pub uncorrected: f64,
}

/// Estimates from labels; none without any that can be used. `labels` is the number of classes and `messages` that of all
/// messages that could have been picked. Labels of other classes, and with a probability that is none, are passed over.
#[must_use]
pub fn estimate(labelled: &[Labelled], labels: usize, messages: Option<u64>) -> Option<Estimates> {
    let usable = |one: &&Labelled| {
        one.truth < labels && one.predicted < labels && one.inclusion > 0.0 && one.inclusion <= 1.0
    };
    let used: Vec<Labelled> = labelled.iter().filter(usable).copied().collect();
    let all = Ratio::of(
        used.iter()
            .map(|one| (one.inclusion, one.truth == one.predicted)),
    )?;
    let mut confusion = vec![vec![0.0; labels]; labels];
    for one in &used {
        confusion[one.truth][one.predicted] += 1.0 / one.inclusion / all.weight;
    }
    let recalls: Vec<Option<Ratio>> = (0..labels)
        .map(|class| {
            let of_class = used.iter().filter(|one| one.truth == class);
            Ratio::of(of_class.map(|one| (one.inclusion, one.predicted == class)))
        })
        .collect();
    let right = used.iter().filter(|one| one.truth == one.predicted).count();
    Some(Estimates {
        accuracy: all.estimate(),
        horvitz_thompson: messages.map(|messages| horvitz_thompson(&used, messages)),
        confusion,
        macro_recall: mean(&recalls),
        recall: recalls
            .iter()
            .map(|recall| recall.as_ref().map(Ratio::estimate))
            .collect(),
        effective: all.effective(),
        uncorrected: right as f64 / used.len() as f64,
    })
}

/// A share by Hájek's estimator, with its variance.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    value: f64,
    variance: f64,
    weight: f64,
    squares: f64,
    labels: u64,
}

impl Ratio {
    /// Of labels with their probabilities and whether they count; none without labels.
    fn of(labels: impl Iterator<Item = (f64, bool)> + Clone) -> Option<Self> {
        let (mut weight, mut squares, mut hits, mut count) = (0.0, 0.0, 0.0, 0_u64);
        for (inclusion, hit) in labels.clone() {
            weight += 1.0 / inclusion;
            squares += 1.0 / inclusion / inclusion;
            hits += f64::from(u8::from(hit)) / inclusion;
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let value = (hits / weight).min(1.0);
        let terms = labels.map(|(inclusion, hit)| {
            let residual = (f64::from(u8::from(hit)) - value) / inclusion;
            (1.0 - inclusion) * residual * residual
        });
        // The residuals are from a mean that was fitted to them.
        let fitted = count as f64 / (count as f64 - 1.0).max(1.0);
        Some(Self {
            value,
            variance: fitted * terms.sum::<f64>() / (weight * weight),
            weight,
            squares,
            labels: count,
        })
    }

    fn effective(&self) -> f64 {
        self.weight * self.weight / self.squares
    }

    fn estimate(&self) -> Estimate {
        interval(self.value, self.variance, self.effective(), self.labels)
    }
}

/// Wilson's interval for as many labels as would have this variance (Korn and Graubard 1998, "Confidence intervals for
/// proportions with small expected number of positive counts estimated from survey data", with Wilson's interval for
/// Clopper's and Pearson's); where no variance is seen, for Kish's number.
fn interval(value: f64, variance: f64, effective: f64, labels: u64) -> Estimate {
    let binomial = value * (1.0 - value);
    let trials = if binomial > 0.0 && variance > 0.0 {
        binomial / variance
    } else {
        effective
    };
    let (low, high) = score_interval(value, trials, Z95);
    Estimate {
        value,
        low,
        high,
        standard_error: variance.sqrt(),
        labels,
    }
}

/// The sum of the right answers' weights over the number of all messages. It may go beyond 1, and is cut there.
fn horvitz_thompson(used: &[Labelled], messages: u64) -> Estimate {
    let all = messages.max(1) as f64;
    let right = || {
        used.iter()
            .filter(|one| one.truth == one.predicted)
            .map(|one| one.inclusion)
    };
    let value = (right().map(|p| 1.0 / p).sum::<f64>() / all).min(1.0);
    let variance = right().map(|p| (1.0 - p) / p / p).sum::<f64>() / (all * all);
    let half = Z95 * variance.sqrt();
    Estimate {
        value,
        low: (value - half).max(0.0),
        high: (value + half).min(1.0),
        standard_error: variance.sqrt(),
        labels: used.len() as u64,
    }
}

/// The mean of the recalls. Classes share no labels, so the variances add up, and so do the squares of the distances to the
/// ends of their intervals (Zou and Donner 2008, "Construction of confidence limits about effect measures: a general
/// approach"), which also counts a class of which the few labels show no error.
fn mean(recalls: &[Option<Ratio>]) -> Option<Estimate> {
    let known: Vec<Estimate> = recalls
        .iter()
        .map(|recall| recall.as_ref().map(Ratio::estimate))
        .collect::<Option<_>>()?;
    let classes = known.len() as f64;
    let value = known.iter().map(|recall| recall.value).sum::<f64>() / classes;
    let root = |part: &dyn Fn(&Estimate) -> f64| {
        let squares: f64 = known.iter().map(|recall| part(recall).powi(2)).sum();
        squares.sqrt() / classes
    };
    Some(Estimate {
        value,
        low: (value - root(&|recall| recall.value - recall.low)).max(0.0),
        high: (value + root(&|recall| recall.high - recall.value)).min(1.0),
        standard_error: root(&|recall| recall.standard_error),
        labels: known.iter().map(|recall| recall.labels).sum(),
    })
}

#[cfg(test)]
mod tests;
