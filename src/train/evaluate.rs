//! How good a classifier is: figures of merit with bootstrap intervals. Pure.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::{Deserialize, Serialize};

use crate::model::manifest::Metric;

/// Resamples from which an interval is taken.
const RESAMPLES: usize = 1000;

/// How often each class was taken for each class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// `counts[truth][predicted]`.
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Counts pairs of right and predicted class.
    ///
    /// # Panics
    /// When a class is not below `classes`.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (usize, usize)>, classes: usize) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        for (truth, predicted) in pairs {
            counts[truth][predicted] += 1;
        }
        Self { counts }
    }

    fn classes(&self) -> std::ops::Range<usize> {
        0..self.counts.len()
    }

    fn right(&self, class: usize) -> u64 {
        self.counts[class][class]
    }

    /// Examples of a class.
    #[must_use]
    pub fn support(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }

    fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Share of all examples that were recognised; 0 without examples.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        ratio(
            self.classes().map(|class| self.right(class)).sum(),
            self.total(),
        )
    }

    /// Share of a class's examples that were recognised; 0 where it has none.
    #[must_use]
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.right(class), self.support(class))
    }

    /// Share of the predictions of a class that were right; 0 where it was never predicted.
    #[must_use]
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.right(class), self.predicted(class))
    }

    /// Harmonic mean of precision and recall; 0 where both are.
    #[must_use]
    pub fn f1(&self, class: usize) -> f64 {
        ratio(
            2 * self.right(class),
            self.support(class) + self.predicted(class),
        )
    }

    /// Recall averaged over the classes that occur: the ranking measure of SemEval 2016 and 2017, task 4.
    #[must_use]
    pub fn macro_recall(&self) -> f64 {
        self.mean_over_occurring(|class| self.recall(class))
    }

    /// F1 averaged over the classes that occur.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        self.mean_over_occurring(|class| self.f1(class))
    }

    /// F1 averaged over the classes, each weighted by its examples.
    #[must_use]
    pub fn weighted_f1(&self) -> f64 {
        let sum: f64 = self
            .classes()
            .map(|class| self.f1(class) * self.support(class) as f64)
            .sum();
        sum / (self.total().max(1)) as f64
    }

    fn mean_over_occurring(&self, of: impl Fn(usize) -> f64) -> f64 {
        let values: Vec<f64> = self
            .classes()
            .filter(|&class| self.support(class) > 0)
            .map(of)
            .collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// The figures of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// The class.
    pub label: String,
    /// Share of its predictions that were right.
    pub precision: f64,
    /// Share of its examples that were recognised.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Its examples.
    pub support: u64,
}

/// What a classifier scored on a set of examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of examples.
    pub examples: usize,
    /// `accuracy`, `macro_recall`, `macro_f1` and `weighted_f1`, with 95 % intervals.
    pub metrics: BTreeMap<String, Metric>,
    /// In the labels' order.
    pub classes: Vec<ClassScores>,
    /// Rows and columns in the labels' order.
    pub confusion: Confusion,
}

