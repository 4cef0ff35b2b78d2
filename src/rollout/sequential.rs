//! Is one model better? Asked again and again while labels come in, and not wrong more often for it.
//!
//! A usual test is right about its error rate if it is made once, at a size fixed beforehand. The ones here hold at every moment
//! together: the chance that they are ever wrong is at most the level, whenever one looks, stops, or goes on (Robbins 1970,
//! "Statistical methods related to the law of the iterated logarithm"; Johari et al. 2022, "Always Valid Inference: Continuous
//! Monitoring of A/B Tests"; Ramdas et al. 2023, "Game-Theoretic Statistics and Safe Anytime-Valid Inference").
//!
//! All of them are one bet. While a mean of values from 0 to 1 is p, staking on q multiplies a wealth by
//! (q / p)^x ((1 - q) / (1 - p))^(1 - x), which gains nothing on average: for x of 0 or 1 exactly, for values in between because
//! the factor is convex in x. Averaged over q by a beta distribution it has a closed form, the mixture sequential probability
//! ratio test of Robbins. A wealth of 1 / alpha or more is met with chance alpha at most (Ville 1939).

use serde::{Deserialize, Serialize};

use crate::special::{bisect, ln_beta, ln_beta_cdf};

/// Parameter of the beta distribution, twice, by which discordant pairs are bet on. Most models that are compared differ little;
/// half of this distribution lies between 0.42 and 0.58, so that bets are not wasted on large differences.
const NEAR_HALF: f64 = 8.0;
/// The same for a share or a mean of any size (the estimator of Krichevsky and Trofimov 1981).
const ANYWHERE: f64 = 0.5;

/// Labelled messages that two models have answered, and who was right where they differ.
///
/// If the candidate is no better, a message on which just one model is right favours it with chance 1/2 at most, whatever the
/// accuracies are. Pairs may be the same message scored by both (shadow), or one message of each arm
/// ([`Self::of_arms`]); counts of both kinds may be [added](Self::merge) up.
///
/// Messages must be labelled without regard to who is right. Where some were chosen with a larger chance than others, give each
/// its weight: the smallest chance over its own, so at most 1. Such a message then counts with a part of its bet; tests stay
/// valid, and need more labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Discordant {
    /// Labelled pairs, of which most tell nothing.
    pub labels: u64,
    /// Their weights.
    pub weight: f64,
    /// Pairs in which just one model is right.
    pub discordant: u64,
    /// Their weights, those that favour the champion below 0.
    pub balance: f64,
}

impl Discordant {
    /// Takes in a labelled pair. The weight is brought between 0 and 1.
    pub fn add(&mut self, champion_right: bool, candidate_right: bool, weight: f64) {
        let weight = if weight.is_nan() {
            0.0
        } else {
            weight.clamp(0.0, 1.0)
        };
        self.labels += 1;
        self.weight += weight;
        if champion_right != candidate_right {
            self.discordant += 1;
            self.balance += if candidate_right { weight } else { -weight };
        }
    }

    /// Counts of a sample without weights.
    #[must_use]
    pub fn of_counts(labels: u64, candidate_only: u64, champion_only: u64) -> Self {
        Self {
            labels,
            weight: labels as f64,
            discordant: candidate_only + champion_only,
            balance: candidate_only as f64 - champion_only as f64,
        }
    }

    /// Two arms with different messages, in the order in which labels came: the first of the candidate's beside the first of the
    /// champion's, and so on, each true where the answer was right (Wald 1947, "Sequential Analysis", chapter 6). If both are
    /// right equally often, a pair in which just one is right favours either with chance 1/2. What one arm has beyond the
    /// other's number waits.
    #[must_use]
    pub fn of_arms(candidate: &[bool], champion: &[bool]) -> Self {
        let mut pairs = Self::default();
        for (&candidate, &champion) in candidate.iter().zip(champion) {
            pairs.add(champion, candidate, 1.0);
        }
        pairs
    }

    /// Adds the pairs of another sample.
    pub fn merge(&mut self, other: &Self) {
        self.labels += other.labels;
        self.weight += other.weight;
        self.discordant += other.discordant;
        self.balance += other.balance;
    }

