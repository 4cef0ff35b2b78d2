//! Telling others: webhooks, commands and a Kafka topic, beside the stream and never in its way.
//!
//! What somebody is to be told stands in Postgres with the change that it tells of (`store/notices.rs`). Each receiver has a
//! courier of its own, on whichever instance holds its lease, so a slow receiver holds up nobody else. An attempt is noted
//! before it is made: of one that was cut off by a death it is known that it may have arrived, and a receiver that cannot tell
//! a repetition from a second notice is not told again.

pub mod config;

mod command;
mod courier;
mod drift;
mod model;
mod notice;
mod patience;
mod topic;
mod webhook;

use std::time::Duration;

use chrono::Utc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::notice::{Notice, NoticeError};
pub use self::topic::topic_receiver;
pub use self::webhook::{Attempt, Post};

use self::config::{Format, Webhook};
use self::courier::{Courier, Receiver};
use crate::alerts::Event;
use crate::metrics::Metrics;
use crate::pipeline::config::KafkaConfig;
use crate::store::Store;

/// What the couriers need.
pub struct Setting {
    pub store: Store,
    pub kafka: KafkaConfig,
    /// The topic for alerts; empty: none.
    pub alerts_topic: String,
    pub webhooks: Vec<Webhook>,
    pub metrics: Metrics,
}

/// How long an attempt to tell one of these may take.
#[must_use]
pub fn longest_attempt(webhooks: &[Webhook]) -> Duration {
    let seconds = webhooks.iter().map(|webhook| webhook.timeout_seconds).max();
    Duration::from_secs(u64::from(seconds.unwrap_or_default()))
}

/// Who is told of a notice of this kind.
#[must_use]
pub fn receivers(kind: config::Kind, alerts_topic: &str, webhooks: &[Webhook]) -> Vec<String> {
    let topic = (kind == config::Kind::Alert && !alerts_topic.is_empty())
        .then(|| topic_receiver(alerts_topic));
    let webhooks = webhooks
        .iter()
        .filter(|webhook| webhook.events.contains(&kind))
        .map(Webhook::receiver);
    topic.into_iter().chain(webhooks).collect()
}

/// Delivers until `stop`.
pub async fn run(setting: Setting, stop: CancellationToken) {
    let Setting {
        store,
        kafka,
        alerts_topic,
        webhooks,
        metrics,
    } = setting;
    let mut couriers = JoinSet::new();
    let mut begin = |receiver: Receiver| {
        let courier = Courier::new(
            receiver,
            store.clone(),
            metrics.clone(),
            &kafka.instance_name(),
        );
        couriers.spawn(courier.run(stop.clone()));
    };
    if !alerts_topic.is_empty() {
        begin(Receiver::topic(kafka.clone(), alerts_topic));
    }
    for webhook in webhooks {
        begin(Receiver::webhook(webhook));
    }
    while couriers.join_next().await.is_some() {}
}

/// Tells every receiver of an event once, on trial; what each says.
pub async fn tell_once(
    kafka: &KafkaConfig,
    alerts_topic: &str,
    webhooks: &[Webhook],
    event: Event,
) -> Vec<(String, Result<(), String>)> {
    let now = Utc::now();
    let id = format!("test-{}", now.timestamp_millis());
    let notice = Notice::Alert(Box::new(event));
    let mut told = Vec::new();
    if !alerts_topic.is_empty() {
        let mut topic = topic::Topic::new(kafka.clone(), alerts_topic.to_owned());
        let body = notice.body(&id, Format::Generic, now).to_string();
        let outcome = topic.send(&id, &id, &body).await;
        told.push((topic_receiver(alerts_topic), outcome));
    }
    for webhook in webhooks {
        let post = Post {
            id: id.clone(),
            body: notice.body(&id, webhook.format, now).to_string(),
            timestamp: now.timestamp(),
        };
        let outcome = match webhook::post_once(webhook, post).await {
            Attempt::Delivered => Ok(()),
            Attempt::Failed(fault, _) | Attempt::InDoubt(fault) => Err(fault),
        };
        told.push((webhook.receiver(), outcome));
    }
    told
}
