//! Comparing what a derived model says with the baseline of its original.
//!
//! A derived model's probabilities are its original's, corrected by an [`Adjustment`]. The correction is undone before
//! anything is compared, which is exact but for float rounding: so another temperature alone moves no statistic. Where
//! class shares are corrected, it is known that the feed's differ from the baseline's, and what is asked is whether
//! anything else does. Then the window is thinned: each distinct message is kept with the probability that leaves the
//! baseline's shares (rejection sampling by the likelihood ratio of the label shift, [`Adjustment::kept_share`]). If the
//! correction is right, what is kept has classes and probabilities distributed as the baseline's, and words, too, as far as
//! the model sees what they say of the class: what it overlooks still leans to the classes that have become more frequent.
//! So the baseline's null holds for it as it stands, and if class shares move on, or words change, that shows.

use std::borrow::Cow;

use super::baseline::{Baseline, Identity};
use super::labelled::Labelled;
use super::reading::Reading;
use crate::adjustment::Adjustment;
use crate::coin;

/// Keeps the coins of the thinning apart from all others.
const SALT: &str = "prior correction";

impl Identity {
    /// Whether what it made is comparable with what a model with this adjustment says, as it is or with the adjustment undone.
    fn knows(&self, adjustment: Option<&Adjustment>) -> bool {
        match (&self.adjustment, adjustment) {
            (None, _) => true,
            (Some(own), Some(other)) => own.is_like(other),
            (Some(_), None) => false,
        }
    }
}

impl Baseline {
    /// The baseline for a model that adjusts the one that it was made with; none where it was made with another one.
    ///
    /// What labels say of the held-out data is weighed by the corrected class shares, so that a loss, and a rise of errors,
    /// is one that the shares do not explain. The mean distance of confidence and accuracy is that of a recalibration.
    #[must_use]
    pub fn for_model(mut self, adjustment: Option<&Adjustment>) -> Option<Self> {
        if !self.identity.knows(adjustment) {
            return None;
        }
        let Some(undone) = adjustment.filter(|_| self.identity.adjustment.is_none()) else {
            return Some(self);
        };
        if let Some(labelled) = &mut self.labelled {
            if let Some(priors) = &undone.prior_correction {
                labelled.confusion = labelled.weighed(&priors.target);
            }
            if let Some(held) = undone.recalibration {
                labelled.bias = held.bias;
                labelled.standard_error = held.standard_error;
            }
        }
        self.undone = Some(undone.clone());
        self.format = self.format_needed();
        Some(self)
    }

    /// Distinct readings as the baseline's own model would have made them; as they are where that is the model that made them.
    pub(super) fn originals<'a>(&self, readings: &[&'a Reading]) -> Vec<Cow<'a, Reading>> {
        let original = |reading: &'a Reading| match &self.undone {
            None => Cow::Borrowed(reading),
            Some(adjustment) => {
                let probabilities = adjustment.undo(&reading.probabilities);
                Cow::Owned(Reading {
                    label: likeliest(&probabilities),
                    probabilities,
                    ..reading.clone()
                })
            }
        };
        readings.iter().map(|reading| original(reading)).collect()
    }

    /// Those of some distinct readings that are compared with the baseline, given with their [`Baseline::originals`].
    pub(super) fn thinned<'a>(
        &self,
        readings: &[&Reading],
        originals: &'a [Cow<'_, Reading>],
    ) -> Vec<&'a Reading> {
        let kept = |reading: &Reading| match &self.undone {
            None => true,
            Some(adjustment) => {
                let text = reading.print.near.to_be_bytes();
                coin::toss(SALT, &[&text]) < adjustment.kept_share(&reading.probabilities)
            }
        };
        let pairs = readings.iter().zip(originals);
        pairs
            .filter(|(reading, _)| kept(reading))
            .map(|(_, original)| &**original)
            .collect()
    }

    /// The class shares that are normal: those that a correction is to, or else those of the labelled held-out data.
    #[must_use]
    pub fn normal_shares(&self) -> Option<&[f64]> {
        let labelled = self.labelled.as_ref()?;
        let adjustment = self.undone.as_ref();
        let corrected = adjustment.and_then(|adjustment| adjustment.prior_correction.as_ref());
        Some(corrected.map_or(&labelled.priors, |priors| &priors.target))
    }
}

impl Labelled {
    /// The confusion matrix as if the truths had other shares. It counts as many messages as would tell as much without being
    /// weighed (Kish 1965).
    fn weighed(&self, shares: &[f64]) -> Vec<Vec<u64>> {
        let totals: Vec<f64> = self
            .confusion
            .iter()
            .map(|row| row.iter().sum::<u64>() as f64)
            .collect();
        let doubt: f64 = totals
            .iter()
            .zip(shares)
            .map(|(total, share)| share * share / total.max(1.0))
            .sum();
        let messages = 1.0 / doubt.max(f64::MIN_POSITIVE);
        let row = |(row, (total, share)): (&Vec<u64>, (&f64, &f64))| -> Vec<u64> {
            let times = messages * share / total.max(1.0);
            row.iter()
                .map(|&count| (count as f64 * times).round() as u64)
                .collect()
        };
        let rows = self.confusion.iter();
        rows.zip(totals.iter().zip(shares)).map(row).collect()
    }
}

fn likeliest(probabilities: &[f32]) -> usize {
    (1..probabilities.len()).fold(0, |best, label| {
        if probabilities[label] > probabilities[best] {
            label
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests;
