//! The rules, ready for use with a model's labels.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::cell::SeriesKey;
use super::config::{AlertsConfig, Rule, Unfit};
use super::scan::Sought;
use super::watch::HOUR;

/// Counts are kept for a day at least, since the end of a change is looked for in them.
const LEAST_KEPT: i64 = 24;

/// A rule and what follows from it.
pub(super) struct Watched {
    pub rule: Rule,
    pub name: Arc<str>,
    pub label: Arc<str>,
    /// 0 for the mean score, else the label's index and one.
    pub target: u32,
    pub sought: Sought,
}

/// What all series share.
pub(super) struct Settings {
    pub watched: Vec<Watched>,
    pub labels: Vec<Arc<str>>,
    /// Milliseconds that local time is ahead of UTC.
    pub offset: i64,
    /// Hours for which a series keeps its counts.
    pub keep: i64,
    /// Of what a stored series depends on.
    pub fingerprint: u32,
}

impl Settings {
    pub fn new(config: &AlertsConfig, labels: &[Arc<str>]) -> Result<Self, Unfit> {
        let watched = config
            .rule
            .iter()
            .map(|rule| Watched::new(rule, config.days_per_false_alert, labels));
        let watched: Vec<Watched> = watched.collect::<Result<_, _>>()?;
        let mut hash = Sha256::new();
        for label in labels {
            hash.update(label.len().to_be_bytes());
            hash.update(label.as_bytes());
        }
        hash.update(config.utc_offset_hours.to_be_bytes());
        let hash = hash.finalize();
        Ok(Self {
            keep: watched
                .iter()
                .map(|watched| watched.sought.within_hours)
                .fold(LEAST_KEPT, i64::max),
            watched,
            labels: labels.to_vec(),
            offset: i64::from(config.utc_offset_hours) * HOUR,
            fingerprint: u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]),
        })
    }

    /// The hour of a moment, since the epoch in local time.
    pub fn hour(&self, time: i64) -> i64 {
        time.saturating_add(self.offset).div_euclid(HOUR)
    }

    /// The rules that watch a series.
    pub fn of<'a>(&'a self, key: &'a SeriesKey) -> impl Iterator<Item = &'a Watched> {
        self.watched
            .iter()
            .filter(|watched| watched.rule.watches(key))
    }
}

impl Watched {
    fn new(rule: &Rule, days: u32, labels: &[Arc<str>]) -> Result<Self, Unfit> {
        rule.fits(labels)?;
        // A label that is itself called `score` gives way to the mean score.
        let index = labels
            .iter()
            .position(|label| **label == *rule.label && rule.label != super::config::SCORE);
        Ok(Self {
            rule: rule.clone(),
            name: rule.name.as_str().into(),
            label: rule.label.as_str().into(),
            target: index.map_or(0, |index| index as u32 + 1),
            sought: Sought {
                direction: rule.direction,
                min_change: rule.min_change,
                min_texts: rule.min_messages.into(),
                within_hours: rule.within_hours.into(),
                days: days.into(),
            },
        })
    }
}
