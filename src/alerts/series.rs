//! One series: its last hours, what is normal for it, and its alerts.

use prost::Message;

use super::alert::{Alert, Event, Resolution, Status};
use super::cell::{Cell, SeriesKey};
use super::hours::Hour;
use super::normal::Normal;
use super::open::{Open, Subject};
use super::scan::{Sums, scan};
use super::settings::{Settings, Watched};
use super::standing::Standing;
use super::watch::{Scene, Watch};

/// The mean score before a change is over so many hours, with weights that fade.
const SCORE_HOURS: f64 = 20.0 * 24.0;

/// Why a stored series cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The bytes are no series.
    #[error(
        "the stored state of the series cannot be read ({0}); delete it, and the series is learnt anew"
    )]
    Unreadable(String),
    /// They are of other labels or local time.
    #[error(
        "the series was stored for other labels or another utc_offset_hours; delete it, and the series is learnt anew"
    )]
    Other,
}

/// Everything about a series, stored as it is.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Series {
    /// Fingerprint of the labels and the local time.
    #[prost(fixed32, tag = "1")]
    fingerprint: u32,
    /// Start of the latest cell.
    #[prost(sint64, tag = "2")]
    pub latest: i64,
    #[prost(bool, tag = "3")]
    authors_known: bool,
    #[prost(message, repeated, tag = "4")]
    hours: Vec<Hour>,
    #[prost(message, repeated, tag = "5")]
    normals: Vec<Normal>,
    #[prost(message, repeated, tag = "6")]
    watches: Vec<Watch>,
    /// Sums of the scores learnt from and of their texts.
    #[prost(double, tag = "7")]
    score: f64,
    #[prost(double, tag = "8")]
    score_texts: f64,
}

impl Series {
    /// A series of which nothing is known, or none if no rule watches it.
    pub fn new(settings: &Settings, key: &SeriesKey) -> Option<Self> {
        let mut series = Self {
            fingerprint: settings.fingerprint,
            latest: i64::MIN,
            ..Self::default()
        };
        series.fit(settings, key);
        (!series.watches.is_empty()).then_some(series)
    }

    /// Reads what [`Series::encode_to_vec`] wrote.
    pub fn read(
        settings: &Settings,
        key: &SeriesKey,
        bytes: &[u8],
    ) -> Result<Option<Self>, StateError> {
        let mut series =
            Self::decode(bytes).map_err(|error| StateError::Unreadable(error.to_string()))?;
        if series.fingerprint != settings.fingerprint {
            return Err(StateError::Other);
        }
        let labels = settings.labels.len();
        let sorted = series
            .hours
            .is_sorted_by(|one, next| one.index < next.index);
        if !sorted
            || !series.normals.iter().all(Normal::is_whole)
            || series.hours.iter().any(|hour| hour.counted.len() != labels)
        {
            return Err(StateError::Unreadable(
                "its parts do not fit together".to_owned(),
            ));
        }
        series.fit(settings, key);
        Ok((!series.watches.is_empty()).then_some(series))
    }

    /// Brings rules and normals in line with the settings: those of the series, in the order of the settings.
    fn fit(&mut self, settings: &Settings, key: &SeriesKey) {
        let mut watches = std::mem::take(&mut self.watches);
        let mut normals = std::mem::take(&mut self.normals);
        for watched in settings
            .watched
            .iter()
            .filter(|watched| watched.rule.watches(key))
        {
            let at = watches.iter().position(|watch| watch.is_of(watched));
            self.watches
                .push(at.map_or_else(|| Watch::new(watched), |at| watches.swap_remove(at)));
            if self
                .normals
                .iter()
                .all(|normal| normal.target != watched.target)
            {
                let at = normals
                    .iter()
                    .position(|normal| normal.target == watched.target);
                self.normals.push(
                    at.map_or_else(|| Normal::new(watched.target), |at| normals.swap_remove(at)),
                );
            }
        }
    }

    /// Takes in a cell; with `test` changes are looked for.
    pub fn observe(&mut self, settings: &Settings, cell: &Cell, test: bool) -> Vec<Event> {
        self.authors_known |= cell.counts.iter().any(|count| count.authors > 0);
        let index = settings.hour(cell.start);
        let added = Hour::of(cell, index, settings.labels.len(), self.authors_known);
        let mut events = Vec::new();
        if test {
            events = self.advance(settings, &cell.key, cell.start);
        }
        let newest = self
            .hours
            .last()
            .map_or(index, |hour| hour.index.max(index));
        if index <= newest.saturating_sub(settings.keep) {
            return events;
        }
        match self.hours.binary_search_by_key(&index, |hour| hour.index) {
            Ok(at) => self.hours[at].add(&added),
            Err(at) => self.hours.insert(at, added.clone()),
        }
        self.latest = self.latest.max(cell.start);
        self.learn(settings, &cell.key, newest.saturating_sub(settings.keep));
        if test {
            self.step(settings, &cell.key, Some(&added), self.latest, &mut events);
        }
        events
    }

    /// Ends alerts if the series has been silent, and tells what was held back in quiet hours.
    pub fn advance(&mut self, settings: &Settings, key: &SeriesKey, now: i64) -> Vec<Event> {
        let now = now.max(self.latest);
        let mut events = Vec::new();
        if self.has_alert() {
            for watch in &mut self.watches {
                watch.silence(self.latest, now);
            }
            self.step(settings, key, None, now, &mut events);
        }
        events
    }

