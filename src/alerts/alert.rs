//! Alerts, and the events that tell of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cell::SeriesKey;
use super::config::Direction;
use super::time;

/// What has happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A change was found.
    Opened,
    /// It goes on, and the figures are newer.
    Updated,
    /// It is over.
    Resolved,
}

/// Why an alert is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The share is back near normal.
    Normal,
    /// It has lasted so long that it is the new normal.
    NewNormal,
    /// Nothing more was heard of the series.
    Silent,
    /// Nobody watches it any more: its rule, or its series, is gone.
    Unwatched,
}

/// News of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What has happened.
    pub status: Status,
    /// Event time of it, in milliseconds since the epoch.
    #[serde(with = "time")]
    pub at: i64,
    /// The alert as it is now.
    pub alert: Alert,
}

impl Event {
    /// The end of an alert that nobody watches any more.
    #[must_use]
    pub fn abandoned(mut self, at: i64) -> Self {
        self.status = Status::Resolved;
        self.at = at;
        self.alert.resolved = Some(at);
        self.alert.resolution = Some(Resolution::Unwatched);
        self
    }
}

/// A change of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Made from series, rule and `started`, so that a replay gives the same.
    pub id: String,
    /// The rule that it is about.
    pub rule: Arc<str>,
    /// The series.
    #[serde(flatten)]
    pub key: SeriesKey,
    /// The label whose share has changed, or `score`.
    pub label: Arc<str>,
    /// Where it went: up or down.
    pub direction: Direction,
    /// The hour in which the change most likely began; milliseconds since the epoch, as all times.
    #[serde(with = "time")]
    pub started: i64,
    /// When it was found.
    #[serde(with = "time")]
    pub opened: i64,
    /// When it was over.
    #[serde(with = "time::optional")]
    pub resolved: Option<i64>,
    /// Why it is over.
    pub resolution: Option<Resolution>,
    /// The share expected for the hours since the change; a mean score for `score`.
    pub normal: f64,
    /// The share measured since the change, on the distinct texts that count.
    pub share: f64,
    /// Its 95 % interval (Wilson 1927), with the texts divided by their dispersion.
    pub interval: [f64; 2],
    /// Messages of the series since the change, copies included.
    pub messages: u64,
    /// Distinct texts.
    pub texts: u64,
    /// Distinct authors; 0 where they are not known.
    pub authors: u64,
    /// Mean score since the change.
    pub score: f64,
    /// Mean score before.
    pub normal_score: f64,
}

impl Alert {
    /// The id of an alert.
    #[must_use]
    pub fn id(rule: &str, key: &SeriesKey, started: i64) -> String {
        let mut hash = Sha256::new();
        for part in [Some(rule), key.source.as_deref(), key.subject.as_deref()] {
            // The length keeps parts apart, and a part that is missing from one that is empty.
            hash.update(
                part.map_or(u64::MAX, |part| part.len() as u64)
                    .to_be_bytes(),
            );
            hash.update(part.unwrap_or_default());
        }
        hash.update(started.to_be_bytes());
        hex::encode(&hash.finalize()[..12])
    }
}

/// An event as an example, for trying out where events go.
#[must_use]
pub fn sample(now: i64) -> Event {
    const HOUR: i64 = 3_600_000;
    let key = SeriesKey::new(None, Some("example"));
    let started = (now - 3 * HOUR).div_euclid(HOUR) * HOUR;
    Event {
        status: Status::Opened,
        at: now,
        alert: Alert {
            id: Alert::id("test", &key, started),
            rule: "test".into(),
            key,
            label: "negative".into(),
            direction: Direction::Rise,
            started,
            opened: now,
            resolved: None,
            resolution: None,
            normal: 0.41,
            share: 0.62,
            interval: [0.57, 0.67],
            messages: 412,
            texts: 388,
            authors: 371,
            score: -0.35,
            normal_score: -0.08,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_can_be_read_back_and_has_its_times_in_rfc_3339() {
        let event = sample(1_424_806_552_000);
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["at"], "2015-02-24T19:35:52Z");
        assert_eq!(json["alert"]["started"], "2015-02-24T16:00:00Z");
        assert_eq!(json["alert"]["resolved"], serde_json::Value::Null);
        assert_eq!(json["alert"]["subject"], "example");
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }

    #[test]
    fn ids_tell_series_rules_and_times_apart() {
        let keys = [
            (None, None),
            (Some("a"), None),
            (None, Some("a")),
            (Some(""), Some("a")),
            (Some("a"), Some("")),
        ];
        let mut ids = std::collections::BTreeSet::new();
        for (source, subject) in keys {
            for (rule, started) in [("r", 0), ("r", 1), ("ra", 0)] {
                assert!(ids.insert(Alert::id(rule, &SeriesKey::new(source, subject), started)));
            }
        }
    }
}
