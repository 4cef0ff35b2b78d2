//! Why it was decided so.

use std::fmt;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::drift::severity::{Remedy, Severity};

/// A reason of a decision: what speaks for something, what is lacking, or a limit. Its text is a sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Somebody asks for a training.
    Requested { id: String, by: String },
    /// An alarm that has lasted proposes a training.
    TrainingProposed {
        alarm: String,
        severity: Severity,
        remedy: Remedy,
        since: i64,
    },
    /// An alarm can be cured without training.
    Curable { alarm: String, remedy: Remedy },
    /// Accuracy was lost, beyond chance.
    AccuracyLost {
        points: f64,
        low: f64,
        measured: bool,
    },
    /// There are many labels that the model has not seen.
    ManyLabels { new: u64 },
    /// The request is forced: neither cool-down nor breaker counted.
    Forced,
    /// Nothing speaks for anything.
    NothingNew,
    /// An alarm that needs no cure.
    NothingToCure { alarm: String },
    /// Only labels can tell what an alarm means.
    LabelsToTell { alarm: String },
    /// The cure is switched off.
    RemedyOff { alarm: String, remedy: Remedy },
    /// The alarm is not bad enough.
    TooMild {
        alarm: String,
        severity: Severity,
        least: Severity,
    },
    /// The alarm may still resolve.
    TooYoung { alarm: String, until: i64 },
    /// Labels are lacking.
    TooFewLabels { have: u64, want: u64 },
    /// Unlabelled texts are lacking.
    TooFewTexts { have: u64, want: u64 },
    /// Nothing is launched unasked.
    Off,
    /// A training runs.
    Running { run: Fingerprint },
    /// The same has been launched.
    Repeated { fingerprint: Fingerprint },
    /// The same cure has been applied.
    AlreadyApplied { remedy: Remedy, alarm: String },
    /// The last launch was too recent.
    Cooldown { until: i64 },
    /// The day's launches are used up.
    RunsSpent { runs: u64, allowed: u32, until: i64 },
    /// Too little is left of the day's minutes.
    MinutesSpent {
        minutes: u64,
        needed: u32,
        allowed: u32,
    },
    /// Too many failures in a row.
    BreakerOpen { failures: u32, until: i64 },
}

