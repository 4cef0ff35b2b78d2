//! The watch over the live feed: one instance at a time counts for all what every instance has left, judges the windows, and
//! reports.
//!
//! Whoever holds the lease looks every few seconds: it asks Kafka for the committed offsets, takes the panes below them out of
//! Postgres, and writes what follows from them (positions, memory, windows, reports) in one transaction that checks the lease.
//! So each committed message is counted once, whoever watches and whatever dies; and since windows go by event time, it does
//! not matter which instance has scored what.

mod alerting;
mod annotating;
mod answers;
mod baselines;
mod committed;
mod count;
mod feed;
mod held;
mod intake;
mod kept_alerts;
mod kept_panes;
mod labels;
mod order;
mod outbox;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

pub use baselines::{BaselineFault, of_bundle};

use self::alerting::Alerting;
use self::baselines::Baselines;
use self::committed::Committed;
use self::feed::Feed;
use self::held::Held;
use self::labels::LabelReader;
use self::outbox::Reports;
use crate::alerts::Unfit;
use crate::alerts::config::AlertsConfig;
use crate::annotate::config::AnnotateConfig;
use crate::drift::baseline::Baseline;
use crate::drift::config::DriftConfig;
use crate::labels::config::LabelsConfig;
use crate::metrics::Metrics;
use crate::model::live::Live;
use crate::notify::config::{Kind, Webhook};
use crate::notify::receivers;
use crate::pipeline::config::KafkaConfig;
use crate::record::{ModelVersion, TopicPartition};
use crate::store::{KeptNotice, KeptPane, Lease, PaneKey, Store, StoreError, Watched};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// How long the duty is another's after its holder was heard last.
const LEASE: Duration = Duration::from_secs(15);
/// Panes taken in one look.
const PANES: u32 = 500;
/// For giving the duty back at the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Between two removals of old windows.
const TRIM_EVERY: Duration = Duration::from_secs(3_600);
/// The name of the duty.
const DUTY: &str = "drift";
/// A model that has left nothing for so many milliseconds, while another has, scores no more.
const RETIRED: i64 = 600_000;

/// Up to where messages count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Below the offsets that the group has committed.
    Committed,
    /// As far as they are written. For a broker that keeps no offsets: there each message is read once.
    Written,
}

/// What the watch needs.
pub struct Setting {
    pub store: Store,
    pub counted: Counted,
    pub kafka: KafkaConfig,
    /// The topics that are read.
    pub topics: Vec<String>,
    pub drift: DriftConfig,
    pub alerts: AlertsConfig,
    /// Who is told of alarms and alerts.
    pub webhooks: Vec<Webhook>,
    pub labels: LabelsConfig,
    pub annotate: AnnotateConfig,
    /// The model of this instance, and what its messages are compared with, if anything.
    pub model: Arc<ModelVersion>,
    pub baseline: Option<Baseline>,
    /// Whose tokens an alarm names.
    pub live: Arc<Live>,
    pub metrics: Metrics,
}

/// Watches, where this instance is the one.
pub struct Monitor {
    setting: Setting,
    /// Unique to the process: a successor of the same name is another.
    holder: String,
    committed: Committed,
    baselines: Baselines,
    labels: LabelReader,
    reports: Reports,
    /// The duty, as far as this instance knows.
    lease: Option<Lease>,
    held: Option<Held>,
    /// Why labels could not be read last.
    label_fault: Option<String>,
    /// What went wrong last after a step was written.
    finish_fault: Option<String>,
    /// When old windows were removed last.
    trimmed: Option<Instant>,
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
enum MonitorError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rule(#[from] Unfit),
    #[error("{0}")]
    Kafka(String),
}

impl Monitor {
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let unique: u64 = rand::random();
        Self {
            holder: format!("{}/{unique:016x}", setting.kafka.instance_name()),
            committed: Committed::new(setting.kafka.clone()),
            baselines: Baselines::default(),
            labels: LabelReader::new(setting.kafka.clone(), &setting.labels),
            reports: Reports::new(setting.kafka.clone(), setting.drift.reports.clone()),
            lease: None,
            held: None,
            label_fault: None,
            finish_fault: None,
            trimmed: None,
            setting,
        }
    }

