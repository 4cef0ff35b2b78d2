//! Whether labelled messages are likelier with a remedy than without.

use serde::{Deserialize, Serialize};

use super::material::{Material, Row};
use crate::adjustment::Adjustment;
use crate::gate::calibration;
use crate::gate::example::Example;
use crate::model::probability::largest;

/// Resamples of the bootstrap, one less the level of its interval, and its seed.
const RESAMPLES: usize = 2_000;
const ALPHA: f64 = 0.05;
const SEED: u64 = 0;

/// What labelled messages say of a remedy, beside the model that was to be corrected as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    pub messages: u64,
    /// So many of equal weight would tell as much.
    pub effective: u32,
    /// Mean negative log likelihood in nats as it is, and with the remedy.
    pub nll_before: f64,
    pub nll_after: f64,
    /// The 95 % interval of the difference (paired bootstrap).
    pub interval: (f64, f64),
    pub p: f64,
    /// Share of right answers as it is, and with the remedy.
    pub accuracy_before: f64,
    pub accuracy_after: f64,
    /// Expected calibration error as it is, and with the remedy.
    pub ece_before: f64,
    pub ece_after: f64,
}

impl Checked {
    /// Compares what is said now with what would be said, one row for each message; none without messages.
    pub(super) fn of(
        material: &Material,
        current: &Adjustment,
        after: impl Fn(usize, &Row) -> Vec<f32>,
    ) -> Option<Self> {
        let examples: Vec<Example> = material
            .rows
            .iter()
            .enumerate()
            .map(|(index, row)| Example {
                truth: row.truth,
                length: None,
                champion: current.apply(&row.original),
                candidate: after(index, row),
                source: None,
                subject: None,
                weight: row.weight,
            })
            .collect();
        let compared = calibration::compare(&examples, RESAMPLES, ALPHA, SEED)?;
        let [nll, ..] = compared.differences;
        let accuracy = |answer: fn(&Example) -> &[f32]| {
            let right = examples.iter().map(|example| {
                let hit = largest(answer(example)) == example.truth;
                f64::from(u8::from(hit)) * example.weight
            });
            let all: f64 = examples.iter().map(|example| example.weight).sum();
            right.sum::<f64>() / all
        };
        Some(Self {
            messages: examples.len() as u64,
            effective: material.effective(),
            nll_before: compared.champion.nll,
            nll_after: compared.candidate.nll,
            interval: nll.interval,
            p: nll.p,
            accuracy_before: accuracy(|example| &example.champion),
            accuracy_after: accuracy(|example| &example.candidate),
            ece_before: compared.champion.ece,
            ece_after: compared.candidate.ece,
        })
    }

    /// Whether the messages are less likely with the remedy.
    pub(super) fn is_worse(&self) -> bool {
        self.nll_after > self.nll_before
    }

    /// In one sentence.
    pub(super) fn sentence(&self) -> String {
        let (low, high) = self.interval;
        format!(
            "On {} labelled messages the negative log likelihood goes from {:.4} to {:.4} (difference {:+.4}, 95 % {low:+.4} to {high:+.4}), \
             the calibration error from {:.3} to {:.3}, the accuracy from {:.1} % to {:.1} %.",
            self.messages,
            self.nll_before,
            self.nll_after,
            self.nll_after - self.nll_before,
            self.ece_before,
            self.ece_after,
            100.0 * self.accuracy_before,
            100.0 * self.accuracy_after,
        )
    }
}
