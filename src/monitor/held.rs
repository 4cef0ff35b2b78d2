//! What is in memory while this instance has the duty.

use std::collections::{BTreeMap, BTreeSet};

use super::alerting::{self, Alerting};
use super::annotating::Annotating;
use super::feed::Feed;
use super::{MonitorError, Setting, order};
use crate::drift::memory::Memory;
use crate::drift::pane;
use crate::drift::reading::Reading;
use crate::record::TopicPartition;
use crate::store::{KeptPane, Lease, PaneKey};

/// What is in memory while the lease is held.
pub(super) struct Held {
    pub lease: Lease,
    /// Up to where each partition has been counted.
    pub positions: BTreeMap<TopicPartition, i64>,
    pub feeds: BTreeMap<i32, Feed>,
    /// Panes that are still kept and not needed any more.
    pub over: Vec<PaneKey>,
    /// None where alerts are off.
    pub alerting: Option<Alerting>,
    /// None where nobody is asked for labels.
    pub annotating: Option<Annotating>,
}

impl Held {
    /// Reads what is remembered.
    pub(super) async fn load(
        setting: &Setting,
        lease: Lease,
        now: i64,
    ) -> Result<Self, MonitorError> {
        let store = &setting.store;
        if let Some(baseline) = &setting.baseline
            && let Ok(json) = baseline.to_json()
        {
            let model = store.model_id(&setting.model).await?;
            store.keep_baseline(model, &json).await?;
        }
        // Where drift is not watched, what is remembered waits until it is again.
        let (feeds, over) = if setting.drift.enabled {
            feeds(setting, now).await?
        } else {
            Default::default()
        };
        let alerting = if setting.alerts.enabled {
            let alerting = alerting::Setting {
                alerts: &setting.alerts,
                drift: &setting.drift,
                model: &setting.model,
            };
            Some(Alerting::load(store, alerting).await?)
        } else {
            None
        };
        let annotating = if setting.annotate.enabled {
            Some(Annotating::load(store, &setting.annotate, now).await?)
        } else {
            None
        };
        tracing::info!(token = lease.token, "this instance watches the feed");
        Ok(Self {
            lease,
            positions: store.watched_positions().await?,
            feeds,
            over,
            alerting,
            annotating,
        })
    }

    /// Counts the messages of a chunk in a partition, of which each model's have a pane.
    pub(super) async fn take(
        &mut self,
        setting: &Setting,
        panes: &[KeptPane],
        partitions: &[(TopicPartition, Option<i64>)],
        now: i64,
    ) -> Result<(), MonitorError> {
        let read: Vec<Vec<(i64, Reading)>> = panes.iter().map(readings).collect();
        // Partitions that have nothing committed yet are waited for too: their messages may be as old.
        let expected = || partitions.iter().map(|(partition, _)| partition);
        if let Some(alerting) = &mut self.alerting {
            expected().for_each(|partition| alerting.expect(partition, now));
            // A series takes the messages of all models, in the order in which they were consumed.
            for (index, run) in order::runs(&read) {
                let (pane, run) = (&panes[index], &read[index][run]);
                alerting
                    .take(&setting.store, pane.model, &pane.partition, run, now)
                    .await?;
            }
        }
        for (pane, readings) in panes.iter().zip(read) {
            if let Some(annotating) = &mut self.annotating {
                annotating
                    .take(&setting.store, pane, &readings, now)
                    .await?;
            }
            if !setting.drift.enabled {
                continue;
            }
            let feed = self
                .feeds
                .entry(pane.model)
                .or_insert_with(|| Feed::new(Memory::default(), &setting.drift, now));
            expected().for_each(|partition| feed.expect(partition, now));
            feed.take(pane, readings, now);
        }
        Ok(())
    }
}

/// What was counted of each model and is in no closed window, and the panes of which nothing is.
async fn feeds(
    setting: &Setting,
    now: i64,
) -> Result<(BTreeMap<i32, Feed>, Vec<PaneKey>), MonitorError> {
    let store = &setting.store;
    let (mut feeds, mut lost) = (BTreeMap::new(), BTreeSet::new());
    for (model, bytes) in store.watch_memory().await? {
        let memory = match Memory::decode(&bytes) {
            Ok(memory) => memory,
            Err(error) => {
                tracing::warn!(model, "the watch over a model begins anew: {error}");
                lost.insert(model);
                let mut memory = Memory::default();
                memory.windows.number = store.next_window(model).await?;
                memory
            }
        };
        feeds.insert(model, Feed::new(memory, &setting.drift, now));
    }
    let mut over = Vec::new();
    for pane in store.held_panes().await? {
        // Which of these messages are in closed windows is not known where the memory is lost.
        let feed = feeds
            .get_mut(&pane.model)
            .filter(|_| !lost.contains(&pane.model));
        if !feed.is_some_and(|feed| feed.restore(&pane, readings(&pane))) {
            over.push(pane.key());
        }
    }
    Ok((feeds, over))
}

fn readings(pane: &KeptPane) -> Vec<(i64, Reading)> {
    pane::decode(&pane.payload).unwrap_or_else(|error| {
        // Once and for all: it would be no better with the next look.
        tracing::warn!(partition = %pane.partition, "messages go uncounted: {error}");
        Vec::new()
    })
}
