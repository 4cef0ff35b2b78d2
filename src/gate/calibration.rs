//! How honest two models' probabilities are: negative log likelihood, Brier score and expected calibration error, and the
//! differences between the models with bootstrap intervals.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::example::Example;
use crate::model::probability::largest;

/// Bins of equal width in which confidence is compared with accuracy, as in Guo et al. 2017.
const BINS: usize = 15;
/// Stands in for smaller probabilities, so that one example of which a model was wrongly sure does not decide everything.
const SMALLEST: f64 = 1e-7;

/// What one answer adds to the measures.
#[derive(Debug, Clone, Copy)]
struct Answer {
    nll: f64,
    brier: f64,
    bin: usize,
    /// Right (1 or 0) less confidence.
    gap: f64,
}

impl Answer {
    fn of(probabilities: &[f32], truth: usize) -> Self {
        let p = |label: usize| f64::from(probabilities[label]);
        let best = largest(probabilities);
        let hit = |label: usize| f64::from(u8::from(label == truth));
        let squares = (0..probabilities.len()).map(|label| (p(label) - hit(label)).powi(2));
        Self {
            nll: -p(truth).max(SMALLEST).ln(),
            brier: squares.sum(),
            bin: ((p(best) * BINS as f64) as usize).min(BINS - 1),
            gap: hit(best) - p(best),
        }
    }
}

/// The measures of one model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Mean negative logarithm of the right label's probability, in nats.
    pub nll: f64,
    /// Mean squared distance of the probabilities from 1 for the right label and 0 for the others, summed over labels: 0 to 2
    /// (Brier 1950, "Verification of forecasts expressed in terms of probability").
    pub brier: f64,
    /// Mean distance between confidence and accuracy, over bins of the predicted label's probability (Guo et al. 2017, "On
    /// Calibration of Modern Neural Networks").
    pub ece: f64,
}

impl Calibration {
    fn measures(self) -> [f64; 3] {
        [self.nll, self.brier, self.ece]
    }
}

/// Sums from which the measures are taken.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    weight: f64,
    nll: f64,
    brier: f64,
    gaps: [f64; BINS],
}

impl Sums {
    fn add(&mut self, answer: &Answer, weight: f64) {
        self.weight += weight;
        self.nll += weight * answer.nll;
        self.brier += weight * answer.brier;
        self.gaps[answer.bin] += weight * answer.gap;
    }

    fn calibration(&self) -> Calibration {
        let total = self.weight.max(f64::MIN_POSITIVE);
        Calibration {
            nll: self.nll / total,
            brier: self.brier / total,
            ece: self.gaps.iter().map(|gap| gap.abs()).sum::<f64>() / total,
        }
    }
}

/// How far a difference can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uncertainty {
    /// Ends of the interval.
    pub interval: (f64, f64),
    /// Of "there is no difference", either way.
    pub p: f64,
}

/// Both models' measures, and of nll, brier and ece in this order how far candidate less champion can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibrations {
    pub champion: Calibration,
    pub candidate: Calibration,
    pub differences: [Uncertainty; 3],
}