impl Reason {
    /// The stable name used in tables and metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "requested",
            Self::TrainingProposed { .. } => "training_proposed",
            Self::Curable { .. } => "curable",
            Self::AccuracyLost { .. } => "accuracy_lost",
            Self::ManyLabels { .. } => "many_labels",
            Self::Forced => "forced",
            Self::NothingNew => "nothing_new",
            Self::NothingToCure { .. } => "nothing_to_cure",
            Self::LabelsToTell { .. } => "labels_to_tell",
            Self::RemedyOff { .. } => "remedy_off",
            Self::TooMild { .. } => "too_mild",
            Self::TooYoung { .. } => "too_young",
            Self::TooFewLabels { .. } => "too_few_labels",
            Self::TooFewTexts { .. } => "too_few_texts",
            Self::Off => "off",
            Self::Running { .. } => "running",
            Self::Repeated { .. } => "repeated",
            Self::AlreadyApplied { .. } => "already_applied",
            Self::Cooldown { .. } => "cooldown",
            Self::RunsSpent { .. } => "runs_spent",
            Self::MinutesSpent { .. } => "minutes_spent",
            Self::BreakerOpen { .. } => "breaker_open",
        }
    }

    /// Whether it stops something for which there is a cause.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::Running { .. }
                | Self::Repeated { .. }
                | Self::AlreadyApplied { .. }
                | Self::Cooldown { .. }
                | Self::RunsSpent { .. }
                | Self::MinutesSpent { .. }
                | Self::BreakerOpen { .. }
        )
    }

    /// Whether labels would help.
    #[must_use]
    pub fn asks_for_labels(&self) -> bool {
        matches!(self, Self::LabelsToTell { .. } | Self::TooFewLabels { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested { id, by } => write!(f, "{by} asks for a training (request {id})."),
            Self::TrainingProposed {
                alarm,
                severity,
                remedy,
                since,
            } => write!(
                f,
                "The alarm {alarm}, open since {}, is of {} severity and proposes {}.",
                Moment(*since),
                named(severity),
                named(remedy)
            ),
            Self::Curable { alarm, remedy } => {
                write!(
                    f,
                    "The alarm {alarm} can be cured by {} without training.",
                    named(remedy)
                )
            }
            Self::AccuracyLost {
                points,
                low,
                measured,
            } => write!(
                f,
                "{points:.1} points of accuracy are lost ({}), {low:.1} at least.",
                if *measured {
                    "measured on labels"
                } else {
                    "estimated without labels"
                }
            ),
            Self::ManyLabels { new } => write!(
                f,
                "{new} messages have been labelled since the last training."
            ),
            Self::Forced => f.write_str(
                "The request is forced, so neither the cool-down nor the breaker counts.",
            ),
            Self::NothingNew => f.write_str(
                "No alarm, no loss and too few new labels: nothing speaks for a training.",
            ),
            Self::NothingToCure { alarm } => write!(f, "The alarm {alarm} needs no cure."),
            Self::LabelsToTell { alarm } => {
                write!(
                    f,
                    "Only labels can tell what the alarm {alarm} means: have messages of the queue labelled."
                )
            }
            Self::RemedyOff { alarm, remedy } => write!(
                f,
                "The alarm {alarm} proposes {0}; set {0} = true in [retrain.trigger] to have it applied.",
                named(remedy)
            ),
            Self::TooMild {
                alarm,
                severity,
                least,
            } => write!(
                f,
                "The alarm {alarm} is of severity {}; a training begins at {}.",
                named(severity),
                named(least)
            ),
            Self::TooYoung { alarm, until } => {
                write!(
                    f,
                    "The alarm {alarm} may still resolve; it counts from {} on.",
                    Moment(*until)
                )
            }
            Self::TooFewLabels { have, want } => {
                write!(
                    f,
                    "There are {have} usable new labels and {want} are needed: have messages of the queue labelled."
                )
            }
            Self::TooFewTexts { have, want } => {
                write!(
                    f,
                    "There are {have} unlabelled texts and {want} are needed for continued pre-training."
                )
            }
            Self::Off => f.write_str(
                "Trainings are launched by hand only: [retrain.trigger] enabled is false.",
            ),
            Self::Running { run } => write!(f, "The training {} runs.", run.as_str()),
            Self::Repeated { fingerprint } => write!(
                f,
                "The training {} has been launched before: same model, labels, recipe and cause.",
                fingerprint.as_str()
            ),
            Self::AlreadyApplied { remedy, alarm } => {
                write!(
                    f,
                    "For the alarm {alarm}, {} has been applied already.",
                    named(remedy)
                )
            }
            Self::Cooldown { until } => write!(
                f,
                "The cool-down since the last launch lasts until {}.",
                Moment(*until)
            ),
            Self::RunsSpent {
                runs,
                allowed,
                until,
            } => write!(
                f,
                "{runs} trainings were launched in 24 hours and {allowed} are allowed; there is room from {} on.",
                Moment(*until)
            ),
            Self::MinutesSpent {
                minutes,
                needed,
                allowed,
            } => write!(
                f,
                "{minutes} minutes of training are spent in 24 hours; a training may take {needed}, and {allowed} are allowed."
            ),
            Self::BreakerOpen { failures, until } => write!(
                f,
                "{failures} trainings failed in a row, so none is launched until {}; a forced request is.",
                Moment(*until)
            ),
        }
    }
}

/// The name that a value has in JSON.
fn named(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// Milliseconds since 1970, for people.
struct Moment(i64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Secs, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}