    /// Watches until `stop`, then gives the duty back.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut told = false;
        loop {
            // A look that is given up has written all of its step or nothing, and its successor reads what.
            let Some(looked) = stop.run_until_cancelled(self.look()).await else {
                break;
            };
            let mut behind = false;
            match looked {
                Ok(more) => (told, behind) = (false, more),
                Err(error) => {
                    // What was written is not known: read it again before the next step. Where Kafka is silent nothing was.
                    if !matches!(error, MonitorError::Kafka(_)) {
                        self.held = None;
                    }
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!("the feed is not watched for now: {error}");
                    }
                }
            }
            self.setting
                .metrics
                .drift_leader
                .set(i64::from(self.held.is_some()));
            let pause = if behind { Duration::ZERO } else { EVERY };
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                break;
            }
        }
        self.part_from_annotators().await;
        if let Some(lease) = self.lease.take() {
            let releasing = self.setting.store.release(&lease);
            if !matches!(tokio::time::timeout(FAREWELL, releasing).await, Ok(Ok(()))) {
                tracing::info!("the watch passes on when its lease ends");
            }
        }
        // A Kafka client may take long to close where no broker answers, and nothing depends on it.
        std::thread::spawn(move || drop((self.committed, self.labels, self.reports)));
    }

    /// Takes what is new into account, if this instance has the duty; whether there is more.
    async fn look(&mut self) -> Result<bool, MonitorError> {
        let store = self.setting.store.clone();
        self.lease = store.lease(DUTY, &self.holder, LEASE).await?;
        let Some(lease) = self.lease.clone() else {
            self.held = None;
            return Ok(false);
        };
        let now = Utc::now().timestamp_millis();
        // Before the panes: what lies below these offsets does not change any more.
        let topics = &self.setting.topics;
        let partitions = match self.setting.counted {
            Counted::Committed => {
                let asked = self.committed.ask(topics).await;
                asked.map_err(MonitorError::Kafka)?
            }
            Counted::Written => store.written_offsets(topics).await?,
        };
        let mut held = match self.held.take() {
            Some(held) if held.lease == lease => held,
            _ => Held::load(&self.setting, lease, now).await?,
        };
        let committed: Vec<(TopicPartition, i64)> = partitions
            .iter()
            .filter_map(|(partition, offset)| Some((partition.clone(), (*offset)?)))
            .collect();
        let mut counted = Vec::new();
        let panes = store.panes_below(&committed, PANES).await?;
        let more = panes.len() >= PANES as usize;
        for panes in order::by_chunk(panes) {
            let Some(first) = panes.first() else {
                continue;
            };
            let position = held.positions.get(&first.partition).copied();
            if position.is_none_or(|position| first.offsets.start >= position) {
                held.positions
                    .insert(first.partition.clone(), first.offsets.end);
                held.take(&self.setting, &panes, &partitions, now).await?;
            }
            counted.extend(panes);
        }
        let Some(labels) = self.take_labels(&mut held, &committed).await? else {
            return Ok(false);
        };
        let mut step = self.step(&mut held, counted, now).await?;
        let more = self.reckon(&mut held, &mut step, now).await? || more || labels;
        let more = more || held.alerting.as_ref().is_some_and(Alerting::is_learning);
        self.tell_of_reports(&mut step);
        if !step.is_empty() && !store.write_watched(&held.lease, &step).await? {
            tracing::info!("another instance watches the feed now");
            return Ok(false);
        }
        count::step(&self.setting.metrics, &step, &held);
        self.held = Some(held);
        self.finish().await;
        Ok(more)
    }

    /// What comes after a step. Where it fails the step stands all the same, and what is in memory stays.
    async fn finish(&mut self) {
        let store = self.setting.store.clone();
        let mut fault = self.reports.send(&store).await.err();
        if self.trimmed.is_none_or(|last| last.elapsed() >= TRIM_EVERY) {
            self.trimmed = Some(Instant::now());
            if let Err(error) = self.trim(&store).await {
                fault = Some(format!("old rows of the watch cannot be removed: {error}"));
            }
        }
        if let Some(fault) = &fault
            && self.finish_fault.as_ref() != Some(fault)
        {
            tracing::warn!("{fault}");
        }
        self.finish_fault = fault;
    }

    async fn trim(&self, store: &Store) -> Result<(), StoreError> {
        let before = |days: u32| Utc::now() - TimeDelta::days(i64::from(days));
        let Setting {
            drift,
            alerts,
            labels,
            annotate,
            ..
        } = &self.setting;
        store.trim_watched(before(drift.retention_days)).await?;
        store.trim_alerts(before(alerts.retention_days)).await?;
        let queued = before(annotate.retention_days);
        store.trim_annotations(queued, annotate.most_open).await?;
        store.trim_labels(before(labels.retention_days)).await
    }

    /// Closes the windows that are complete, and says what is to be written.
    async fn step(
        &mut self,
        held: &mut Held,
        counted: Vec<KeptPane>,
        now: i64,
    ) -> Result<Watched, MonitorError> {
        let heard = held.feeds.values().filter_map(Feed::heard).max();
        let serving = self.setting.live.current();
        let mut step = Watched {
            counted,
            over: std::mem::take(&mut held.over),
            ..Watched::default()
        };
        for (&model, feed) in &mut held.feeds {
            let retired = heard
                .zip(feed.heard())
                .is_some_and(|(any, own)| any - own > RETIRED);
            let (windows, over) = feed.close(retired, now);
            let over = over.into_iter().map(|(partition, first)| PaneKey {
                partition,
                first,
                model,
            });
            step.over.extend(over);
            let ends = retired && feed.alarms() > 0;
            let touched = !windows.is_empty() || step.counted.iter().any(|p| p.model == model);
            if !touched && !ends {
                continue;
            }
            let baseline = self.baselines.of(&self.setting.store, model).await?;
            for window in windows {
                let (from, to) = (report::time(window.start), report::time(window.end));
                let answers = answers::between(&self.setting.store, model, from, to).await?;
                let baseline = baseline.as_deref();
                let judged = feed.judge(&window, &answers, baseline, &self.setting.drift);
                let told = report::Told {
                    model,
                    window: &window,
                    judged: &judged,
                    since: feed.since(),
                    baseline,
                    tokenizer: serving.tokenizer(),
                };
                let kept = told.window();
                if let Some(measured) = judged.as_ref().and_then(|judged| judged.measured) {
                    let measure = answers::kept(model, kept.number, Some(&measured));
                    step.measures.push(measure);
                }
                step.windows.push(kept);
                if let Some(report) = told.report(&self.setting.store).await? {
                    step.reports.push(report);
                }
                feed.settle(&judged);
            }
            if ends {
                step.reports.extend(feed.abandon(model));
            }
            step.memory.push((model, feed.memory().encode()));
        }
        let waits = |pane: &&KeptPane| {
            let feed = held.feeds.get(&pane.model);
            feed.is_some_and(|feed| feed.holds(pane))
        };
        step.held = step
            .counted
            .iter()
            .filter(waits)
            .map(KeptPane::key)
            .collect();
        if let Some(alerting) = &mut held.alerting {
            let (changes, events) = alerting.step(&self.setting.store, now).await?;
            step.alerts = changes;
            let receivers = self.receivers(Kind::Alert);
            let told = events
                .iter()
                .map(|event| kept_alerts::notice(event, &receivers));
            step.notices.extend(told);
        }
        if let Some(annotating) = &mut held.annotating {
            annotating.step(&mut step, now);
        }
        Ok(step)
    }

    fn receivers(&self, kind: Kind) -> Vec<String> {
        receivers(kind, &self.setting.alerts.topic, &self.setting.webhooks)
    }

    fn tell_of_reports(&self, step: &mut Watched) {
        let receivers = self.receivers(Kind::Drift);
        for report in &step.reports {
            let mut body = report.report.clone();
            body["model"] = report.model.into();
            // The alarm of the labels opens and resolves beside that of the windows.
            let of = body["statistic"].as_str().unwrap_or("feed").to_owned();
            step.notices.push(KeptNotice {
                id: format!("drift-{}", report.id),
                kind: Kind::Drift.as_str(),
                about: format!("drift-{}-{of}", report.model),
                body,
                receivers: receivers.clone(),
            });
        }
    }
}
