//! Notices in a Kafka topic.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};

use crate::pipeline::client;
use crate::pipeline::config::KafkaConfig;
use crate::refusal;

/// The header that names a record's notice.
const ID: &str = "notice";
/// Clocks differ: a record is looked for from so long before the notice was recorded.
const SKEW: TimeDelta = TimeDelta::minutes(10);

/// The name of the receiver that a topic is.
#[must_use]
pub fn topic_receiver(topic: &str) -> String {
    format!("topic {topic}")
}

/// Whether a notice stands in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    There,
    Absent,
}

/// A topic that notices go to, keyed by what they tell of.
pub(super) struct Topic {
    config: KafkaConfig,
    name: String,
    producer: Option<FutureProducer>,
}

impl Topic {
    /// How long an attempt may take.
    pub(super) const PATIENCE: Duration = Duration::from_secs(20);

    pub(super) fn new(config: KafkaConfig, name: String) -> Self {
        Self {
            config,
            name,
            producer: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends it. An attempt that fails may have arrived all the same; the client that has given it up is replaced.
    pub(super) async fn send(&mut self, id: &str, about: &str, body: &str) -> Result<(), String> {
        let producer = match &self.producer {
            Some(producer) => producer,
            None => self.producer.insert(self.connect()?),
        };
        let header = Header {
            key: ID,
            value: Some(id),
        };
        let record = FutureRecord::to(&self.name)
            .key(about)
            .payload(body)
            .headers(OwnedHeaders::new().insert(header));
        match producer.send(record, Timeout::After(Self::PATIENCE)).await {
            Ok(_) => Ok(()),
            Err((error, _)) => {
                let fault = format!("it cannot be sent: {error}");
                self.producer = None;
                Err(fault)
            }
        }
    }

    fn connect(&self) -> Result<FutureProducer, String> {
        client::base(&self.config)
            .set("enable.idempotence", "true")
            .set(
                "message.timeout.ms",
                (Self::PATIENCE / 2).as_millis().to_string(),
            )
            .create()
            .map_err(|error| refusal::of_client(&error))
    }

    /// Looks for a notice in what was written since it was recorded.
    pub(super) async fn holds(
        &self,
        id: &str,
        recorded: DateTime<Utc>,
    ) -> Result<Presence, String> {
        let (config, topic, id) = (self.config.clone(), self.name.clone(), id.to_owned());
        tokio::task::spawn_blocking(move || look_for(&config, &topic, &id, recorded - SKEW))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("it cannot be read: {error}"))
    }
}

fn look_for(
    config: &KafkaConfig,
    topic: &str,
    id: &str,
    since: DateTime<Utc>,
) -> Result<Presence, KafkaError> {
    const STEP: Duration = Duration::from_secs(10);
    let consumer: BaseConsumer = client::base(config)
        // Consumes by hand; the client wants a name all the same.
        .set("group.id", format!("{}-notices", config.group))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .set("isolation.level", "read_committed")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), STEP)?;
    if let Some(error) = metadata.topics().iter().find_map(|topic| topic.error()) {
        return Err(KafkaError::MetadataFetch(error.into()));
    }
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions().iter().map(|partition| partition.id()))
        .collect();
    let mut asked = TopicPartitionList::new();
    for partition in &partitions {
        asked.add_partition_offset(topic, *partition, Offset::Offset(since.timestamp_millis()))?;
    }
    let begun = consumer.offsets_for_times(asked, STEP)?;
    for element in begun.elements() {
        element.error()?;
        let Offset::Offset(first) = element.offset() else {
            continue; // nothing was written since
        };
        let (_, end) = consumer.fetch_watermarks(topic, element.partition(), STEP)?;
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(topic, element.partition(), Offset::Offset(first))?;
        consumer.assign(&assigned)?;
        let mut next = first;
        while next < end {
            let Some(message) = consumer.poll(STEP) else {
                // Marks of transactions may be all that is left.
                let position = consumer.position()?;
                let position = position.find_partition(topic, element.partition());
                match position.map(|element| element.offset()) {
                    Some(Offset::Offset(position)) if position > next => next = position,
                    _ => break,
                }
                continue;
            };
            let message = message?;
            next = message.offset() + 1;
            let is_it = message.headers().is_some_and(|headers| {
                headers
                    .iter()
                    .any(|header| header.key == ID && header.value == Some(id.as_bytes()))
            });
            if is_it {
                return Ok(Presence::There);
            }
        }
        if next < end {
            return Err(KafkaError::MessageConsumption(
                rdkafka::types::RDKafkaErrorCode::OperationTimedOut,
            ));
        }
    }
    Ok(Presence::Absent)
}
