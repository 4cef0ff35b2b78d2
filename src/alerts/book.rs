//! All series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message;

use super::alert::{Alert, Event};
use super::cell::{Cell, SeriesKey};
use super::config::{AlertsConfig, Unfit};
use super::series::{Series, StateError};
use super::settings::Settings;
use super::standing::Standing;

/// Watches series by the rules. Time is that of the cells; the order of cells of different series does not matter.
pub struct Book {
    settings: Settings,
    max_series: usize,
    series: BTreeMap<SeriesKey, Series>,
    /// The series that have an alert.
    alerting: BTreeSet<SeriesKey>,
    /// Those that were dropped since they were last asked for.
    dropped: Vec<SeriesKey>,
}

impl Book {
    /// A book without series, for a model's labels.
    ///
    /// # Errors
    /// If a rule names a label that the model lacks.
    pub fn new(config: &AlertsConfig, labels: &[Arc<str>]) -> Result<Self, Unfit> {
        Ok(Self {
            settings: Settings::new(config, labels)?,
            max_series: config.max_series.max(1),
            series: BTreeMap::new(),
            alerting: BTreeSet::new(),
            dropped: Vec::new(),
        })
    }

    /// Takes in a cell and says what it changes. A cell of an hour that is still looked at is counted there, however late;
    /// an earlier one is dropped.
    pub fn observe(&mut self, cell: &Cell) -> Vec<Event> {
        self.take(cell, true)
    }

    /// Takes in a cell of the past: normal is learnt from it, and no change is looked for.
    pub fn learn(&mut self, cell: &Cell) {
        self.take(cell, false);
    }

    fn take(&mut self, cell: &Cell, test: bool) -> Vec<Event> {
        if !self.series.contains_key(&cell.key) {
            let Some(series) = Series::new(&self.settings, &cell.key) else {
                return Vec::new();
            };
            self.series.insert(cell.key.clone(), series);
        }
        let Some(series) = self.series.get_mut(&cell.key) else {
            return Vec::new();
        };
        let mut events = series.observe(&self.settings, cell, test);
        self.note(&cell.key);
        events.extend(self.drop_oldest(&cell.key));
        events
    }

    /// Says that event time has come to `now`: alerts of series that fell silent end, and what was held back in quiet hours
    /// is told. To be called now and then, such as once in a cell's length.
    pub fn advance(&mut self, now: i64) -> Vec<Event> {
        let mut events = Vec::new();
        for key in self.alerting.clone() {
            if let Some(series) = self.series.get_mut(&key) {
                events.extend(series.advance(&self.settings, &key, now));
            }
            self.note(&key);
        }
        events
    }

    /// The alerts that are open, in the order of their series.
    #[must_use]
    pub fn open(&self) -> Vec<Alert> {
        let of = |key| {
            self.series
                .get(key)
                .map(|series| series.open(&self.settings, key))
        };
        self.alerting.iter().filter_map(of).flatten().collect()
    }

    /// What each rule says of a series, empty if none watches it or nothing was heard of it.
    #[must_use]
    pub fn standing(&self, key: &SeriesKey) -> Vec<Standing> {
        let series = self.series.get(key);
        series.map_or_else(Vec::new, |series| series.standing(&self.settings, key))
    }

    /// The series that were dropped to make room since the last call: nothing is to be stored of them any more.
    pub fn take_dropped(&mut self) -> Vec<SeriesKey> {
        std::mem::take(&mut self.dropped)
    }

    /// Series that are known.
    #[must_use]
    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// What is known of a series, to be stored; none if nothing is.
    #[must_use]
    pub fn series_state(&self, key: &SeriesKey) -> Option<Vec<u8>> {
        self.series.get(key).map(Message::encode_to_vec)
    }

    /// Goes on with a series that was stored. Nothing is kept of one that no rule watches any more.
    ///
    /// # Errors
    /// If the bytes are not of [`Book::series_state`], or of one with other labels or local time.
    pub fn restore_series(&mut self, key: &SeriesKey, state: &[u8]) -> Result<(), StateError> {
        if let Some(series) = Series::read(&self.settings, key, state)? {
            self.series.insert(key.clone(), series);
            self.note(key);
        }
        Ok(())
    }

    /// Keeps the list of series with alerts.
    fn note(&mut self, key: &SeriesKey) {
        if self.series.get(key).is_some_and(Series::has_alert) {
            self.alerting.insert(key.clone());
        } else {
            self.alerting.remove(key);
        }
    }

    /// Makes room: of too many series those heard longest ago go, a sixteenth at once so that this is seldom. The series
    /// just heard stays.
    fn drop_oldest(&mut self, heard: &SeriesKey) -> Vec<Event> {
        if self.series.len() <= self.max_series {
            return Vec::new();
        }
        let others = self.series.iter().filter(|(key, _)| *key != heard);
        let mut ages: Vec<(i64, SeriesKey)> = others
            .map(|(key, series)| (series.latest, key.clone()))
            .collect();
        ages.sort_unstable();
        ages.truncate(self.series.len() - self.max_series + self.max_series / 16);
        let mut events = Vec::new();
        for (_, key) in ages {
            self.alerting.remove(&key);
            if let Some(series) = self.series.remove(&key) {
                events.extend(series.give_up(&self.settings, &key));
            }
            self.dropped.push(key);
        }
        events
    }
}
