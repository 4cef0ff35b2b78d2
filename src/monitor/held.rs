//! What is in memory while this instance has the duty.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alerting::{self, Alerting};
use super::feed::Feed;
use super::{MonitorError, Setting};
use crate::drift::memory::Memory;
use crate::drift::pane;
use crate::record::{Origin, TopicPartition};
use crate::store::{KeptPane, Lease};

/// What is in memory while the lease is held.
pub(super) struct Held {
    pub lease: Lease,
    /// Up to where each partition has been counted.
    pub positions: BTreeMap<TopicPartition, i64>,
    pub feeds: BTreeMap<i32, Feed>,
    /// None where alerts are off.
    pub alerting: Option<Alerting>,
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
        let mut feeds = BTreeMap::new();
        for (model, bytes) in store.watch_memory().await? {
            let memory = Memory::decode(&bytes).unwrap_or_else(|error| {
                tracing::warn!(model, "the watch over a model begins anew: {error}");
                Memory::default()
            });
            feeds.insert(model, Feed::new(memory, &setting.drift, now));
        }
        if !setting.drift.enabled {
            // What is remembered waits until drift is watched again.
            feeds.clear();
        }
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
        tracing::info!(token = lease.token, "this instance watches the feed");
        Ok(Self {
            lease,
            positions: store.watched_positions().await?,
            feeds,
            alerting,
        })
    }

    /// Counts a pane's messages.
    pub(super) async fn take(
        &mut self,
        setting: &Setting,
        pane: &KeptPane,
        partitions: &[(TopicPartition, Option<i64>)],
        now: i64,
    ) -> Result<(), MonitorError> {
        let readings = pane::decode(&pane.payload).unwrap_or_else(|error| {
            // Once and for all: it would be no better with the next look.
            tracing::warn!(partition = %pane.partition, "messages go uncounted: {error}");
            Vec::new()
        });
        // Partitions that have nothing committed yet are waited for too: their messages may be as old.
        let expected = || partitions.iter().map(|(partition, _)| partition);
        if let Some(alerting) = &mut self.alerting {
            expected().for_each(|partition| alerting.expect(partition, now));
            let store = &setting.store;
            alerting
                .take(store, pane.model, &pane.partition, &readings, now)
                .await?;
        }
        if !setting.drift.enabled {
            return Ok(());
        }
        let feed = self
            .feeds
            .entry(pane.model)
            .or_insert_with(|| Feed::new(Memory::default(), &setting.drift, now));
        expected().for_each(|partition| feed.expect(partition, now));
        for (offset, reading) in readings {
            let origin = Origin {
                topic: Arc::clone(&pane.partition.topic),
                partition: pane.partition.partition,
                offset,
            };
            feed.push(origin, reading, now);
        }
        Ok(())
    }
}
