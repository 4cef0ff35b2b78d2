//! The `[retrain.trigger]` section.

use serde::{Deserialize, Serialize};

use crate::drift::severity::Severity;

/// When a model is trained anew, and how often at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerConfig {
    /// Whether trainings are launched without being asked for. Requests by hand are answered either way.
    pub enabled: bool,
    /// Decisions are made and recorded, and nothing is launched or applied.
    pub dry_run: bool,
    /// An alarm leads to a training from this severity on.
    pub severity: Severity,
    /// And once it has been open for so many minutes.
    pub settle_minutes: u32,
    /// A loss of so many points of accuracy leads to a training, if its interval excludes none.
    pub loss_points: f64,
    /// So many new labels lead to a training by themselves; 0: they do not.
    pub new_labels: u32,
    /// No training, but by hand, with fewer new labels.
    pub min_labels: u32,
    /// Whether an alarm may lead to a training on unlabelled texts of the feed first, for programs that can.
    pub continued_pretraining: bool,
    /// Not with fewer unlabelled texts.
    pub min_texts: u32,
    /// Whether class priors are corrected on the word of an alarm.
    pub prior_correction: bool,
    /// Whether the temperature is fitted again on the word of an alarm.
    pub recalibration: bool,
    /// Not with fewer labels of messages chosen by chance.
    pub recalibration_labels: u32,
    /// Hours from one launch to the next.
    pub cooldown_hours: u32,
    /// Most launches in any 24 hours.
    pub runs_per_day: u32,
    /// Most minutes of training in any 24 hours.
    pub minutes_per_day: u32,
    /// The time limit of a training: so many minutes must be left of the budget.
    pub run_minutes: u32,
    /// After so many failures in a row the breaker opens.
    pub failures: u32,
    /// Hours for which it stays open. Each further failure doubles them, …
    pub pause_hours: u32,
    /// … up to so many.
    pub max_pause_hours: u32,
}

impl Default for TriggerConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            dry_run: false,
            severity: Severity::Medium,
            settle_minutes: 60,
            loss_points: 3.0,
            new_labels: 2_000,
            min_labels: 200,
            continued_pretraining: false,
            min_texts: 20_000,
            prior_correction: false,
            recalibration: false,
            recalibration_labels: 200,
            cooldown_hours: 24,
            runs_per_day: 1,
            minutes_per_day: 360,
            run_minutes: 240,
            failures: 3,
            pause_hours: 72,
            max_pause_hours: 720,
        }
    }
}

impl TriggerConfig {
    /// Says which values make no sense.
    ///
    /// # Errors
    /// One sentence about the first of them.
    pub fn check(&self) -> Result<(), String> {
        let refuse = |what: String| Err(format!("[retrain.trigger] {what}"));
        if self.runs_per_day == 0 || self.run_minutes == 0 {
            return refuse(
                "runs_per_day and run_minutes must be 1 or more; enabled = false launches nothing"
                    .to_owned(),
            );
        }
        if self.run_minutes > self.minutes_per_day {
            return refuse(format!(
                "run_minutes is {} and minutes_per_day {}: no training would ever fit into the budget",
                self.run_minutes, self.minutes_per_day
            ));
        }
        if self.failures == 0 || self.pause_hours == 0 || self.max_pause_hours < self.pause_hours {
            return refuse("failures and pause_hours must be 1 or more, and max_pause_hours no less than pause_hours".to_owned());
        }
        if self.new_labels > 0 && self.new_labels < self.min_labels {
            return refuse(format!(
                "new_labels is {} and min_labels {}: make new_labels the larger one, or 0",
                self.new_labels, self.min_labels
            ));
        }
        if !(self.loss_points.is_finite() && self.loss_points > 0.0) {
            return refuse(format!(
                "loss_points is {}; it must be a number above 0",
                self.loss_points
            ));
        }
        Ok(())
    }
}
