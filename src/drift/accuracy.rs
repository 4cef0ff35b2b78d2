//! How many answers are right, estimated without labels from how sure the model is.
//!
//! A calibrated model that is 80 % sure is right in 80 % of such cases, so the mean confidence estimates the accuracy
//! (confidence-based performance estimation; Guillory et al. 2021, "Predicting with Confidence on Unseen Distributions", and
//! Garg et al. 2022, "Leveraging Unlabeled Data to Predict Out-of-Distribution Performance", call it average confidence).
//!
//! The assumption is that the calibration carries over to the new messages. That holds while the messages become easier or
//! harder, more or less frequent; it fails under concept drift, when the same words come to mean something else: the model is
//! as sure as before, and wrong. It also fails under label shift until the probabilities are corrected for it
//! ([`shift::correct`](super::shift::correct)). Only labels tell ([`labelled`](super::labelled)).

use serde::{Deserialize, Serialize};

use super::proportion::Z95;

/// How far confidence was from accuracy on held-out labelled data.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CalibrationError {
    /// Mean of right (1 or 0) less confidence; above zero where the model was too modest.
    pub bias: f64,
    /// Standard error of that mean.
    pub standard_error: f64,
}

impl CalibrationError {
    /// Measures it on pairs of the predicted label's probability and whether the label was right; none for fewer than two.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (f32, bool)>) -> Option<Self> {
        // Welford 1962: the sum of squares about the mean in one pass, without cancellation.
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for (confidence, right) in pairs {
            let value = f64::from(u8::from(right)) - f64::from(confidence);
            count += 1.0;
            let before = value - mean;
            mean += before / count;
            squares += before * (value - mean);
        }
        (count >= 2.0).then(|| Self {
            bias: mean,
            standard_error: (squares / (count - 1.0) / count).sqrt(),
        })
    }

    /// The bias cannot be told from zero (95 %).
    #[must_use]
    pub fn may_be_zero(&self) -> bool {
        self.bias.abs() <= Z95 * self.standard_error
    }
}

/// An estimate of accuracy (or of macro recall) among some messages, as a share of one, with a 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EstimatedAccuracy {
    /// The estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Messages it is of.
    pub messages: u64,
}

impl EstimatedAccuracy {
    fn within(value: f64, variance: f64, messages: u64) -> Self {
        let value = value.clamp(0.0, 1.0);
        let half = Z95 * variance.max(0.0).sqrt();
        Self {
            value,
            low: (value - half).max(0.0),
            high: (value + half).min(1.0),
            messages,
        }
    }

    /// Loss against a baseline's accuracy, in points of accuracy (0.02 less is 2 points). The baseline is taken as known:
    /// its own interval is not in that of the loss.
    #[must_use]
    pub fn expected_loss(&self, baseline: f64) -> Loss {
        Loss {
            points: 100.0 * (baseline - self.value),
            low: 100.0 * (baseline - self.high),
            high: 100.0 * (baseline - self.low),
        }
    }
}

/// Accuracy lost against a baseline, in points (a hundredth of all messages); below zero where it was gained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// The loss.
    pub points: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
}

impl Loss {
    /// The measured loss: `right` of `labelled` answers were right, and the baseline's accuracy was `baseline`; none without
    /// labels. The interval is Wilson's.
    #[must_use]
    pub fn measured(right: u64, labelled: u64, baseline: f64) -> Option<Self> {
        let (low, high) = super::proportion::wilson(right, labelled);
        let accuracy = EstimatedAccuracy {
            value: super::proportion::share(right, labelled),
            low,
            high,
            messages: labelled,
        };
        (labelled > 0).then(|| accuracy.expected_loss(baseline))
    }
}

