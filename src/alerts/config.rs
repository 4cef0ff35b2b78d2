//! The `[alerts]` section. Defaults stand in `config/default.toml`, except for those of list entries, which stand here.

use serde::{Deserialize, Serialize};

use super::cell::SeriesKey;
use super::quiet::QuietHours;
use super::wildcard::matches;

/// What is watched for changes, and who is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertsConfig {
    /// Whether anything is watched.
    pub enabled: bool,
    /// The topic for events of alerts. Empty sends none.
    pub topic: String,
    /// Length of the steps in which messages are counted; a change is seen at the end of one.
    pub step_minutes: u32,
    /// Hours that local time is ahead of UTC: days begin, and quiet hours are meant, in local time.
    pub utc_offset_hours: i32,
    /// The false-alert budget: where nothing changes, at most one alert in so many days for each series and rule.
    pub days_per_false_alert: u32,
    /// Series kept; beyond it those heard longest ago are dropped.
    pub max_series: usize,
    /// Days for which alerts are kept.
    pub retention_days: u32,
    /// What is a change worth an alert.
    #[serde(default)]
    pub rule: Vec<Rule>,
}

/// Kinds of series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The whole feed.
    Overall,
    /// A source.
    Source,
    /// A subject, over all sources.
    Subject,
    /// A subject within a source.
    SourceSubject,
}

/// Which way a share must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Up.
    Rise,
    /// Down.
    Fall,
    /// Up or down.
    Either,
}

/// The `label` by which a rule watches the mean score rather than a label's share.
pub const SCORE: &str = "score";

/// Which change of which series is worth an alert.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called; names are unique.
    pub name: String,
    /// The kinds of series it watches.
    #[serde(default = "watch")]
    pub watch: Vec<Level>,
    /// Sources, `*` standing for any characters; empty for all. With some given, only series of a source are watched.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Subjects, likewise.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// The label whose share is watched, or `score` for the mean score.
    #[serde(default = "label")]
    pub label: String,
    /// Which way it must go.
    #[serde(default = "direction")]
    pub direction: Direction,
    /// How far, at least: 0.10 is ten points of share, or 0.2 of the mean score, whose range is twice as wide.
    #[serde(default = "min_change")]
    pub min_change: f64,
    /// Distinct texts that must show the change.
    #[serde(default = "min_messages")]
    pub min_messages: u32,
    /// The span in which the change must show.
    #[serde(default = "within_hours")]
    pub within_hours: u32,
    /// Hours after an alert's end in which no other begins.
    #[serde(default = "cooldown_hours")]
    pub cooldown_hours: u32,
    /// Local hours in which no event is given out, such as "22-07"; empty for none.
    #[serde(default)]
    pub quiet_hours: QuietHours,
}

fn watch() -> Vec<Level> {
    vec![Level::Overall, Level::Source, Level::Subject]
}

fn label() -> String {
    "negative".to_owned()
}

fn direction() -> Direction {
    Direction::Rise
}

fn min_change() -> f64 {
    0.10
}

fn min_messages() -> u32 {
    50
}

fn within_hours() -> u32 {
    24
}

fn cooldown_hours() -> u32 {
    12
}

/// Hours of which a series keeps its counts, at most.
const MOST_HOURS: u32 = 72;

/// Why a rule cannot be used with a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "[[alerts.rule]] {rule} watches the label {label}, which the model lacks; name one of {known}, or {SCORE}"
)]
pub struct Unfit {
    /// The rule's name.
    pub rule: String,
    /// The label it names.
    pub label: String,
    /// The model's labels, by commas.
    pub known: String,
}

impl AlertsConfig {
    /// Says which values make no sense.
    ///
    /// # Errors
    /// One sentence about the first of them.
    pub fn check(&self) -> Result<(), String> {
        if !(10..=36_500).contains(&self.days_per_false_alert) {
            return Err(format!(
                "[alerts] days_per_false_alert is {}; it must be from 10 to 36500",
                self.days_per_false_alert
            ));
        }
        if !(1..=60).contains(&self.step_minutes) {
            return Err(format!(
                "[alerts] step_minutes is {}; it must be from 1 to 60",
                self.step_minutes
            ));
        }
        if !(-12..=14).contains(&self.utc_offset_hours) {
            return Err(format!(
                "[alerts] utc_offset_hours is {}; it must be from -12 to 14",
                self.utc_offset_hours
            ));
        }
        if self.max_series == 0 || self.retention_days == 0 {
            return Err("[alerts] max_series and retention_days must be 1 or more".to_owned());
        }
        unique("[[alerts.rule]]", self.rule.iter().map(|rule| &rule.name))?;
        self.rule.iter().try_for_each(Rule::check)
    }
}

/// Names must be there, and each only once.
fn unique<'a>(list: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if name.trim().is_empty() {
            return Err(format!("{list} has an entry without a name; give it one"));
        }
        if !seen.insert(name) {
            return Err(format!(
                "{list} has two entries named {name}; rename one of them"
            ));
        }
    }
    Ok(())
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("[[alerts.rule]] {} {what}", self.name));
        if self.watch.is_empty() {
            return wrong("watches nothing; name levels in watch");
        }
        if !(0.01..=0.9).contains(&self.min_change) {
            return wrong("has a min_change that is not a share; it must be from 0.01 to 0.9");
        }
        if self.min_messages == 0 {
            return wrong("has a min_messages of 0; it must be 1 or more");
        }
        if !(1..=MOST_HOURS).contains(&self.within_hours) {
            return wrong(&format!(
                "has within_hours {}; it must be from 1 to {MOST_HOURS}",
                self.within_hours
            ));
        }
        Ok(())
    }

    /// Whether the rule can be used with a model of these labels.
    ///
    /// # Errors
    /// If it names a label that is not among them.
    pub fn fits<S: AsRef<str>>(&self, labels: &[S]) -> Result<(), Unfit> {
        if self.label == SCORE || labels.iter().any(|label| label.as_ref() == self.label) {
            return Ok(());
        }
        let known: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
        Err(Unfit {
            rule: self.name.clone(),
            label: self.label.clone(),
            known: known.join(", "),
        })
    }

    /// Whether the rule watches a series.
    #[must_use]
    pub fn watches(&self, key: &SeriesKey) -> bool {
        let named = |patterns: &[String], name: Option<&str>| {
            patterns.is_empty()
                || name.is_some_and(|name| patterns.iter().any(|pattern| matches(pattern, name)))
        };
        self.watch.contains(&key.level())
            && named(&self.sources, key.source.as_deref())
            && named(&self.subjects, key.subject.as_deref())
    }
}
