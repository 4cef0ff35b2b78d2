//! An alert's figures while it is open.

use std::sync::Arc;

use super::alert::{Alert, Resolution};
use super::cell::SeriesKey;
use super::config::{Direction, SCORE};
use super::hours::Hour;
use super::normal::Normal;
use super::scan::Sums;
use super::watch::HOUR;

/// Sums since the change, stored as they are.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Open {
    #[prost(bool, tag = "1")]
    pub rising: bool,
    /// The hour in which it began, since the epoch in local time.
    #[prost(sint64, tag = "2")]
    pub since: i64,
    #[prost(sint64, tag = "3")]
    pub opened: i64,
    /// When it was last told of.
    #[prost(sint64, optional, tag = "4")]
    pub told: Option<i64>,
    #[prost(double, tag = "5")]
    pub told_share: f64,
    #[prost(sint64, optional, tag = "6")]
    pub ended: Option<i64>,
    #[prost(uint32, tag = "7")]
    pub resolution: u32,
    #[prost(double, tag = "8")]
    pub counted: f64,
    #[prost(double, tag = "9")]
    pub hits: f64,
    #[prost(double, tag = "10")]
    pub expected: f64,
    #[prost(double, tag = "11")]
    pub information: f64,
    #[prost(double, tag = "12")]
    pub hourly: f64,
    #[prost(uint64, tag = "13")]
    pub messages: u64,
    #[prost(uint64, tag = "14")]
    pub texts: u64,
    #[prost(uint64, tag = "15")]
    pub authors: u64,
    #[prost(double, tag = "16")]
    pub score: f64,
    #[prost(double, tag = "17")]
    pub normal_score: f64,
}

/// What an alert is of.
pub(super) struct Subject<'a> {
    pub rule: &'a Arc<str>,
    pub label: &'a Arc<str>,
    pub key: &'a SeriesKey,
    pub offset: i64,
}

impl Open {
    /// Takes in counts since the change.
    pub fn add(&mut self, normal: &Normal, hour: &Hour) {
        let mut sums = self.sums();
        let (texts, hits) = hour.share(normal.target);
        sums.add(normal, hour.index, texts, hits);
        (self.counted, self.hits, self.expected) = (sums.texts, sums.hits, sums.expected);
        (self.information, self.hourly) = (sums.information, sums.hourly);
        self.messages += u64::from(hour.messages);
        self.texts += u64::from(hour.texts);
        self.authors += u64::from(hour.authors);
        self.score += f64::from(hour.score);
    }

    /// The change is over.
    pub fn end(&mut self, at: i64, resolution: Resolution) {
        self.ended = Some(at);
        self.resolution = match resolution {
            Resolution::Normal => 0,
            Resolution::NewNormal => 1,
            Resolution::Silent => 2,
            Resolution::Unwatched => 3,
        };
    }

    /// The share since the change.
    pub fn share(&self) -> f64 {
        self.hits / self.counted.max(1.0)
    }

    /// The share expected meanwhile.
    pub fn normal(&self) -> f64 {
        self.expected / self.counted.max(1.0)
    }

    fn sums(&self) -> Sums {
        Sums {
            texts: self.counted,
            hits: self.hits,
            expected: self.expected,
            information: self.information,
            hourly: self.hourly,
        }
    }

    /// The alert to be told of.
    pub fn alert(&self, subject: &Subject<'_>) -> Alert {
        let started = self
            .since
            .saturating_mul(HOUR)
            .saturating_sub(subject.offset);
        // A mean score was moved to 0 to 1.
        let scale = |share: f64| {
            if &**subject.label == SCORE {
                2.0 * share - 1.0
            } else {
                share
            }
        };
        Alert {
            id: Alert::id(subject.rule, subject.key, started),
            rule: Arc::clone(subject.rule),
            key: subject.key.clone(),
            label: Arc::clone(subject.label),
            direction: if self.rising {
                Direction::Rise
            } else {
                Direction::Fall
            },
            started,
            opened: self.opened,
            resolved: self.ended,
            resolution: self.ended.map(|_| match self.resolution {
                0 => Resolution::Normal,
                1 => Resolution::NewNormal,
                3 => Resolution::Unwatched,
                _ => Resolution::Silent,
            }),
            normal: scale(self.normal()),
            share: scale(self.share()),
            interval: wilson(self.share(), self.counted / self.sums().dispersion()).map(scale),
            messages: self.messages,
            texts: self.texts,
            authors: self.authors,
            score: self.score / self.counted.max(1.0),
            normal_score: self.normal_score,
        }
    }
}

/// The 95 % interval of a share of so many texts (Wilson 1927).
fn wilson(share: f64, texts: f64) -> [f64; 2] {
    const Z: f64 = 1.959_963_985;
    if texts <= 0.0 {
        return [0.0, 1.0];
    }
    let square = Z * Z / texts;
    let middle = share + square / 2.0;
    let half = Z
        * (share * (1.0 - share) / texts + square / (4.0 * texts))
            .max(0.0)
            .sqrt();
    [
        (middle - half) / (1.0 + square),
        (middle + half) / (1.0 + square),
    ]
    .map(|end| end.clamp(0.0, 1.0))
}