/// Compares both models' probabilities; none without examples. The same seed gives the same intervals.
///
/// Examples are resampled with replacement, each with both models' answers, and the interval is the middle 1 - `alpha` of the
/// differences (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13); the p-value is twice the smaller share of
/// the resampled differences on either side of 0. The calibration error of few examples is too large for either model, as any
/// sum of distances is; in the difference most of that cancels.
#[must_use]
pub fn compare(
    examples: &[Example],
    resamples: usize,
    alpha: f64,
    seed: u64,
) -> Option<Calibrations> {
    if examples.is_empty() {
        return None;
    }
    let answers: Vec<(f64, Answer, Answer)> = examples
        .iter()
        .map(|example| {
            let of = |row: &[f32]| Answer::of(row, example.truth);
            (
                example.weight,
                of(&example.champion),
                of(&example.candidate),
            )
        })
        .collect();
    let sums = |indices: &mut dyn Iterator<Item = usize>| {
        let mut pair = (Sums::default(), Sums::default());
        for index in indices {
            let (weight, champion, candidate) = &answers[index];
            pair.0.add(champion, *weight);
            pair.1.add(candidate, *weight);
        }
        (pair.0.calibration(), pair.1.calibration())
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut resampled: [Vec<f64>; 3] = Default::default();
    let count = answers.len();
    for _ in 0..resamples {
        let (champion, candidate) =
            sums(&mut std::iter::repeat_with(|| rng.random_range(0..count)).take(count));
        let pairs = candidate.measures().into_iter().zip(champion.measures());
        for (values, (candidate, champion)) in resampled.iter_mut().zip(pairs) {
            values.push(candidate - champion);
        }
    }
    let (champion, candidate) = sums(&mut (0..count));
    Some(Calibrations {
        champion,
        candidate,
        differences: resampled.map(|values| uncertainty(values, alpha)),
    })
}

/// The middle 1 - `alpha` of some resampled differences, and their p-value; everything is possible where there are none.
#[must_use]
pub fn uncertainty(mut differences: Vec<f64>, alpha: f64) -> Uncertainty {
    differences.sort_by(f64::total_cmp);
    let last = differences.len().saturating_sub(1) as f64;
    let at = |share: f64| differences.get((share * last).round() as usize).copied();
    let below = differences.iter().filter(|value| **value <= 0.0).count();
    let above = differences.iter().filter(|value| **value >= 0.0).count();
    Uncertainty {
        interval: (
            at(alpha / 2.0).unwrap_or(f64::NEG_INFINITY),
            at(1.0 - alpha / 2.0).unwrap_or(f64::INFINITY),
        ),
        p: (2.0 * (below.min(above) + 1) as f64 / (differences.len() + 1) as f64).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(truth: usize, champion: [f32; 2], candidate: [f32; 2]) -> Example {
        Example {
            truth,
            champion: champion.to_vec(),
            candidate: candidate.to_vec(),
            source: None,
            subject: None,
            length: None,
            weight: 1.0,
        }
    }

    /// Calibrated by construction: of those with probability p, a share of p is right.
    fn calibrated(count: usize, seed: u64, candidate: fn(f32) -> f32) -> Vec<Example> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count)
            .map(|_| {
                let p: f32 = rng.random();
                let truth = usize::from(rng.random::<f32>() < p);
                let other = candidate(p);
                example(truth, [1.0 - p, p], [1.0 - other, other])
            })
            .collect()
    }

    #[test]
    fn the_measures_of_two_examples_agree_with_pencil_and_paper() {
        let examples = [
            example(0, [0.8, 0.2], [0.5, 0.5]),
            example(0, [0.4, 0.6], [1.0, 0.0]),
        ];
        let found = compare(&examples, 10, 0.05, 1).unwrap();
        assert!((found.champion.nll + (0.8_f64.ln() + 0.4_f64.ln()) / 2.0).abs() < 1e-6);
        assert!((found.champion.brier - (0.08 + 0.72) / 2.0).abs() < 1e-6);
        assert!((found.champion.ece - (0.2 + 0.6) / 2.0).abs() < 1e-6);
        assert!((found.candidate.nll - 0.5 * 2.0_f64.ln()).abs() < 1e-6);
        assert!((found.candidate.ece - 0.25).abs() < 1e-6);
        assert_eq!(compare(&[], 10, 0.05, 1), None);
    }

    #[test]
    fn a_model_that_is_too_sure_is_found_out_by_all_three() {
        let sharpen = |p: f32| p.powi(4) / (p.powi(4) + (1.0 - p).powi(4));
        let found = compare(&calibrated(1500, 2, sharpen), 400, 0.05, 1).unwrap();
        assert!(
            found
                .differences
                .iter()
                .all(|difference| difference.interval.0 > 0.0 && difference.p < 0.02)
        );
        assert!(found.champion.ece < 0.05 && found.candidate.ece > 0.1);
    }

    #[test]
    fn an_example_of_weight_three_counts_as_three_of_weight_one() {
        let mut weighted = [
            example(0, [0.8, 0.2], [0.5, 0.5]),
            example(1, [0.4, 0.6], [0.9, 0.1]),
        ];
        weighted[0].weight = 3.0;
        let one = example(0, [0.8, 0.2], [0.5, 0.5]);
        let plain = [one.clone(), one.clone(), one, weighted[1].clone()];
        let (weighted, plain) = (compare(&weighted, 5, 0.05, 1), compare(&plain, 5, 0.05, 1));
        let (weighted, plain) = (weighted.unwrap(), plain.unwrap());
        for (one, other) in weighted
            .candidate
            .measures()
            .into_iter()
            .zip(plain.candidate.measures())
        {
            assert!((one - other).abs() < 1e-12);
        }
    }

    /// `cargo test rates_of_the_bootstrap -- --nocapture` prints the figures. Two models of which either answers half of the
    /// examples with the other's probabilities do not differ in the long run.
    #[test]
    fn rates_of_the_bootstrap_are_about_what_they_promise() {
        let runs = 400;
        let mut outside = [0; 3];
        for run in 0..runs {
            let mut rng = ChaCha8Rng::seed_from_u64(run);
            let mut examples = calibrated(400, 1000 + run, |p| 0.5 + (p - 0.5) * 0.6);
            for example in &mut examples {
                if rng.random::<bool>() {
                    std::mem::swap(&mut example.champion, &mut example.candidate);
                }
            }
            let found = compare(&examples, 300, 0.05, run).unwrap();
            for (count, difference) in outside.iter_mut().zip(found.differences) {
                let (low, high) = difference.interval;
                *count += u32::from(low > 0.0 || high < 0.0);
            }
        }
        let rates = outside.map(|count| f64::from(count) / runs as f64);
        println!("models alike, interval without 0: nll, brier, ece {rates:?} of {runs}");
        // Three standard errors at 0.05 are 0.033.
        assert!(rates.iter().all(|rate| *rate < 0.09), "{rates:?}");
    }
}
