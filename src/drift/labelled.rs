//! How good the model was on held-out data whose truth is known.

use serde::{Deserialize, Serialize};

use super::accuracy::CalibrationError;
use super::reading::Reading;

/// Bins of equal width in which confidence is compared with accuracy (Guo et al. 2017).
pub const BINS: usize = 15;

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
    /// The reliability diagram: [`BINS`] bins of the predicted label's probability.
    pub calibration: Vec<Reliability>,
    /// Expected calibration error: the mean distance between confidence and accuracy (Naeini et al. 2015).
    pub ece: f64,
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Readings in it.
    pub count: u64,
    /// Their mean confidence; 0 without readings.
    pub confidence: f64,
    /// Share of them that were right; 0 without readings.
    pub accuracy: f64,
}

impl Labelled {
    /// Compares predictions with truths; none where there is nothing to compare. Labels beyond `labels` are passed over.
    #[must_use]
    pub fn of<'a>(
        readings: impl IntoIterator<Item = (&'a Reading, usize)>,
        labels: usize,
    ) -> Option<Self> {
        let mut confusion = vec![vec![0_u64; labels]; labels];
        let mut bins = vec![Reliability::default(); BINS];
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
            let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            bin.count += 1;
            bin.confidence += confidence;
            bin.accuracy += f64::from(u8::from(truth == reading.label));
        }
        let total: u64 = confusion.iter().flatten().sum();
        if total == 0 {
            return None;
        }
        let total = total as f64;
        let gaps = bins.iter().map(|bin| (bin.confidence - bin.accuracy).abs());
        let ece = gaps.sum::<f64>() / total;
        for bin in bins.iter_mut().filter(|bin| bin.count > 0) {
            bin.confidence /= bin.count as f64;
            bin.accuracy /= bin.count as f64;
        }
        let certainty: f64 = priors.iter().sum();
        priors.iter_mut().for_each(|prior| *prior /= certainty);
        let error = CalibrationError::of(answers);
        Some(Self {
            priors,
            bias: error.map_or(0.0, |error| error.bias),
            standard_error: error.map_or(1.0, |error| error.standard_error),
            confusion,
            calibration: bins,
            ece,
        })
    }

    /// Share of the readings whose prediction was right.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.confusion.len())
            .map(|label| self.confusion[label][label])
            .sum();
        let total: u64 = self.confusion.iter().flatten().sum();
        right as f64 / total.max(1) as f64
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
        let bin = labelled.calibration[13];
        assert_eq!((bin.count, bin.accuracy), (4, 0.75));
        assert!((bin.confidence - 0.9).abs() < 1e-6);
    }

    #[test]
    fn nothing_is_said_where_no_truth_is_known() {
        assert_eq!(Labelled::of([], 3), None);
    }
}
