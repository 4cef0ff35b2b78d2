//! One receiver's courier: what is due, in order, an attempt at a time.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::config::{Format, Webhook};
use super::notice::Notice;
use super::patience;
use super::topic::{Presence, Topic, topic_receiver};
use super::webhook::{Attempt, Post, post_once};
use crate::metrics::Metrics;
use crate::pipeline::config::KafkaConfig;
use crate::store::{Due, Ending, Lease, Store, StoreError};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Notices taken in one look.
const NOTICES: u32 = 100;
/// Added to the time that an attempt may take: so long is the lease.
const MARGIN: Duration = Duration::from_secs(20);
/// Alertmanager forgets what is not repeated, also when it is started anew.
const REMIND: Duration = Duration::from_secs(60);
/// For how long it believes what it was told last.
pub(super) const BELIEVED: TimeDelta = TimeDelta::minutes(5);
/// For giving the duty back at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whom to tell.
pub(super) enum Receiver {
    Webhook(Box<Webhook>),
    Topic(Topic),
}

impl Receiver {
    pub(super) fn webhook(webhook: Webhook) -> Self {
        Self::Webhook(Box::new(webhook))
    }

    pub(super) fn topic(kafka: KafkaConfig, topic: String) -> Self {
        Self::Topic(Topic::new(kafka, topic))
    }

    fn name(&self) -> String {
        match self {
            Self::Webhook(webhook) => webhook.receiver(),
            Self::Topic(topic) => topic_receiver(topic.name()),
        }
    }

    /// How long an attempt takes at most.
    fn longest(&self) -> Duration {
        match self {
            Self::Webhook(webhook) => Duration::from_secs(u64::from(webhook.timeout_seconds)),
            Self::Topic(_) => Topic::PATIENCE,
        }
    }
}

/// Delivers to one receiver, where this instance is the one that does.
pub(super) struct Courier {
    receiver: Receiver,
    name: String,
    store: Store,
    metrics: Metrics,
    /// Unique to the process: a successor of the same name is another.
    holder: String,
    lease: Option<Lease>,
    reminded: Option<Instant>,
}

impl Courier {
    pub(super) fn new(receiver: Receiver, store: Store, metrics: Metrics, instance: &str) -> Self {
        let unique: u64 = rand::random();
        Self {
            name: receiver.name(),
            receiver,
            store,
            metrics,
            holder: format!("{instance}/{unique:016x}"),
            lease: None,
            reminded: None,
        }
    }

