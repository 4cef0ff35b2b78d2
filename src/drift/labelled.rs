//! How good the model was on held-out data whose truth is known.

use serde::{Deserialize, Serialize};

use super::accuracy::CalibrationError;
use super::proportion::{share, wilson};
use super::reading::Reading;

/// Bins of equal width in which confidence is compared with accuracy (Guo et al. 2017).
const BINS: usize = 15;

/// What labelled held-out readings say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labelled {
    /// Readings by truth and prediction: `confusion[truth][predicted]`, in the labels' order.
    pub confusion: Vec<Vec<u64>>,
    /// Mean probability of each label: the priors from which a label shift is estimated. With calibrated probabilities they are
    /// the shares of the truths; else these make the estimate err less (Alexandari, Kundaje and Shrikumar 2020, section 3).
    pub priors: Vec<f64>,
    /// Mean of right (1 or 0) less confidence.
    pub bias: f64,
    /// Standard error of that mean.
    pub standard_error: f64,
    /// Expected calibration error: the mean distance between confidence and accuracy over bins of equal width (Naeini et al. 2015).
    pub ece: f64,
}

impl Labelled {
    /// Compares predictions with truths; none where there is nothing to compare. Labels beyond `labels` are passed over.
    #[must_use]
    pub fn of<'a>(
        readings: impl IntoIterator<Item = (&'a Reading, usize)>,
        labels: usize,
    ) -> Option<Self> {
        let mut confusion = vec![vec![0_u64; labels]; labels];
        // In each bin, how often the answers were right less how sure the model was of them.
        let mut gaps = [0.0_f64; BINS];
        let mut priors = vec![0.0; labels];
        let mut answers = Vec::new();
        for (reading, truth) in readings {
            if truth >= labels || reading.label >= labels {
                continue;
            }
            confusion[truth][reading.label] += 1;
            let confidence = reading.probabilities.get(reading.label).copied();
            answers.push((confidence.unwrap_or(0.0), truth == reading.label));
            for (prior, &p) in priors.iter_mut().zip(&reading.probabilities) {
                *prior += f64::from(p);
            }
            let confidence = f64::from(confidence.unwrap_or(0.0));
            let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
            gaps[bin] += f64::from(u8::from(truth == reading.label)) - confidence;
        }
        let total: u64 = confusion.iter().flatten().sum();
        if total == 0 {
            return None;
        }
        let total = total as f64;
        let ece = gaps.iter().map(|gap| gap.abs()).sum::<f64>() / total;
        let certainty: f64 = priors.iter().sum();
        priors.iter_mut().for_each(|prior| *prior /= certainty);
        let error = CalibrationError::of(answers);
        Some(Self {
            priors,
            bias: error.map_or(0.0, |error| error.bias),
            standard_error: error.map_or(1.0, |error| error.standard_error),
            confusion,
            ece,
        })
    }

    /// Share of the readings whose prediction was right.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let (right, total) = self.right();
        share(right, total)
    }

    /// The error rate that the readings allow for: the upper end of its 95 % interval.
    #[must_use]
    pub fn most_errors(&self) -> f64 {
        let (right, total) = self.right();
        wilson(total - right, total).1
    }

    /// Readings whose prediction was right, and all.
    #[must_use]
    pub fn right(&self) -> (u64, u64) {
        let right = (0..self.confusion.len()).map(|label| self.confusion[label][label]);
        (right.sum(), self.confusion.iter().flatten().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::Feed;
    use super::*;

    /// Four readings that are 0.9 sure of label 0, three of them right, and one without a usable truth.
    #[test]
    fn a_small_example_agrees_with_pencil_and_paper() {
        let mut readings = Feed::default().readings(5, 1);
        for reading in &mut readings {
            reading.label = 0;
            reading.probabilities = vec![0.9, 0.05, 0.05];
        }
        let truths = [0, 0, 0, 2, 7];
        let labelled = Labelled::of(readings.iter().zip(truths), 3).unwrap();
        assert_eq!(
            labelled.confusion,
            [[3, 0, 0], [0, 0, 0], [1, 0, 0]].map(|row| row.to_vec())
        );
        for (prior, expected) in labelled.priors.iter().zip([0.9, 0.05, 0.05]) {
            assert!((prior - expected).abs() < 1e-6);
        }
        assert_eq!(labelled.accuracy(), 0.75);
        assert!((labelled.bias + 0.15).abs() < 1e-6, "{labelled:?}");
        assert!((labelled.standard_error - 0.25).abs() < 1e-6);
        assert!((labelled.ece - 0.15).abs() < 1e-6);
        assert_eq!(labelled.right(), (3, 4));
        assert!((0.69..0.71).contains(&labelled.most_errors()));
    }

    #[test]
    fn nothing_is_said_where_no_truth_is_known() {
        assert_eq!(Labelled::of([], 3), None);
    }
}