    /// The candidate's accuracy less the champion's, as far as the labels go; 0 without labels.
    #[must_use]
    pub fn gain(&self) -> f64 {
        if self.weight > 0.0 {
            self.balance / self.weight
        } else {
            0.0
        }
    }

    /// For the candidate and against it, adding up to the number of discordant pairs.
    fn split(&self) -> (f64, f64) {
        let n = self.discordant as f64;
        let balance = self.balance.clamp(-n, n);
        ((n + balance) / 2.0, (n - balance) / 2.0)
    }

    /// Always-valid p-value of "the candidate is no better": at or below alpha at any time with chance alpha at most, if so.
    #[must_use]
    pub fn p_better(&self) -> f64 {
        let (better, worse) = self.split();
        p_of(ln_wealth(better, worse))
    }

    /// Always-valid p-value of "the candidate is no worse".
    #[must_use]
    pub fn p_worse(&self) -> f64 {
        let (better, worse) = self.split();
        p_of(ln_wealth(worse, better))
    }

    /// The share of discordant pairs that favour the candidate lies here, at every time together, with chance 1 - `alpha` at least;
    /// 1/2 is no difference. With weights it is the mean of 1/2 with half the weight added or taken away.
    #[must_use]
    pub fn share(&self, alpha: f64) -> (f64, f64) {
        let (better, worse) = self.split();
        sequence(better, worse, NEAR_HALF, alpha)
    }
}

/// The logarithm of what bets on "more than half" have made of one unit, by a beta distribution of which the part above 1/2 is
/// taken: so they gain nothing on average for any share of 1/2 or less.
fn ln_wealth(for_it: f64, against: f64) -> f64 {
    let a = NEAR_HALF;
    (for_it + against + 1.0) * std::f64::consts::LN_2 + ln_beta(a + for_it, a + against)
        - ln_beta(a, a)
        + ln_beta_cdf(0.5, a + against, a + for_it)
}

fn p_of(ln_wealth: f64) -> f64 {
    (-ln_wealth).exp().min(1.0)
}

/// The means against which bets have not made 1 / `alpha`: a confidence sequence.
fn sequence(sum: f64, rest: f64, prior: f64, alpha: f64) -> (f64, f64) {
    let n = sum + rest;
    if n <= 0.0 {
        return (0.0, 1.0);
    }
    let marginal = ln_beta(prior + sum, prior + rest) - ln_beta(prior, prior);
    // 0 ln 0 is 0.
    let term = |count: f64, p: f64| if count > 0.0 { count * p.ln() } else { 0.0 };
    let possible = |p: f64| marginal - term(sum, p) - term(rest, 1.0 - p) < -alpha.ln();
    let middle = sum / n;
    let low = 1.0 - bisect(1.0 - middle, 1.0, |q| possible(1.0 - q));
    let high = bisect(middle, 1.0, possible);
    (low.clamp(0.0, middle), high.clamp(middle, 1.0))
}

/// Values from 0 to 1 that were seen: right answers, agreements, messages of a class, confidences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub count: u64,
    /// Sum of the values.
    pub sum: f64,
}

impl Tally {
    /// Takes in a value, brought between 0 and 1; what is no number counts as 0.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += if value.is_nan() {
            0.0
        } else {
            value.clamp(0.0, 1.0)
        };
    }

    /// So many of so many.
    #[must_use]
    pub fn of(hits: u64, count: u64) -> Self {
        Self {
            count,
            sum: hits.min(count) as f64,
        }
    }

    /// Mean of the values; 0 without any.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// The mean in the long run lies here, at every time together, with chance 1 - `alpha` at least; from 0 to 1 without values.
    /// It is exact for values of 0 and 1, and wide for others.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        let count = self.count as f64;
        let sum = self.sum.clamp(0.0, count);
        sequence(sum, count - sum, ANYWHERE, alpha)
    }

    /// The candidate's mean less the champion's lies here, at every time together, with chance 1 - `alpha` at least, for arms with
    /// different messages: both means lie in their intervals with half of `alpha` each.
    #[must_use]
    pub fn difference(candidate: &Self, champion: &Self, alpha: f64) -> (f64, f64) {
        let (candidate, champion) = (
            candidate.interval(alpha / 2.0),
            champion.interval(alpha / 2.0),
        );
        (candidate.0 - champion.1, candidate.1 - champion.0)
    }
}

#[cfg(test)]
mod tests;
