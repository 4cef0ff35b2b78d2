//! The `[rollout]` section: how a candidate takes over, step by step.

use serde::{Deserialize, Serialize};

use super::share::KeepTogether;

/// More steps than this are no rollout.
const MOST_SHARES: usize = 20;
/// A stage and the watch after it last no longer than this.
const LONGEST_SECONDS: u64 = 90 * 24 * 3600;

/// What to do in a stage with too few labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RareLabels {
    /// Wait for them, until the stage's time is up.
    #[default]
    Wait,
    /// Go on where the candidate is shown to answer much as the champion does.
    Agreement,
}

/// What to do when a stage's time is up and nothing is decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undecided {
    /// The champion stays.
    #[default]
    Halt,
    /// Go on, unless harm is shown. A candidate that the gate has not passed is halted all the same.
    Advance,
}

/// How a rollout goes. Shares and margins are from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutConfig {
    /// The parts of the feed that the candidate serves, one after another; empty goes from shadow to everything.
    pub shares: Vec<f64>,
    /// The part of the messages served by the champion that the candidate scores too, to be compared and not served.
    pub shadow_share: f64,
    /// Whose messages stay with one model.
    pub keep_together: KeepTogether,
    /// Messages that the candidate must have scored in a stage before it goes on.
    pub min_messages: u64,
    /// Labelled messages on which both models can be compared, gathered in a stage before it goes on.
    pub min_labels: u64,
    /// A stage lasts so long at least.
    pub min_stage_seconds: u64,
    /// And no longer than this.
    pub max_stage_seconds: u64,
    /// After promotion the model before it is kept ready, and labels are watched, for so long.
    pub watch_seconds: u64,
    /// The chance that a candidate which is no better is ever called better, and that one which is no worse is ever called worse;
    /// one each for the rollout and for the watch after it.
    pub alpha: f64,
    /// Proven to be worse it is stopped if it has lost so much accuracy; 0 stops it at any proven loss.
    pub harm_margin: f64,
    /// Whether a candidate that has passed the gate must be proven better again, on labels of the rollout, to be promoted.
    pub prove_gain: bool,
    /// What to do with too few labels.
    pub rare_labels: RareLabels,
    /// With [`RareLabels::Agreement`] and too few labels the candidate is stopped when it is shown to agree with the champion on a
    /// smaller part of the messages.
    pub min_agreement: f64,
    /// And when a class's share or the mean confidence is shown to differ by more than this between the models.
    pub max_drift: f64,
    /// What to do when a stage's time is up.
    pub undecided: Undecided,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        Self {
            shares: vec![0.05, 0.25, 0.5],
            shadow_share: 1.0,
            keep_together: KeepTogether::Author,
            min_messages: 1000,
            min_labels: 100,
            min_stage_seconds: 3600,
            max_stage_seconds: 7 * 24 * 3600,
            watch_seconds: 7 * 24 * 3600,
            alpha: 0.05,
            harm_margin: 0.0,
            prove_gain: false,
            rare_labels: RareLabels::Wait,
            min_agreement: 0.8,
            max_drift: 0.1,
            undecided: Undecided::Halt,
        }
    }
}

impl RolloutConfig {
    /// Says which values make no sense.
    ///
    /// # Errors
    /// One sentence about the first of them.
    pub fn check(&self) -> Result<(), String> {
        let rising = self.shares.windows(2).all(|pair| pair[0] < pair[1]);
        let parts = self.shares.iter().all(|share| *share > 0.0 && *share < 1.0);
        if !rising || !parts || self.shares.len() > MOST_SHARES {
            return Err(format!(
                "[rollout] shares is {:?}; it must be at most {MOST_SHARES} numbers between 0 and 1, each above the one before",
                self.shares
            ));
        }
        if self.min_stage_seconds > self.max_stage_seconds {
            return Err(format!(
                "[rollout] min_stage_seconds is {}; it must not be above max_stage_seconds, {}",
                self.min_stage_seconds, self.max_stage_seconds
            ));
        }
        for (name, value) in [
            ("max_stage_seconds", self.max_stage_seconds),
            ("watch_seconds", self.watch_seconds),
        ] {
            if !(60..=LONGEST_SECONDS).contains(&value) {
                return Err(format!(
                    "[rollout] {name} is {value}; it must be from 60 to {LONGEST_SECONDS}"
                ));
            }
        }
        if !(0.0001..=0.2).contains(&self.alpha) {
            return Err(format!(
                "[rollout] alpha is {}; it must be from 0.0001 to 0.2",
                self.alpha
            ));
        }
        for (name, value) in [
            ("shadow_share", self.shadow_share),
            ("harm_margin", self.harm_margin),
            ("min_agreement", self.min_agreement),
            ("max_drift", self.max_drift),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!(
                    "[rollout] {name} is {value}; it must be from 0 to 1"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_are_read_from_an_empty_section() {
        let config: RolloutConfig = toml::from_str("").unwrap();
        assert_eq!(config, RolloutConfig::default());
        assert_eq!(config.check(), Ok(()));
        assert!(toml::from_str::<RolloutConfig>("share = [0.1]").is_err());
    }

    #[test]
    fn a_value_without_sense_is_refused_by_name() {
        let refused = |text: &str| {
            let config: RolloutConfig = toml::from_str(text).unwrap();
            config.check().unwrap_err()
        };
        for shares in [
            "[0.5, 0.25]",
            "[0.5, 0.5]",
            "[0.0, 0.5]",
            "[0.5, 1.0]",
            "[nan]",
        ] {
            assert!(
                refused(&format!("shares = {shares}")).contains("shares"),
                "{shares}"
            );
        }
        assert!(refused("min_stage_seconds = 700000").contains("max_stage_seconds"));
        assert!(refused("watch_seconds = 0").contains("watch_seconds"));
        assert!(refused("alpha = 0.5").contains("alpha"));
        assert!(refused("harm_margin = -0.1").contains("harm_margin"));
        assert!(refused("shadow_share = 1.1").contains("shadow_share"));
    }
}