/// A figure of merit by name.
type Figure = (&'static str, fn(&Confusion) -> f64);

const FIGURES: [Figure; 4] = [
    ("accuracy", Confusion::accuracy),
    ("macro_recall", Confusion::macro_recall),
    ("macro_f1", Confusion::macro_f1),
    ("weighted_f1", Confusion::weighted_f1),
];

/// Evaluates pairs of right and predicted class. The same seed gives the same intervals.
///
/// Intervals are the 2.5 % and 97.5 % quantiles over resamples of the examples with replacement
/// (Efron's percentile bootstrap); they say how much the figure depends on which examples were drawn,
/// not how a differently seeded training run would differ.
#[must_use]
pub fn evaluate(labels: &[String], pairs: &[(usize, usize)], seed: u64) -> Evaluation {
    let confusion = Confusion::of(pairs.iter().copied(), labels.len());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut resampled = vec![Vec::with_capacity(RESAMPLES); FIGURES.len()];
    if !pairs.is_empty() {
        for _ in 0..RESAMPLES {
            let draws = (0..pairs.len()).map(|_| pairs[rng.random_range(0..pairs.len())]);
            let resample = Confusion::of(draws, labels.len());
            for (values, (_, figure)) in resampled.iter_mut().zip(FIGURES) {
                values.push(figure(&resample));
            }
        }
    }
    let metrics = FIGURES
        .iter()
        .zip(resampled)
        .map(|((name, figure), values)| {
            let metric = Metric {
                value: figure(&confusion),
                interval: interval(values),
            };
            ((*name).to_owned(), metric)
        });
    let classes = labels.iter().enumerate().map(|(class, label)| ClassScores {
        label: label.clone(),
        precision: confusion.precision(class),
        recall: confusion.recall(class),
        f1: confusion.f1(class),
        support: confusion.support(class),
    });
    Evaluation {
        examples: pairs.len(),
        metrics: metrics.collect(),
        classes: classes.collect(),
        confusion: confusion.clone(),
    }
}

/// The middle 95 % of some values, if there are any.
fn interval(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        values
            .get((share * (values.len().max(1) - 1) as f64).round() as usize)
            .copied()
    };
    Some((at(0.025)?, at(0.975)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> Vec<String> {
        ["negative", "neutral", "positive"]
            .map(String::from)
            .to_vec()
    }

    /// The figures were worked out by hand.
    #[test]
    fn the_figures_of_a_small_confusion_matrix_are_those_worked_out_by_hand() {
        let confusion = Confusion {
            counts: vec![vec![2, 1, 0], vec![0, 3, 1], vec![1, 0, 2]],
        };
        assert_eq!(confusion.accuracy(), 0.7);
        assert!((confusion.macro_recall() - (2.0 / 3.0 + 0.75 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert_eq!(
            (confusion.precision(0), confusion.precision(1)),
            (2.0 / 3.0, 0.75)
        );
        let f1 = [2.0 / 3.0, 0.75, 2.0 / 3.0];
        assert!((confusion.macro_f1() - f1.iter().sum::<f64>() / 3.0).abs() < 1e-12);
        assert!(
            (confusion.weighted_f1() - (3.0 * f1[0] + 4.0 * f1[1] + 3.0 * f1[2]) / 10.0).abs()
                < 1e-12
        );
    }

    #[test]
    fn a_class_without_examples_does_not_lower_the_average() {
        let evaluation = evaluate(&labels(), &[(0, 0), (0, 0), (2, 0), (2, 2)], 1);
        assert_eq!(evaluation.metrics["macro_recall"].value, 0.75);
        assert_eq!(evaluation.classes[1].support, 0);
    }

    #[test]
    fn without_examples_every_figure_is_zero_and_has_no_interval() {
        let evaluation = evaluate(&labels(), &[], 1);
        assert!(
            evaluation
                .metrics
                .values()
                .all(|metric| metric.value == 0.0 && metric.interval.is_none())
        );
    }

    #[test]
    fn the_interval_of_accuracy_agrees_with_the_normal_approximation() {
        let pairs: Vec<_> = (0..2000)
            .map(|i| (i % 3, if i % 5 < 4 { i % 3 } else { (i + 1) % 3 }))
            .collect();
        let accuracy = evaluate(&labels(), &pairs, 7).metrics["accuracy"];
        let (low, high) = accuracy.interval.unwrap();
        let half = 1.96 * (0.8_f64 * 0.2 / 2000.0).sqrt();
        assert!((accuracy.value - 0.8).abs() < 1e-12);
        assert!(
            (high - low - 2.0 * half).abs() < 0.2 * half,
            "{low}..{high}, expected +-{half}"
        );
    }

    proptest! {
        #[test]
        fn an_interval_is_ordered_between_zero_and_one_and_decided_by_the_seed(
            pairs in prop::collection::vec((0_usize..3, 0_usize..3), 30..60),
        ) {
            let evaluation = evaluate(&labels(), &pairs, 3);
            for (name, metric) in &evaluation.metrics {
                let (low, high) = metric.interval.unwrap();
                prop_assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0, "{} {:?}", name, metric);
            }
            let again = evaluate(&labels(), &pairs, 3);
            prop_assert_eq!(evaluation, again);
        }

        #[test]
        fn renaming_the_classes_changes_no_average(
            pairs in prop::collection::vec((0_usize..3, 0_usize..3), 1..60),
        ) {
            let turned = pairs.iter().map(|(truth, predicted)| ((truth + 1) % 3, (predicted + 1) % 3));
            let (one, other) = (Confusion::of(pairs.iter().copied(), 3), Confusion::of(turned, 3));
            for (name, figure) in FIGURES {
                prop_assert!((figure(&one) - figure(&other)).abs() < 1e-12, "{}", name);
            }
        }
    }
}
