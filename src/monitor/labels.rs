//! The topic of labels, read by the instance that watches. No group and no committed offsets: how far it has been read stands in
//! Postgres, beside what was read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::labels::config::LabelsConfig;
use crate::labels::decode::LabelDecoder;
use crate::pipeline::client;
use crate::pipeline::config::KafkaConfig;
use crate::record::TopicPartition;
use crate::refusal;
use crate::store::{LabelIntake, RejectedLabel};

/// How long the brokers may take to say which partitions there are.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for the first record; what is fetched ahead is there at once.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one reading may take.
const LONGEST: Duration = Duration::from_secs(1);
/// Records in one reading, and about how many bytes of them.
const MOST: usize = 500;
const MOST_BYTES: usize = 4 << 20;
/// Bytes kept of a record that is no label.
const MOST_PAYLOAD: usize = 1 << 12;
/// KiB fetched ahead.
const PREFETCH: &str = "2048";

/// Reads the topic, if there is one.
pub(super) struct LabelReader {
    kafka: KafkaConfig,
    topic: Arc<str>,
    decoder: LabelDecoder,
    open: Option<Open>,
}

/// A consumer, and the next offset of each partition that it stands at.
struct Open {
    consumer: BaseConsumer,
    next: BTreeMap<i32, i64>,
}

impl LabelReader {
    pub(super) fn new(kafka: KafkaConfig, config: &LabelsConfig) -> Self {
        Self {
            kafka,
            topic: Arc::from(&*config.topic),
            decoder: LabelDecoder::new(&config.fields),
            open: None,
        }
    }

    pub(super) fn has_topic(&self) -> bool {
        !self.topic.is_empty()
    }

    /// What has come since `positions`, at most [`MOST`] records.
    pub(super) async fn read(
        &mut self,
        positions: &BTreeMap<TopicPartition, i64>,
    ) -> Result<LabelIntake, String> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Open {
                consumer: self.connect()?,
                next: BTreeMap::new(),
            },
        };
        let (topic, decoder) = (Arc::clone(&self.topic), self.decoder.clone());
        let wanted: BTreeMap<i32, i64> = positions
            .iter()
            .filter(|(partition, _)| partition.topic == topic)
            .map(|(partition, next)| (partition.partition, *next))
            .collect();
        let reading = tokio::task::spawn_blocking(move || {
            let mut open = open;
            // After a failure, the next one begins with the brokers of the configuration and the positions of Postgres. A consumer
            // may take long to close: that is done here, too.
            let read = open.read(&topic, &decoder, &wanted);
            read.map(|intake| (open, intake))
        });
        let read = reading.await.map_err(|error| error.to_string())?;
        let (open, intake) =
            read.map_err(|error| format!("{} cannot be read: {error}", self.topic))?;
        self.open = Some(open);
        Ok(intake)
    }

    fn connect(&self) -> Result<BaseConsumer, String> {
        client::base(&self.kafka)
            // It never joins it, but librdkafka wants one for a consumer.
            .set("group.id", &self.kafka.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("queued.max.messages.kbytes", PREFETCH)
            .create()
            .map_err(|error| refusal::of_client(&error))
    }
}

impl Open {
    fn read(
        &mut self,
        topic: &Arc<str>,
        decoder: &LabelDecoder,
        positions: &BTreeMap<i32, i64>,
    ) -> Result<LabelIntake, KafkaError> {
        self.stand(topic, positions)?;
        let mut intake = LabelIntake::default();
        let (begun, mut bytes) = (Instant::now(), 0);
        for _ in 0..MOST {
            let Some(polled) = self.consumer.poll(PAUSE) else {
                break;
            };
            let record = polled?;
            let next = self.next.entry(record.partition()).or_default();
            // After an offset that is gone, librdkafka begins anew: what has been counted is not counted again.
            if record.offset() >= *next {
                *next = record.offset() + 1;
                take(&mut intake, decoder, &record);
            }
            bytes += record.payload_len();
            if begun.elapsed() > LONGEST || bytes > MOST_BYTES {
                intake.more = true;
                break;
            }
        }
        let moved = |(partition, next): (&i32, &i64)| {
            let is_new = positions.get(partition).is_none_or(|held| next > held);
            let place = TopicPartition {
                topic: Arc::clone(topic),
                partition: *partition,
            };
            (is_new && *next > 0).then_some((place, *next))
        };
        intake.more |= intake.labels.len() + intake.rejected.len() >= MOST;
        intake.next = self.next.iter().filter_map(moved).collect();
        Ok(intake)
    }

    /// Stands at the positions in every partition that there is now.
    fn stand(&mut self, topic: &str, positions: &BTreeMap<i32, i64>) -> Result<(), KafkaError> {
        let metadata = self.consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        if let Some(error) = found.and_then(|found| found.error()) {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        let partitions = found.iter().flat_map(|found| found.partitions());
        let next: BTreeMap<i32, i64> = partitions
            .map(|partition| {
                let id = partition.id();
                (id, positions.get(&id).copied().unwrap_or(0))
            })
            .collect();
        if next == self.next {
            return Ok(());
        }
        let mut places = TopicPartitionList::new();
        for (partition, next) in &next {
            let offset = match next {
                0 => Offset::Beginning,
                next => Offset::Offset(*next),
            };
            places.add_partition_offset(topic, *partition, offset)?;
        }
        self.consumer.assign(&places)?;
        self.next = next;
        Ok(())
    }
}

fn take(intake: &mut LabelIntake, decoder: &LabelDecoder, record: &BorrowedMessage<'_>) {
    let kafka_time = record
        .timestamp()
        .to_millis()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or_else(Utc::now);
    match decoder.decode(record.payload(), kafka_time) {
        Ok(label) => intake.labels.push(label),
        Err((reason, detail)) => intake.rejected.push(RejectedLabel {
            reason,
            detail: format!(
                "{}[{}]@{}: {detail}",
                record.topic(),
                record.partition(),
                record.offset()
            ),
            payload: record
                .payload()
                .map(|payload| payload[..payload.len().min(MOST_PAYLOAD)].to_vec()),
        }),
    }
}