/// Estimated accuracy of some messages from the calibrated probabilities of their predicted labels; none without messages.
///
/// The value is the mean confidence, corrected by the bias that was measured on held-out data. The interval is of the share of
/// these messages that are right. Two errors, independent of each other, are in it: given its confidence p each message is
/// right or not, so the number of right ones is Poisson-binomial with variance sum p (1 - p); and the bias is known but for its
/// standard error. The normal approximation is used for both.
#[must_use]
pub fn estimate(
    confidences: impl IntoIterator<Item = f32>,
    calibration: CalibrationError,
) -> Option<EstimatedAccuracy> {
    let (mut messages, mut sum, mut variance) = (0_u64, 0.0, 0.0);
    for confidence in confidences {
        let p = f64::from(confidence).clamp(0.0, 1.0);
        messages += 1;
        sum += p;
        variance += p * (1.0 - p);
    }
    let n = messages as f64;
    let variance = variance / (n * n) + calibration.standard_error.powi(2);
    (messages > 0)
        .then(|| EstimatedAccuracy::within(sum / n + calibration.bias, variance, messages))
}

/// The confusion matrix to expect of predicted labels and calibrated probabilities: `[truth][predicted]`, each entry the
/// expected number of messages. Labels beyond `labels` are left out.
#[must_use]
pub fn expected_confusion<'a>(
    rows: impl IntoIterator<Item = (usize, &'a [f32])>,
    labels: usize,
) -> Vec<Vec<f64>> {
    let mut counts = vec![vec![0.0; labels]; labels];
    for (predicted, row) in rows {
        for (truth, &p) in counts.iter_mut().zip(row) {
            if let Some(entry) = truth.get_mut(predicted) {
                *entry += f64::from(p);
            }
        }
    }
    counts
}

