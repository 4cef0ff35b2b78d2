//! A correction of a model's probabilities that needs no training: how it is applied, and how it is undone.
//!
//! Two corrections, in this order: another temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks",
//! section 4.2), and other class shares than those that the model was calibrated on (Saerens, Latinne and Decaestecker 2002,
//! "Adjusting the Outputs of a Classifier to New a Priori Probabilities", equation 2.4). Both are invertible, so whoever
//! knows the corrected probabilities knows the original's, but for float rounding.

use serde::{Deserialize, Serialize};

/// The smallest class share that is corrected to or from: a share of 0 would rule a class out for ever.
pub const LEAST_SHARE: f64 = 0.005;

/// How far class shares may be from adding up to one.
const SUM_TOLERANCE: f64 = 1e-6;

/// What a derived model does to the probabilities of its original.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recalibration: Option<Recalibration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_correction: Option<PriorCorrection>,
}

/// Another temperature.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recalibration {
    /// The original's temperature.
    pub from: f64,
    /// The temperature instead.
    pub to: f64,
    /// Right (1 or 0) less confidence at the new temperature, on average over the labelled messages, each scored by a
    /// temperature that was fitted without it.
    pub bias: f64,
    /// Standard error of that mean.
    pub standard_error: f64,
}

/// Other class shares, in the order of the labels; each list sums to one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorCorrection {
    /// Those of the data that the original was calibrated on.
    pub source: Vec<f64>,
    /// Those of the feed.
    pub target: Vec<f64>,
}

impl PriorCorrection {
    /// Target over source of each class.
    fn ratios(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.target
            .iter()
            .zip(&self.source)
            .map(|(target, source)| target / source)
    }

    /// What is added to each label's logit, after the temperature.
    #[must_use]
    pub fn offsets(&self) -> Vec<f64> {
        self.ratios().map(f64::ln).collect()
    }

    /// How far the target is from other shares, in points of total variation (0 to 100).
    #[must_use]
    pub fn points_from(&self, shares: &[f64]) -> f64 {
        let apart = self.target.iter().zip(shares).map(|(a, b)| (a - b).abs());
        100.0 * apart.sum::<f64>() / 2.0
    }
}

/// Class shares of which none is below [`LEAST_SHARE`], summing to one; none where the given ones are no shares.
#[must_use]
pub fn usable_shares(shares: &[f64]) -> Option<Vec<f64>> {
    let total: f64 = shares.iter().sum();
    let sound = shares
        .iter()
        .all(|share| share.is_finite() && *share >= 0.0);
    if !sound || shares.is_empty() || (total - 1.0).abs() > 0.01 {
        return None;
    }
    let raised: Vec<f64> = shares
        .iter()
        .map(|share| (share / total).max(LEAST_SHARE))
        .collect();
    let total: f64 = raised.iter().sum();
    Some(raised.iter().map(|share| share / total).collect())
}

