//! Sentiment alerts over the live feed: from readings to cells, from cells to what is to be written and told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::MonitorError;
use super::kept_alerts::{cell, kept_alert, kept_cell, kept_key, key_of, moment};
use crate::alerts::config::AlertsConfig;
use crate::alerts::gather::{Gathering, Post};
use crate::alerts::{Book, Cell, Count, Event, Level, SeriesKey, position, score};
use crate::drift::config::DriftConfig;
use crate::drift::reading::Reading;
use crate::record::{ModelVersion, TopicPartition};
use crate::store::{AlertStep, KeptKey, KeptSeries, Store, StoreError, kept_name};
use crate::watermark::Watermark;

/// How far back a deployment that has had no alerts so far learns what is normal.
const PAST: TimeDelta = TimeDelta::days(28);

/// What alerting needs.
pub(super) struct Setting<'a> {
    pub alerts: &'a AlertsConfig,
    /// Lateness and idleness of partitions are the same for both.
    pub drift: &'a DriftConfig,
    pub model: &'a ModelVersion,
}

/// How far what happened before is learnt.
enum Past {
    /// Nothing was ever counted, and nothing is complete yet.
    Unknown,
    /// From the next day to be learnt until the first post; and the series that were learnt, with their latest time.
    Learning {
        next: DateTime<Utc>,
        until: DateTime<Utc>,
        learnt: BTreeMap<SeriesKey, i64>,
    },
    Learnt,
}

/// Everything about alerts that is in memory while the lease is held.
pub(super) struct Alerting {
    book: Book,
    gathering: Gathering,
    labels: Vec<String>,
    levels: Vec<Level>,
    /// Whether the labels of a model are those of the book.
    models: BTreeMap<i32, bool>,
    /// What happened before the first post is learnt first, a day in each look, so that the lease is renewed meanwhile.
    past: Past,
    /// Rows that are of no use any more: of another model's labels, or of series that no rule watches.
    stale: (Vec<(KeptKey, DateTime<Utc>)>, Vec<KeptKey>),
    /// Alerts that stand open and that nobody watches any more: their rule, or their series, is gone.
    orphans: Vec<Event>,
}

impl Alerting {
    /// Reads what is remembered.
    pub(super) async fn load(store: &Store, setting: Setting<'_>) -> Result<Self, MonitorError> {
        let Setting {
            alerts,
            drift,
            model,
        } = setting;
        let labels = model.labels.clone();
        let windows = drift.windows();
        let watermark = Watermark::new(windows.lateness, windows.idle);
        // A rule that the model's labels do not fit is left out, so that the rest is watched.
        let mut fitting = alerts.clone();
        fitting.rule.retain(|rule| {
            let fit = rule.fits(&labels);
            if let Err(unfit) = &fit {
                tracing::warn!("a rule is not watched: {unfit}");
            }
            fit.is_ok()
        });
        let names: Vec<Arc<str>> = labels.iter().map(|label| Arc::from(&**label)).collect();
        let mut book = Book::new(&fitting, &names)?;
        let levels = fitting.levels();
        let mut gathering = Gathering::new(levels.clone(), labels.len(), alerts.step(), watermark);
        let series = store.alert_series().await?;
        let cells = store.alert_cells().await?;
        let past = if series.is_empty() {
            Past::Unknown
        } else {
            Past::Learnt
        };
        let mut stale = (Vec::new(), Vec::new());
        for series in series {
            let key = key_of(&series.key);
            if let Err(error) = book.restore_series(&key, &series.payload) {
                tracing::warn!(
                    source = series.key.source,
                    subject = series.key.subject,
                    "what is normal for a series is learnt anew: {error}"
                );
            }
            if book.series_state(&key).is_none() {
                stale.1.push(series.key);
            }
        }
        for kept in cells {
            let at = (kept.key.clone(), kept.started);
            match cell(kept, labels.len()) {
                Some(cell) => gathering.restore(cell),
                None => stale.0.push(at),
            }
        }
        let open: BTreeSet<String> = book.open().into_iter().map(|alert| alert.id).collect();
        let standing = store.past_alerts(true, u32::MAX).await?;
        let orphans = standing
            .into_iter()
            .filter(|alert| !open.contains(&alert.id))
            .filter_map(|alert| serde_json::from_value(alert.detail).ok())
            .collect();
        Ok(Self {
            book,
            gathering,
            labels,
            levels,
            models: BTreeMap::new(),
            past,
            stale,
            orphans,
        })
    }

    pub(super) fn open(&self) -> usize {
        self.book.open().len()
    }

    pub(super) fn series(&self) -> usize {
        self.book.series()
    }

    pub(super) fn expect(&mut self, partition: &TopicPartition, now: i64) {
        self.gathering.expect(partition, now);
    }

    /// Counts what a model has said of messages.
    pub(super) async fn take(
        &mut self,
        store: &Store,
        model: i32,
        partition: &TopicPartition,
        readings: &[(i64, Reading)],
        now: i64,
    ) -> Result<(), StoreError> {
        if !self.counts(store, model).await? {
            return Ok(());
        }
        for (_, reading) in readings {
            let (source, subject) = (kept_name(&reading.source), kept_name(&reading.subject));
            let post = Post {
                time: reading.time,
                source: &source,
                subject: &subject,
                print: reading.print.near,
                author: reading.author,
                label: reading.label,
                score: score(&reading.probabilities),
            };
            self.gathering.push(partition, post, now);
        }
        Ok(())
    }