    /// Delivers until `stop`; an attempt that has begun is ended first.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut told = false;
        while !stop.is_cancelled() {
            match self.look(&stop).await {
                Ok(()) => told = false,
                Err(error) => {
                    // Whether an attempt was noted is not known: with the next lease it is looked at.
                    self.lease = None;
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(receiver = self.name, "notices wait: {error}");
                    }
                }
            }
            let rest = tokio::time::sleep(EVERY);
            if stop.run_until_cancelled(rest).await.is_none() {
                break;
            }
        }
        if let Some(lease) = self.lease.take() {
            // Where that fails, the lease ends by itself.
            let _ = tokio::time::timeout(FAREWELL, self.store.release(&lease)).await;
        }
    }

    /// Delivers what is due, if this instance has the duty.
    async fn look(&mut self, stop: &CancellationToken) -> Result<(), StoreError> {
        if !self.take_duty().await? {
            return Ok(());
        }
        self.store.spare(&self.name).await?;
        for due in self.store.due(&self.name, NOTICES).await? {
            // Renewed for each attempt, so that nobody else begins while one is under way.
            if stop.is_cancelled() || !self.take_duty().await? {
                return Ok(());
            }
            let Some(lease) = &self.lease else {
                return Ok(());
            };
            if self
                .store
                .begin_delivery(lease, &self.name, due.number)
                .await?
            {
                let ending = self.attempt(&due).await;
                self.end(&due, due.attempts + 1, ending).await;
            }
        }
        self.remind().await
    }

    /// Whether the duty is this instance's. What an earlier holder had begun when it died is dealt with first.
    async fn take_duty(&mut self) -> Result<bool, StoreError> {
        let lasts = self.receiver.longest() + MARGIN;
        let lease = self
            .store
            .lease(&format!("tell {}", self.name), &self.holder, lasts)
            .await?;
        let Some(lease) = lease else {
            self.lease = None;
            return Ok(false);
        };
        if self.lease.as_ref() != Some(&lease) {
            for due in self.store.unended(&self.name).await? {
                let ending = self.doubt(&due).await;
                self.end(&due, due.attempts, ending).await;
            }
            self.lease = Some(lease);
        }
        Ok(true)
    }

    /// What is to be done about an attempt of which nobody knows how it ended.
    async fn doubt(&mut self, due: &Due) -> Ending {
        let again = || Ending::Again(Duration::ZERO, "the attempt was cut off".to_owned());
        match &mut self.receiver {
            Receiver::Webhook(webhook) => {
                if webhook.repeat_in_doubt || webhook.format == Format::Alertmanager {
                    again()
                } else {
                    Ending::InDoubt("the attempt was cut off: it may have arrived".to_owned())
                }
            }
            Receiver::Topic(topic) => match topic.holds(&due.id, due.recorded_at).await {
                Ok(Presence::There) => Ending::Delivered,
                Ok(Presence::Absent) => again(),
                Err(fault) => Ending::Again(patience::pause(attempts(due), None), fault),
            },
        }
    }

    async fn attempt(&mut self, due: &Due) -> Ending {
        let notice = match Notice::of(due) {
            Ok(notice) => notice,
            Err(error) => return Ending::GivenUp(error.to_string()),
        };
        match &mut self.receiver {
            Receiver::Topic(topic) => {
                // An attempt that failed may have arrived all the same.
                if due.attempts > 0 {
                    match topic.holds(&due.id, due.recorded_at).await {
                        Ok(Presence::There) => return Ending::Delivered,
                        Ok(Presence::Absent) => {}
                        Err(fault) => {
                            return Ending::Again(patience::pause(attempts(due) + 1, None), fault);
                        }
                    }
                }
                let body = notice.body(&due.id, Format::Generic, Utc::now());
                match topic.send(&due.id, &due.about, &body.to_string()).await {
                    Ok(()) => Ending::Delivered,
                    Err(fault) => Ending::Again(patience::pause(attempts(due) + 1, None), fault),
                }
            }
            Receiver::Webhook(webhook) => {
                let now = Utc::now();
                let post = Post {
                    id: due.id.clone(),
                    body: notice.body(&due.id, webhook.format, now).to_string(),
                    timestamp: now.timestamp(),
                };
                let repeats = webhook.repeat_in_doubt || webhook.format == Format::Alertmanager;
                let (fault, asked) = match post_once(webhook, post).await {
                    Attempt::Delivered => return Ending::Delivered,
                    Attempt::InDoubt(fault) if !repeats => {
                        return Ending::InDoubt(format!("{fault}: it may have arrived"));
                    }
                    Attempt::InDoubt(fault) => (fault, None),
                    Attempt::Failed(fault, asked) => (fault, asked),
                };
                if patience::is_over(due.recorded_at, webhook.give_up_hours, Utc::now()) {
                    Ending::GivenUp(fault)
                } else {
                    Ending::Again(patience::pause(attempts(due) + 1, asked), fault)
                }
            }
        }
    }

    /// Notes how an attempt has ended, and does not let go of it: what is not noted would be in doubt.
    async fn end(&mut self, due: &Due, attempts: i32, ending: Ending) {
        let outcome = match &ending {
            Ending::Delivered => "delivered",
            Ending::Again(..) => "failed",
            Ending::InDoubt(_) => "in_doubt",
            Ending::GivenUp(_) => "given_up",
        };
        self.metrics.deliveries.with_label_values(&[outcome]).inc();
        if let Ending::GivenUp(fault) | Ending::InDoubt(fault) = &ending {
            tracing::warn!(
                receiver = self.name,
                notice = due.id,
                outcome,
                "a notice was not delivered, as far as is known: {fault}"
            );
        }
        let begun = Instant::now();
        while let Err(error) = self
            .store
            .end_delivery(&self.name, due.number, attempts, &ending)
            .await
        {
            // By then the lease has ended, and whoever takes it next, this one included, settles it.
            if begun.elapsed() >= MARGIN {
                tracing::warn!(
                    receiver = self.name,
                    notice = due.id,
                    "the end of a delivery cannot be noted: {error}"
                );
                self.lease = None;
                break;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Repeats to Alertmanager what is open.
    async fn remind(&mut self) -> Result<(), StoreError> {
        let Receiver::Webhook(webhook) = &self.receiver else {
            return Ok(());
        };
        let is_early = self.reminded.is_some_and(|last| last.elapsed() < REMIND);
        if webhook.format != Format::Alertmanager || is_early {
            return Ok(());
        }
        self.reminded = Some(Instant::now());
        let now = Utc::now();
        let open = self.store.told_and_open(&self.name).await?;
        let bodies = open.iter().filter_map(|due| {
            let notice = Notice::of(due).ok()?;
            match notice.body(&due.id, Format::Alertmanager, now) {
                Value::Array(alerts) => Some(alerts),
                _ => None,
            }
        });
        let alerts: Vec<Value> = bodies.flatten().collect();
        if alerts.is_empty() {
            return Ok(());
        }
        let post = Post {
            id: format!("reminder-{}", now.timestamp()),
            body: Value::Array(alerts).to_string(),
            timestamp: now.timestamp(),
        };
        if let Attempt::Failed(fault, _) | Attempt::InDoubt(fault) = post_once(webhook, post).await
        {
            tracing::debug!(receiver = self.name, "a reminder was not taken: {fault}");
        }
        Ok(())
    }
}

fn attempts(due: &Due) -> u32 {
    due.attempts.unsigned_abs()
}
