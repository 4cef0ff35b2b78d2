//! Sentiment alerts over the live feed: from readings to cells, from cells to what is to be written and told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::MonitorError;
use crate::alerts::config::AlertsConfig;
use crate::alerts::gather::{Gathering, Post};
use crate::alerts::{Book, Cell, Count, Event, Level, SeriesKey, position, score};
use crate::drift::config::DriftConfig;
use crate::drift::reading::Reading;
use crate::notify::config::Kind;
use crate::record::{ModelVersion, TopicPartition};
use crate::store::{
    AlertStep, KeptAlert, KeptCell, KeptKey, KeptNotice, KeptSeries, Store, StoreError, kept_name,
};
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

/// Everything about alerts that is in memory while the lease is held.
pub(super) struct Alerting {
    book: Book,
    gathering: Gathering,
    labels: Vec<String>,
    levels: Vec<Level>,
    /// Whether the labels of a model are those of the book.
    models: BTreeMap<i32, bool>,
    /// Nothing was ever counted: what happened before is learnt first.
    is_new: bool,
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
        let is_new = series.is_empty() && cells.is_empty();
        for series in series {
            let key = key_of(&series.key);
            if let Err(error) = book.restore_series(&key, &series.payload) {
                tracing::warn!(
                    source = series.key.source,
                    subject = series.key.subject,
                    "what is normal for a series is learnt anew: {error}"
                );
            }
        }
        cells
            .into_iter()
            .filter_map(|kept| cell(kept, labels.len()))
            .for_each(|cell| gathering.restore(cell));
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
            is_new,
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
        let mut touched: BTreeMap<SeriesKey, i64> = BTreeMap::new();
        let cells = self.gathering.close(now);
        if self.is_new
            && let Some(first) = cells.first()
        {
            self.is_new = false;
            self.learn(store, first.start, &mut touched).await?;
        }
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
        step.dropped = self.book.take_dropped().iter().map(kept_key).collect();
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

    /// Learns what was normal before the first cell, from the counts per minute.
    async fn learn(
        &mut self,
        store: &Store,
        before: i64,
        touched: &mut BTreeMap<SeriesKey, i64>,
    ) -> Result<(), StoreError> {
        let (book, labels, levels) = (&mut self.book, &self.labels, &self.levels);
        let mut hour: BTreeMap<SeriesKey, Cell> = BTreeMap::new();
        let mut start = i64::MIN;
        let mut settle = |hour: &mut BTreeMap<SeriesKey, Cell>| {
            for (key, cell) in std::mem::take(hour) {
                book.learn(&cell);
                touched.insert(key, cell.start);
            }
        };
        let until = moment(before);
        store
            .past_sentiment(until - PAST, until, |past| {
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
        Ok(())
    }
}

/// What is told of an event.
pub(super) fn notice(event: &Event, receivers: &[String]) -> KeptNotice {
    KeptNotice {
        id: format!("{}-{}-{}", event.alert.id, event.status.as_str(), event.at),
        kind: Kind::Alert.as_str(),
        about: event.alert.id.clone(),
        body: json!(event),
        receivers: receivers.to_vec(),
    }
}

fn moment(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

fn kept_key(key: &SeriesKey) -> KeptKey {
    let name = |name: &Option<Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
    KeptKey {
        level: key.level().as_str(),
        source: name(&key.source),
        subject: name(&key.subject),
    }
}

fn key_of(kept: &KeptKey) -> SeriesKey {
    let name = |name: &str| (!name.is_empty()).then(|| Arc::from(name));
    SeriesKey {
        source: name(&kept.source),
        subject: name(&kept.subject),
    }
}

fn kept_cell(cell: &Cell) -> KeptCell {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    KeptCell {
        key: kept_key(&cell.key),
        started: moment(cell.start),
        counts: cell
            .counts
            .iter()
            .flat_map(|count| [count.messages, count.texts, count.authors])
            .map(signed)
            .collect(),
        score: cell.score,
    }
}

/// A cell that was kept; none where it was of a model with other labels.
fn cell(kept: KeptCell, labels: usize) -> Option<Cell> {
    let counts: Vec<Count> = kept
        .counts
        .chunks_exact(3)
        .map(|three| Count {
            messages: three[0].unsigned_abs(),
            texts: three[1].unsigned_abs(),
            authors: three[2].unsigned_abs(),
        })
        .collect();
    (counts.len() == labels).then(|| Cell {
        key: key_of(&kept.key),
        start: kept.started.timestamp_millis(),
        counts,
        score: kept.score,
    })
}

fn kept_alert(event: &Event) -> KeptAlert {
    let alert = &event.alert;
    let name = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
    KeptAlert {
        id: alert.id.clone(),
        rule: alert.rule.to_string(),
        source: name(&alert.key.source),
        subject: name(&alert.key.subject),
        label: alert.label.to_string(),
        direction: alert.direction.as_str().to_owned(),
        started: moment(alert.started),
        opened: moment(alert.opened),
        updated: moment(event.at),
        resolved: alert.resolved.map(moment),
        normal: alert.normal,
        share: alert.share,
        messages: i64::try_from(alert.messages).unwrap_or(i64::MAX),
        detail: json!(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_comes_back_as_it_was_kept() {
        let one = Count {
            messages: 5,
            texts: 3,
            authors: 2,
        };
        let written = Cell {
            key: SeriesKey {
                source: None,
                subject: Some("tea".into()),
            },
            start: 600_000,
            counts: vec![one, Count::default()],
            score: -1.5,
        };
        assert_eq!(cell(kept_cell(&written), 2), Some(written.clone()));
        assert_eq!(cell(kept_cell(&written), 3), None, "of another model");
    }
}