    /// Learns from the hours up to `last`, which are no longer looked at for changes.
    fn learn(&mut self, settings: &Settings, key: &SeriesKey, last: i64) {
        let gone = self.hours.partition_point(|hour| hour.index <= last);
        for hour in self.hours.drain(..gone) {
            let mut changed = false;
            for normal in &mut self.normals {
                let skip = settings.of(key).zip(&self.watches).any(|(watched, watch)| {
                    watched.target == normal.target && watch.changed(hour.index)
                });
                changed |= skip;
                if !skip {
                    let (texts, hits) = hour.share(normal.target);
                    normal.learn(hour.index, texts as f32, hits as f32);
                }
            }
            if !changed {
                self.score = self.score * (1.0 - 1.0 / SCORE_HOURS) + f64::from(hour.score);
                self.score_texts =
                    self.score_texts * (1.0 - 1.0 / SCORE_HOURS) + hour.texts_that_count();
            }
        }
    }

    /// Lets every rule look, if counts were added, and speak.
    fn step(
        &mut self,
        settings: &Settings,
        key: &SeriesKey,
        added: Option<&Hour>,
        now: i64,
        events: &mut Vec<Event>,
    ) {
        let score = self.normal_score();
        for (watched, watch) in settings.of(key).zip(&mut self.watches) {
            let scene = Scene {
                sought: &watched.sought,
                cooldown_hours: watched.rule.cooldown_hours,
                quiet: watched
                    .rule
                    .quiet_hours
                    .contain(settings.hour(now).rem_euclid(24) as u8),
                now,
                offset: settings.offset,
                hours: &self.hours,
                score,
            };
            if let Some(added) = added
                && let Some(normal) = self
                    .normals
                    .iter_mut()
                    .find(|normal| normal.target == watched.target)
            {
                watch.step(&scene, normal, added);
            }
            let subject = subject(settings, watched, key);
            let event = |status, open: &Open| Event {
                status,
                at: now,
                alert: open.alert(&subject),
            };
            events.extend(watch.tell(&scene, settings.keep, event));
        }
    }

    /// Whether a rule has an alert that is open or not yet told of.
    pub fn has_alert(&self) -> bool {
        self.watches.iter().any(|watch| watch.open.is_some())
    }

    /// The alerts that were told of and whose end was not.
    pub fn open(&self, settings: &Settings, key: &SeriesKey) -> Vec<Alert> {
        let alert = |(watched, watch): (&Watched, &Watch)| {
            let told = watch.open.as_ref().filter(|open| open.told.is_some())?;
            let alert = told.alert(&subject(settings, watched, key));
            // An end that is held back in quiet hours is not yet to be known.
            let (resolved, resolution) = (None, None);
            Some(Alert {
                resolved,
                resolution,
                ..alert
            })
        };
        settings
            .of(key)
            .zip(&self.watches)
            .filter_map(alert)
            .collect()
    }

    /// Ends the alerts of a series that is given up.
    pub fn give_up(mut self, settings: &Settings, key: &SeriesKey) -> Vec<Event> {
        let at = self.latest;
        let event = |(watched, watch): (&Watched, &mut Watch)| {
            let open = watch.open.as_mut().filter(|open| open.told.is_some())?;
            if open.ended.is_none() {
                open.end(at, Resolution::Silent);
            }
            let alert = open.alert(&subject(settings, watched, key));
            let status = Status::Resolved;
            Some(Event { status, at, alert })
        };
        settings
            .of(key)
            .zip(&mut self.watches)
            .filter_map(event)
            .collect()
    }

    /// What each rule says now.
    pub fn standing(&self, settings: &Settings, key: &SeriesKey) -> Vec<Standing> {
        let one = |(watched, watch): (&Watched, &Watch)| {
            let normal = self
                .normals
                .iter()
                .find(|normal| normal.target == watched.target)?;
            let last = self.hours.last().map_or(0, |hour| hour.index);
            let mut sums = Sums::default();
            for hour in self
                .hours
                .iter()
                .filter(|hour| hour.index > last - watched.sought.within_hours)
            {
                let (texts, hits) = hour.share(normal.target);
                sums.add(normal, hour.index, texts, hits);
            }
            let found = scan(
                &self.hours,
                normal,
                &watched.sought,
                watch.from(settings.offset),
            );
            let alert = watch
                .open
                .as_ref()
                .map(|open| open.alert(&subject(settings, watched, key)));
            Some(Standing::new(
                watched,
                normal.history(),
                &sums,
                found.evidence,
                alert,
            ))
        };
        settings
            .of(key)
            .zip(&self.watches)
            .filter_map(one)
            .collect()
    }

    fn normal_score(&self) -> f64 {
        if self.score_texts > 0.0 {
            self.score / self.score_texts
        } else {
            0.0
        }
    }
}

fn subject<'a>(settings: &'a Settings, watched: &'a Watched, key: &'a SeriesKey) -> Subject<'a> {
    Subject {
        rule: &watched.name,
        label: &watched.label,
        key,
        offset: settings.offset,
    }
}