/// Estimated recall averaged over the labels that are to be expected at all, from the expected confusion matrix; none without
/// messages.
///
/// The interval is of the macro recall among these messages, by the delta method: it holds the chance of which truths occur,
/// and not the error of the calibration, which is known for the predicted label only.
#[must_use]
pub fn macro_recall<'a>(
    rows: impl IntoIterator<Item = (usize, &'a [f32]), IntoIter: Clone>,
    labels: usize,
) -> Option<EstimatedAccuracy> {
    let rows = rows.into_iter();
    let confusion = expected_confusion(rows.clone(), labels);
    let supports: Vec<f64> = confusion.iter().map(|row| row.iter().sum()).collect();
    let occurring = supports.iter().filter(|support| **support > 0.0).count() as f64;
    if occurring == 0.0 {
        return None;
    }
    let recall = |class: usize| confusion[class][class] / supports[class];
    let occurs = |class: &usize| supports[*class] > 0.0;
    let value = (0..labels).filter(occurs).map(recall).sum::<f64>() / occurring;
    let (mut messages, mut variance) = (0, 0.0);
    for (predicted, row) in rows {
        messages += 1;
        let (mut mean, mut square) = (0.0, 0.0);
        for class in (0..labels.min(row.len())).filter(occurs) {
            let hit = f64::from(u8::from(class == predicted));
            let change = (hit - recall(class)) / supports[class] / occurring;
            mean += f64::from(row[class]) * change;
            square += f64::from(row[class]) * change * change;
        }
        variance += square - mean * mean;
    }
    Some(EstimatedAccuracy::within(value, variance, messages))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    /// Probabilities drawn at random, and a truth drawn from each: calibrated by construction.
    fn calibrated(count: usize, rng: &mut ChaCha8Rng) -> Vec<([f32; 3], usize)> {
        (0..count)
            .map(|_| {
                let raw = [(); 3].map(|()| rng.random::<f64>().powi(3) + 0.01);
                let total: f64 = raw.iter().sum();
                let row = raw.map(|value| value / total);
                let draw: f64 = rng.random();
                let truth = usize::from(draw > row[0]) + usize::from(draw > row[0] + row[1]);
                (row.map(|p| p as f32), truth)
            })
            .collect()
    }

    fn largest(row: &[f32; 3]) -> usize {
        (1..3).fold(0, |best, k| if row[k] > row[best] { k } else { best })
    }

    fn held_out(rows: &[([f32; 3], usize)]) -> CalibrationError {
        let pairs = rows
            .iter()
            .map(|(row, truth)| (row[largest(row)], largest(row) == *truth));
        CalibrationError::of(pairs).unwrap()
    }

    #[test]
    fn the_intervals_hold_the_truth_about_as_often_as_they_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let runs = 400;
        let (mut accuracy_inside, mut recall_inside) = (0, 0);
        for _ in 0..runs {
            let calibration = held_out(&calibrated(300, &mut rng));
            let window = calibrated(200, &mut rng);
            let right = window.iter().filter(|(row, truth)| largest(row) == *truth);
            let accuracy = right.count() as f64 / 200.0;
            let confidences = window.iter().map(|(row, _)| row[largest(row)]);
            let estimated = estimate(confidences, calibration).unwrap();
            accuracy_inside += u32::from((estimated.low..=estimated.high).contains(&accuracy));
            let recall: f64 = (0..3)
                .map(|class| {
                    let of_class = window.iter().filter(|(_, truth)| *truth == class);
                    let found = of_class.clone().filter(|(row, _)| largest(row) == class);
                    found.count() as f64 / of_class.count() as f64 / 3.0
                })
                .sum();
            let rows = window.iter().map(|(row, _)| (largest(row), row.as_slice()));
            let estimated = macro_recall(rows, 3).unwrap();
            recall_inside += u32::from((estimated.low..=estimated.high).contains(&recall));
        }
        for inside in [accuracy_inside, recall_inside] {
            let coverage = f64::from(inside) / f64::from(runs);
            assert!((0.91..=0.985).contains(&coverage), "{coverage}");
        }
    }

    #[test]
    fn the_bias_of_an_overconfident_model_is_taken_off() {
        let pairs = (0..1000).map(|i| (0.9_f32, i % 10 < 7));
        let calibration = CalibrationError::of(pairs).unwrap();
        assert!((calibration.bias + 0.2).abs() < 1e-6 && !calibration.may_be_zero());
        assert!((calibration.standard_error - (0.21_f64 / 999.0).sqrt()).abs() < 1e-9);
        let estimated = estimate([0.9; 50], calibration).unwrap();
        assert!((estimated.value - 0.7).abs() < 1e-6, "{estimated:?}");
        assert!((estimated.expected_loss(0.75).points - 5.0).abs() < 1e-4);
    }

    #[test]
    fn one_labelled_example_says_nothing_of_its_own_error() {
        assert_eq!(CalibrationError::of([(0.5, true)]), None);
    }

    #[test]
    fn without_messages_nothing_is_estimated() {
        assert_eq!(estimate([], CalibrationError::default()), None);
        assert_eq!(macro_recall([], 3), None);
        assert_eq!(Loss::measured(0, 0, 0.7), None);
    }

    #[test]
    fn the_expected_confusion_of_certain_messages_is_the_count_of_them() {
        let rows: [(usize, &[f32]); 3] = [(0, &[1.0, 0.0]), (0, &[0.0, 1.0]), (1, &[0.0, 1.0])];
        assert_eq!(
            expected_confusion(rows, 2),
            vec![vec![1.0, 0.0], vec![1.0, 1.0]]
        );
        let recall = macro_recall(rows, 2).unwrap();
        assert_eq!((recall.value, recall.low, recall.high), (0.75, 0.75, 0.75));
    }

    #[test]
    fn a_measured_loss_of_five_points_is_five_points() {
        let loss = Loss::measured(700, 1000, 0.75).unwrap();
        assert!((loss.points - 5.0).abs() < 1e-9);
        assert!(loss.low < 2.5 && loss.low > 2.0 && loss.high > 7.0 && loss.high < 8.0);
    }

    proptest! {
        #[test]
        fn more_doubt_in_the_calibration_only_widens_the_interval(
            confidences in prop::collection::vec(0.34_f32..1.0, 1..50), bias in -0.1_f64..0.1, error in 0.0_f64..0.1,
        ) {
            let sure = estimate(confidences.iter().copied(), CalibrationError { bias, standard_error: 0.0 }).unwrap();
            let unsure = estimate(confidences, CalibrationError { bias, standard_error: error }).unwrap();
            prop_assert_eq!(sure.value, unsure.value);
            prop_assert!(unsure.low <= sure.low && sure.high <= unsure.high);
            prop_assert!(0.0 <= unsure.low && unsure.low <= sure.value && sure.value <= unsure.high && unsure.high <= 1.0);
        }
    }
}
