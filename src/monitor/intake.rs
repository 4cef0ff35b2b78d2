//! Labels taken in at each look, before the step that reckons with them.

use chrono::Utc;

use super::answers::{self, Reckoning, by_model};
use super::feed::Feed;
use super::{Held, Monitor, MonitorError};
use crate::drift::memory::Memory;
use crate::labels::LabelFault;
use crate::record::TopicPartition;
use crate::store::Watched;

/// Labels whose messages are looked for at once.
const MATCHED: u32 = 500;

impl Monitor {
    /// Reads labels and finds their messages; whether there is more, or `None` where another instance has the duty by now. What is
    /// wrong with their topic is told and does not stop the watch.
    pub(super) async fn take_labels(
        &mut self,
        held: &mut Held,
        committed: &[(TopicPartition, i64)],
    ) -> Result<Option<bool>, MonitorError> {
        let store = self.setting.store.clone();
        let mut more = false;
        if self.labels.has_topic() {
            match self.labels.read(&held.positions).await {
                Ok(intake) => {
                    self.label_fault = None;
                    if !intake.next.is_empty() {
                        if !store.take_labels(&held.lease, &intake).await? {
                            return Ok(None);
                        }
                        more = intake.more;
                        self.setting
                            .metrics
                            .labels
                            .inc_by(intake.labels.len() as u64);
                        let reasons = intake.rejected.iter().map(|rejected| rejected.reason);
                        self.count_rejected(reasons);
                        held.positions.extend(intake.next);
                    }
                }
                Err(fault) => {
                    if self.label_fault.as_ref() != Some(&fault) {
                        tracing::warn!("labels are not read for now: {fault}");
                    }
                    self.label_fault = Some(fault);
                }
            }
        }
        let matching = store.match_labels(&held.lease, committed, MATCHED);
        let Some(matched) = matching.await? else {
            return Ok(None);
        };
        self.count_rejected(matched.rejected.iter().copied());
        Ok(Some(more || matched.fresh >= MATCHED as usize))
    }

    fn count_rejected(&self, reasons: impl IntoIterator<Item = LabelFault>) {
        for reason in reasons {
            self.setting.metrics.labels_rejected.of(reason).inc();
        }
    }

    /// Reckons in labelled messages that have changed; whether there may be more.
    pub(super) async fn reckon(
        &mut self,
        held: &mut Held,
        step: &mut Watched,
        now: i64,
    ) -> Result<bool, MonitorError> {
        if !self.setting.drift.enabled {
            // They wait until what is remembered of the feed is at hand.
            return Ok(false);
        }
        let pending = self.setting.store.pending_labelled(answers::MOST).await?;
        let more = pending.len() >= answers::MOST as usize;
        for (model, messages) in by_model(pending) {
            let baseline = self.baselines.of(&self.setting.store, model).await?;
            let reckoning = Reckoning {
                store: &self.setting.store,
                config: &self.setting.drift,
                metrics: &self.setting.metrics,
                model,
                baseline: baseline.as_deref(),
                now: Utc::now(),
            };
            let feed = held
                .feeds
                .entry(model)
                .or_insert_with(|| Feed::new(Memory::default(), &self.setting.drift, now));
            reckoning.take(feed, messages, step).await?;
            step.memory.retain(|(held, _)| *held != model);
            step.memory.push((model, feed.memory().encode()));
        }
        Ok(more)
    }
}