impl Adjustment {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.recalibration.is_none() && self.prior_correction.is_none()
    }

    /// Whether it is another's, but for the rounding of numbers that were written down and read again.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
        let same = |one: &[f64], other: &[f64]| {
            one.len() == other.len() && one.iter().zip(other).all(|(&a, &b)| close(a, b))
        };
        let temperatures = match (self.recalibration, other.recalibration) {
            (None, None) => true,
            (Some(a), Some(b)) => close(a.from, b.from) && close(a.to, b.to),
            _ => false,
        };
        let priors = match (&self.prior_correction, &other.prior_correction) {
            (None, None) => true,
            (Some(a), Some(b)) => same(&a.source, &b.source) && same(&a.target, &b.target),
            _ => false,
        };
        temperatures && priors
    }

    /// Says what makes it unusable for a model of so many labels, if anything does.
    ///
    /// # Errors
    /// A sentence's end: what is wrong with it.
    pub fn check(&self, labels: usize) -> Result<(), String> {
        if self.is_none() {
            return Err("its adjustment changes nothing".to_owned());
        }
        if let Some(held) = &self.recalibration {
            let sound = |temperature: f64| temperature.is_finite() && temperature > 0.0;
            if !(sound(held.from) && sound(held.to)) {
                return Err(format!(
                    "its adjustment is from the temperature {} to {}, which are not both positive numbers",
                    held.from, held.to
                ));
            }
        }
        if let Some(held) = &self.prior_correction {
            for shares in [&held.source, &held.target] {
                let total: f64 = shares.iter().sum();
                let sound = shares.len() == labels
                    && shares.iter().all(|share| *share > 0.0)
                    && (total - 1.0).abs() <= SUM_TOLERANCE;
                if !sound {
                    return Err(format!(
                        "its adjustment has the class shares {shares:?}, which are not {labels} shares above 0 of one whole"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What the corrected model says where the original says `original`: one probability for each label, summing to one.
    #[must_use]
    pub fn apply(&self, original: &[f32]) -> Vec<f32> {
        let sharper = self.recalibration.map_or(1.0, |held| held.from / held.to);
        let offsets = self.offsets(original.len());
        softmax(
            original
                .iter()
                .zip(offsets)
                .map(|(&p, offset)| ln(p) * sharper + offset),
        )
    }

    /// What the original says where the corrected model says `corrected`: the inverse of [`Adjustment::apply`].
    #[must_use]
    pub fn undo(&self, corrected: &[f32]) -> Vec<f32> {
        let softer = self.recalibration.map_or(1.0, |held| held.to / held.from);
        let offsets = self.offsets(corrected.len());
        softmax(
            corrected
                .iter()
                .zip(offsets)
                .map(|(&p, offset)| (ln(p) - offset) * softer),
        )
    }

    /// How much more often such a message stands among messages of the source's class shares than among those of the
    /// target's, as a share of the most that is possible: 1 for messages of the class that has become rarer most.
    ///
    /// Under label shift the density of a message among the first, over that among the second, is the sum over classes of
    /// its corrected probability times source over target. So whoever keeps each message with this probability has a
    /// sample as it would be without the shift (von Neumann 1951, rejection sampling).
    #[must_use]
    pub fn kept_share(&self, corrected: &[f32]) -> f64 {
        let Some(priors) = &self.prior_correction else {
            return 1.0;
        };
        let inverse = priors.ratios().map(|ratio| 1.0 / ratio);
        let most = inverse.clone().fold(0.0, f64::max);
        let likelier: f64 = corrected
            .iter()
            .zip(inverse)
            .map(|(&p, ratio)| f64::from(p) * ratio)
            .sum();
        likelier / most
    }

    fn offsets(&self, labels: usize) -> Vec<f64> {
        match &self.prior_correction {
            Some(priors) => priors.offsets(),
            None => vec![0.0; labels],
        }
    }
}

/// A probability too small to write down counts as the smallest that can be.
fn ln(p: f32) -> f64 {
    f64::from(p.max(f32::MIN_POSITIVE)).ln()
}

fn softmax(scores: impl Iterator<Item = f64> + Clone) -> Vec<f32> {
    // Subtracting the largest keeps every exponential at most one.
    let largest = scores.clone().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = scores.map(|score| (score - largest).exp()).collect();
    let total: f64 = shares.iter().sum();
    shares.iter().map(|share| (share / total) as f32).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(0.02_f64..1.0, 3).prop_map(|raw| {
            let total: f64 = raw.iter().sum();
            raw.iter().map(|share| share / total).collect()
        })
    }

    fn probabilities() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-6.0_f64..6.0, 3).prop_map(|logits| softmax(logits.into_iter()))
    }

    fn to(to: f64) -> Recalibration {
        Recalibration {
            from: 1.25,
            to,
            bias: 0.0,
            standard_error: 0.01,
        }
    }

    proptest! {
        #[test]
        fn what_is_applied_and_undone_is_as_before_and_both_are_distributions(
            p in probabilities(), source in shares(), target in shares(), temperature in 0.4_f64..4.0, both: bool,
        ) {
            let adjustment = Adjustment {
                recalibration: both.then(|| to(temperature)),
                prior_correction: Some(PriorCorrection { source, target }),
            };
            prop_assert_eq!(adjustment.check(3), Ok(()));
            let corrected = adjustment.apply(&p);
            let back = adjustment.undo(&corrected);
            for row in [&corrected, &back] {
                prop_assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
            for (a, b) in back.iter().zip(&p) {
                prop_assert!((a - b).abs() < 1e-4, "{back:?} instead of {p:?}");
            }
        }

        #[test]
        fn a_correction_to_the_shares_that_were_changes_nothing(p in probabilities(), shares in shares()) {
            let adjustment = Adjustment {
                prior_correction: Some(PriorCorrection { source: shares.clone(), target: shares }),
                ..Adjustment::default()
            };
            for (a, b) in adjustment.apply(&p).iter().zip(&p) {
                prop_assert!((a - b).abs() < 1e-6);
            }
            prop_assert!((adjustment.kept_share(&p) - 1.0).abs() < 1e-6);
        }

        #[test]
        fn correcting_there_and_back_again_is_no_correction(p in probabilities(), source in shares(), target in shares()) {
            let there = PriorCorrection { source: source.clone(), target: target.clone() };
            let back = PriorCorrection { source: target, target: source };
            let of = |priors| Adjustment { prior_correction: Some(priors), ..Adjustment::default() };
            let there_and_back = of(back).apply(&of(there).apply(&p));
            for (a, b) in there_and_back.iter().zip(&p) {
                prop_assert!((a - b).abs() < 1e-5);
            }
        }

        #[test]
        fn messages_are_kept_in_the_shares_that_undo_the_shift(source in shares(), target in shares()) {
            // Of messages whose class is certain, so many of each class are kept that the source's shares stand again.
            let adjustment = Adjustment {
                prior_correction: Some(PriorCorrection { source: source.clone(), target: target.clone() }),
                ..Adjustment::default()
            };
            let kept: Vec<f64> = (0..3)
                .map(|class| {
                    let mut certain = [0.0_f32; 3];
                    certain[class] = 1.0;
                    target[class] * adjustment.kept_share(&certain)
                })
                .collect();
            let total: f64 = kept.iter().sum();
            for (kept, source) in kept.iter().zip(&source) {
                prop_assert!((kept / total - source).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_corrected_row_agrees_with_pencil_and_paper() {
        let adjustment = Adjustment {
            prior_correction: Some(PriorCorrection {
                source: vec![0.5, 0.5],
                target: vec![0.8, 0.2],
            }),
            ..Adjustment::default()
        };
        // 0.5 * 1.6 against 0.5 * 0.4.
        let corrected = adjustment.apply(&[0.5, 0.5]);
        assert!((corrected[0] - 0.8).abs() < 1e-6, "{corrected:?}");
        assert!((adjustment.kept_share(&[0.0, 1.0]) - 1.0).abs() < 1e-9);
        assert!((adjustment.kept_share(&[1.0, 0.0]) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn no_share_is_so_small_that_a_class_is_ruled_out() {
        let shares = usable_shares(&[0.0, 0.4, 0.6]).unwrap();
        assert!(shares[0] > 0.004 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(usable_shares(&[0.4, 0.4]), None);
        assert_eq!(usable_shares(&[-0.5, 1.5]), None);
        assert_eq!(usable_shares(&[]), None);
    }

    #[test]
    fn each_senseless_adjustment_is_refused_with_its_own_reason() {
        let priors = |source: &[f64], target: &[f64]| Adjustment {
            prior_correction: Some(PriorCorrection {
                source: source.to_vec(),
                target: target.to_vec(),
            }),
            ..Adjustment::default()
        };
        let cold = Adjustment {
            recalibration: Some(to(0.0)),
            ..Adjustment::default()
        };
        for (adjustment, words) in [
            (Adjustment::default(), "changes nothing"),
            (cold, "temperature"),
            (priors(&[0.5, 0.5], &[1.0, 0.0]), "class shares"),
            (priors(&[0.5, 0.4], &[0.5, 0.5]), "class shares"),
            (priors(&[1.0], &[0.5, 0.5]), "class shares"),
        ] {
            let said = adjustment.check(2).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }
}
