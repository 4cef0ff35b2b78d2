//! The `[gate]` section: by what rules a candidate passes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::example::GateError;

/// What to make of recent labelled messages that are too few to judge by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FewRecent {
    /// The gain is not shown, so the verdict is no better than inconclusive, and shadow gathers more.
    #[default]
    Inconclusive,
    /// The fixed set alone decides.
    Ignore,
}

/// What must have been measured for a candidate to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Required {
    /// Throughput or latency.
    Speed,
    /// Score gaps on the Equity Evaluation Corpus.
    Equity,
    /// Agreement of the exported model with the trainer's.
    Parity,
}

/// The rules. Shares and recalls are from 0 to 1, so 0.02 is two points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// So much less accuracy on the fixed held-out set is still as good.
    pub accuracy_margin: f64,
    /// So much less macro recall is still as good.
    pub macro_recall_margin: f64,
    /// By more than this the accuracy on recent labelled messages must be higher.
    pub recent_gain: f64,
    /// Recent is what was written in so many days before the comparison; asked by whoever picks the messages.
    pub recent_days: u32,
    /// With fewer recent labelled messages (counted as effective ones) the gain is not judged.
    pub recent_examples: u32,
    /// What that means.
    pub few_recent: FewRecent,
    /// No class may lose more recall than this.
    pub class_loss: f64,
    /// No slice may lose more accuracy than this.
    pub slice_loss: f64,
    /// A slice with fewer (effective) examples is left out.
    pub slice_examples: u32,
    /// So many nats more of negative log likelihood are still as good.
    pub nll_margin: f64,
    /// So much more expected calibration error is still as good.
    pub ece_margin: f64,
    /// By no more than this may a score gap between groups of people widen; scores run from -1 to 1.
    pub equity_margin: f64,
    /// The candidate must be at least so many times as fast.
    pub speed_ratio: f64,
    /// Largest difference accepted between a probability by ONNX Runtime and by the trainer.
    pub parity: f64,
    /// What must have been measured.
    pub required: Vec<Required>,
    /// The Equity Evaluation Corpus, or any file in its columns. Empty: no score gaps are measured.
    pub equity: PathBuf,
    /// One less the level of intervals; the level of tests on classes and slices.
    pub alpha: f64,
    /// Resamples behind intervals of calibration and of score gaps.
    pub resamples: u32,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            accuracy_margin: 0.02,
            macro_recall_margin: 0.02,
            recent_gain: 0.0,
            recent_days: 30,
            recent_examples: 300,
            few_recent: FewRecent::Inconclusive,
            class_loss: 0.05,
            slice_loss: 0.05,
            slice_examples: 100,
            nll_margin: 0.03,
            ece_margin: 0.03,
            equity_margin: 0.03,
            speed_ratio: 0.8,
            parity: 1e-4,
            required: vec![Required::Speed, Required::Parity],
            equity: PathBuf::new(),
            alpha: 0.05,
            resamples: 2000,
            seed: 0,
        }
    }
}

impl GateConfig {
    /// Says which values make no sense.
    ///
    /// # Errors
    /// [`GateError::Setting`] with one sentence about the first of them.
    pub fn check(&self) -> Result<(), GateError> {
        let refuse = |name: &str, value: f64, must: &str| {
            let sentence = format!("[gate] {name} is {value}; it must be {must}");
            Err(GateError::Setting(sentence))
        };
        for (name, value) in [
            ("accuracy_margin", self.accuracy_margin),
            ("macro_recall_margin", self.macro_recall_margin),
            ("recent_gain", self.recent_gain),
            ("class_loss", self.class_loss),
            ("slice_loss", self.slice_loss),
            ("ece_margin", self.ece_margin),
            ("parity", self.parity),
        ] {
            if !(0.0..1.0).contains(&value) {
                return refuse(name, value, "0 or more and below 1");
            }
        }
        for (name, value) in [
            ("nll_margin", self.nll_margin),
            ("equity_margin", self.equity_margin),
            ("speed_ratio", self.speed_ratio),
        ] {
            if !(0.0..=100.0).contains(&value) {
                return refuse(name, value, "from 0 to 100");
            }
        }
        if !(0.001..=0.2).contains(&self.alpha) {
            return refuse("alpha", self.alpha, "from 0.001 to 0.2");
        }
        // An end of an interval needs some resamples beyond it.
        if !(200..=20_000).contains(&self.resamples) {
            return refuse("resamples", f64::from(self.resamples), "from 200 to 20000");
        }
        if self.slice_examples < 20 {
            return refuse(
                "slice_examples",
                f64::from(self.slice_examples),
                "20 or more",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_are_read_from_an_empty_section() {
        let config: GateConfig = toml::from_str("").unwrap();
        assert_eq!(config, GateConfig::default());
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn a_setting_that_does_not_exist_is_refused() {
        assert!(toml::from_str::<GateConfig>("acuracy_margin = 0.01").is_err());
    }

    #[test]
    fn a_value_without_sense_is_refused_by_name() {
        let refused = |text: &str| {
            let config: GateConfig = toml::from_str(text).unwrap();
            config.check().unwrap_err().to_string()
        };
        assert!(refused("accuracy_margin = 2.0").contains("accuracy_margin is 2"));
        assert!(refused("ece_margin = nan").contains("ece_margin"));
        assert!(refused("alpha = 0.9").contains("alpha"));
        assert!(refused("resamples = 5").contains("resamples"));
    }
}
