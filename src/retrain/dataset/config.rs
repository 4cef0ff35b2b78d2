//! The `[retrain.dataset]` section.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::baseline::FEWEST_BASELINE;
use crate::train::recipe::are_weights;

/// How the rows of a training are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetConfig {
    /// Starts every random choice but that of what is held out, which never changes.
    pub seed: u64,
    /// Share of the authors (of the messages, where none is known) whose labelled messages are held out for the gate.
    pub held_out: f64,
    /// The same for validation: what the temperature is fitted on.
    pub validation: f64,
    /// Share of a message's annotators who must agree on its label.
    pub min_agreement: f64,
    /// Most labelled messages to train on.
    pub max_rows: u32,
    /// Most of one author; 0: as many as there are.
    pub per_author: u32,
    /// Most of one source; 0: as many as there are.
    pub per_source: u32,
    /// A message that is so many days older than the newest weighs half as much; 0: age does not count.
    pub half_life_days: u32,
    /// How often the newest labelled messages occur in an epoch; the oldest occur once.
    pub repeats: u32,
    /// Rows of the base that are added.
    pub base_rows: u32,
    /// Newest labelled messages, of those that were chosen by chance and are not trained on, from which the drift baseline is made;
    /// with fewer than [`FEWEST_BASELINE`] it is made of what validates.
    pub baseline_rows: u32,
    /// Whether rare classes weigh more in the loss, so that all weigh alike.
    pub balance_classes: bool,
    /// How much classes count in the loss, by name; 1 where not named. Empty: as the recipe says.
    pub class_weights: BTreeMap<String, f64>,
    /// Most unlabelled texts.
    pub max_texts: u32,
    /// Peak learning rate, where not what the recipe says.
    pub learning_rate: Option<f64>,
    /// Passes over the rows, where not what the recipe says.
    pub epochs: Option<usize>,
}

impl Default for DatasetConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            held_out: 0.2,
            validation: 0.1,
            min_agreement: 0.6,
            max_rows: 20_000,
            per_author: 50,
            per_source: 10_000,
            half_life_days: 90,
            repeats: 2,
            base_rows: 10_000,
            baseline_rows: 2_000,
            balance_classes: false,
            class_weights: BTreeMap::new(),
            max_texts: 0,
            learning_rate: None,
            epochs: None,
        }
    }
}

impl DatasetConfig {
    /// Says which values make no sense.
    ///
    /// # Errors
    /// One sentence about the first of them.
    pub fn check(&self) -> Result<(), String> {
        let refuse = |what: String| Err(format!("[retrain.dataset] {what}"));
        let shares = [("held_out", self.held_out), ("validation", self.validation)];
        for (name, share) in shares {
            if !(share > 0.0 && share < 0.5) {
                return refuse(format!(
                    "{name} is {share}; it must be above 0 and below 0.5"
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.min_agreement) {
            return refuse(format!(
                "min_agreement is {}; it must be from 0 to 1",
                self.min_agreement
            ));
        }
        if self.max_rows == 0 || !(1..=20).contains(&self.repeats) {
            return refuse("max_rows must be 1 or more, and repeats from 1 to 20".to_owned());
        }
        if (1..FEWEST_BASELINE).contains(&(self.baseline_rows as usize)) {
            return refuse(format!(
                "baseline_rows is {}; it must be 0, or {FEWEST_BASELINE} or more",
                self.baseline_rows
            ));
        }
        if self
            .learning_rate
            .is_some_and(|rate| !(rate.is_finite() && rate > 0.0))
        {
            return refuse("learning_rate must be a number above 0".to_owned());
        }
        if !are_weights(&self.class_weights) {
            return refuse("class_weights must be numbers above 0".to_owned());
        }
        if self.balance_classes && !self.class_weights.is_empty() {
            return refuse("balance_classes and class_weights exclude each other".to_owned());
        }
        if self.epochs == Some(0) {
            return refuse("epochs must be at least 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_that_ship_make_sense_and_others_are_refused() {
        assert_eq!(DatasetConfig::default().check(), Ok(()));
        for (text, said) in [
            ("held_out = 0.0", "held_out"),
            ("validation = 0.5", "validation"),
            ("min_agreement = nan", "min_agreement"),
            ("repeats = 0", "repeats"),
            ("baseline_rows = 999", "baseline_rows"),
            ("learning_rate = -1.0", "learning_rate"),
            ("epochs = 0", "epochs"),
            ("class_weights = { neutral = 0.0 }", "class_weights"),
            (
                "balance_classes = true\nclass_weights = { neutral = 2.0 }",
                "exclude each other",
            ),
        ] {
            let refusal = toml::from_str::<DatasetConfig>(text)
                .unwrap()
                .check()
                .unwrap_err();
            assert!(refusal.contains(said), "{refusal}");
        }
    }
}