    /// Whether a model's labels are those that are counted here. Two models that take turns have the same, or they would
    /// not speak of the same.
    async fn counts(&mut self, store: &Store, model: i32) -> Result<bool, StoreError> {
        if let Some(&counts) = self.models.get(&model) {
            return Ok(counts);
        }
        let counts = store.labels_by_id(model).await?.as_ref() == Some(&self.labels);
        if !counts {
            tracing::warn!(
                model,
                "messages scored by a model with other labels are not watched for alerts"
            );
        }
        self.models.insert(model, counts);
        Ok(counts)
    }

    /// Looks at the cells that are complete; what is to be written, and what is to be told.
    pub(super) async fn step(
        &mut self,
        store: &Store,
        now: i64,
    ) -> Result<(AlertStep, Vec<Event>), StoreError> {
        let mut step = AlertStep::default();
        (step.closed, step.dropped) = std::mem::take(&mut self.stale);
        let mut touched = BTreeMap::new();
        if let Past::Unknown = self.past
            && let Some(first) = self.gathering.begins(now)
        {
            let until = moment(first);
            self.past = Past::Learning {
                next: until - PAST,
                until,
                learnt: BTreeMap::new(),
            };
        }
        if self.is_learning() {
            self.learn_a_day(store).await?;
        }
        if let Past::Learning {
            next,
            until,
            learnt,
        } = &mut self.past
            && next >= until
        {
            touched = std::mem::take(learnt);
            self.past = Past::Learnt;
        }
        let cells = match self.past {
            Past::Learnt => self.gathering.close(now),
            Past::Unknown | Past::Learning { .. } => Vec::new(),
        };
        let mut events: Vec<Event> = std::mem::take(&mut self.orphans)
            .into_iter()
            .map(|event| event.abandoned(now))
            .collect();
        for cell in &cells {
            events.extend(self.book.observe(cell));
            touched.insert(cell.key.clone(), cell.start);
            step.closed.push((kept_key(&cell.key), moment(cell.start)));
        }
        if let Some(reached) = self.gathering.reached(now) {
            let late = self.book.advance(reached);
            touched.extend(late.iter().map(|event| (event.alert.key.clone(), event.at)));
            events.extend(late);
        }
        step.cells = self
            .gathering
            .changed()
            .into_iter()
            .map(kept_cell)
            .collect();
        let dropped = self.book.take_dropped();
        step.dropped.extend(dropped.iter().map(kept_key));
        for (key, heard) in touched {
            if let Some(payload) = self.book.series_state(&key) {
                step.series.push(KeptSeries {
                    key: kept_key(&key),
                    heard: moment(heard),
                    payload,
                });
            }
        }
        // One row for each alert, as its last event has it.
        let latest: BTreeMap<&str, &Event> = events
            .iter()
            .map(|event| (&*event.alert.id, event))
            .collect();
        step.alerts = latest.into_values().map(kept_alert).collect();
        Ok((step, events))
    }

    /// Whether there is more to be learnt before cells are looked at.
    pub(super) fn is_learning(&self) -> bool {
        matches!(self.past, Past::Learning { .. })
    }

    /// Learns what was normal in a day before the first post, from the counts per minute.
    async fn learn_a_day(&mut self, store: &Store) -> Result<(), StoreError> {
        let Past::Learning {
            next,
            until,
            learnt,
        } = &mut self.past
        else {
            return Ok(());
        };
        let (book, labels, levels) = (&mut self.book, &self.labels, &self.levels);
        let end = (*next + TimeDelta::days(1)).min(*until);
        let mut hour: BTreeMap<SeriesKey, Cell> = BTreeMap::new();
        let mut start = i64::MIN;
        let mut settle = |hour: &mut BTreeMap<SeriesKey, Cell>| {
            for (key, cell) in std::mem::take(hour) {
                book.learn(&cell);
                learnt.insert(key, cell.start);
            }
        };
        store
            .past_sentiment(*next, end, |past| {
                if past.hour.timestamp_millis() != start {
                    settle(&mut hour);
                    start = past.hour.timestamp_millis();
                }
                let Some(label) = labels.iter().position(|label| *label == past.label) else {
                    return;
                };
                let messages = past.messages.unsigned_abs();
                for level in levels {
                    let Some(key) = level.key(&past.source, &past.subject) else {
                        continue;
                    };
                    let cell = hour.entry(key.clone()).or_insert_with(|| Cell {
                        key,
                        start,
                        counts: vec![Count::default(); labels.len()],
                        score: 0.0,
                    });
                    // How many of them were copies is not known any more.
                    cell.counts[label].messages += messages;
                    cell.counts[label].texts += messages;
                    cell.counts[label].authors += messages;
                    cell.score += position(label, labels.len()) * messages as f64;
                }
            })
            .await?;
        settle(&mut hour);
        *next = end;
        Ok(())
    }
}
