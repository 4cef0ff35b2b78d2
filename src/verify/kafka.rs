//! What is asked of Kafka, without joining the group and without changing anything.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, Timestamp, TopicPartitionList};

use super::error::VerifyError;
use crate::pipeline::client;
use crate::pipeline::config::KafkaConfig;
use crate::refusal;

/// For one request. The group's offsets wait for an open transaction, so it is longer than one of the service's may last.
const REQUEST: Duration = Duration::from_secs(30);
/// For answers, while a broker starts or a coordinator moves.
const RETRIES: Duration = Duration::from_secs(60);
/// For the next record of those that are there, and for the end of a transaction.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Ends are no errors.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(Code::PartitionEOF) {
            tracing::warn!("{error}: {reason}");
        }
    }
}

impl ConsumerContext for Quiet {}

/// The offsets of a topic's partitions that are to be read.
pub(super) type Spans = BTreeMap<i32, Range<i64>>;

/// Clients of the brokers.
pub(super) struct Kafka {
    settings: ClientConfig,
    /// Sees what is committed, offsets included.
    committed: BaseConsumer<Quiet>,
    /// Sees everything.
    all: BaseConsumer<Quiet>,
}

impl Kafka {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, VerifyError> {
        let mut settings = ClientConfig::new();
        settings
            // The end of a partition is told when a broker has waited so long for more.
            .set("fetch.wait.max.ms", "20")
            // A message that is fetched ahead costs the client some hundred bytes beside its own, and much is compressed. So little
            // is fetched at a time, and more as soon as there is room.
            .set("fetch.message.max.bytes", "262144")
            .set("fetch.max.bytes", "4194304")
            .set("queued.min.messages", "20000")
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.queue.backoff.ms", "2");
        for (&option, &value) in &client::base(config).config_map() {
            settings.set(option, value);
        }
        settings
            .set("client.id", "tidewatch-verify")
            .set("group.id", &config.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            // Retention may take the beginning while we read.
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed");
        let client = |settings: &ClientConfig| {
            settings
                .create_with_context(Quiet)
                .map_err(|error| VerifyError::Client(refusal::of_client(&error)))
        };
        let committed = client(&settings)?;
        let mut uncommitted = settings.clone();
        uncommitted.set("isolation.level", "read_uncommitted");
        Ok(Self {
            committed,
            all: client(&uncommitted)?,
            settings,
        })
    }

    /// How many partitions a topic has.
    pub(super) fn partitions(&self, topic: &str) -> Result<i32, VerifyError> {
        let count = patiently("the brokers do not answer", || {
            let metadata = self.committed.fetch_metadata(Some(topic), REQUEST)?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            match found.map(|found| (found.error().map(Code::from), found.partitions().len())) {
                None | Some((Some(Code::UnknownTopicOrPartition), _)) => Ok(0),
                Some((Some(error), _)) => Err(KafkaError::MetadataFetch(error)),
                Some((None, count)) => Ok(count),
            }
        })?;
        match count {
            0 => Err(VerifyError::NoTopic {
                topic: topic.to_owned(),
            }),
            count => Ok(i32::try_from(count).unwrap_or(i32::MAX)),
        }
    }

    /// The first offset of a partition and the one after the last that can be read.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64), VerifyError> {
        bounds(&self.committed, topic, partition)
    }

    /// As [`Kafka::bounds`], but not before everything can be read that stands there now: whoever was told that a
    /// transaction is committed may be told so a moment before all partitions show it.
    pub(super) fn settled_bounds(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<(i64, i64), VerifyError> {
        let (_, stored) = bounds(&self.all, topic, partition)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (first, readable) = self.bounds(topic, partition)?;
            if readable >= stored {
                return Ok((first, readable));
            }
            if Instant::now() > deadline {
                return Err(VerifyError::Open {
                    topic: topic.to_owned(),
                    seconds: PATIENCE.as_secs(),
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The offsets that the group has committed for the partitions of a topic. Those of a transaction that is being
    /// committed are waited for.
    pub(super) fn group_offsets(
        &self,
        topic: &str,
        partitions: i32,
    ) -> Result<Vec<Option<i64>>, VerifyError> {
        let what = "the group's committed offsets";
        let mut wanted = TopicPartitionList::new();
        for partition in 0..partitions {
            wanted.add_partition(topic, partition);
        }
        patiently(what, || {
            let found = self.committed.committed_offsets(wanted.clone(), REQUEST)?;
            offsets(&found, topic, partitions)
        })
    }

    /// For each partition of a topic the offset of its first message of this time or later, if there is one.
    pub(super) fn offsets_at(
        &self,
        topic: &str,
        partitions: i32,
        time: DateTime<Utc>,
    ) -> Result<Vec<Option<i64>>, VerifyError> {
        let what = || format!("the offsets of {topic} at {time}");
        let mut wanted = TopicPartitionList::new();
        for partition in 0..partitions {
            wanted
                .add_partition_offset(topic, partition, Offset::Offset(time.timestamp_millis()))
                .map_err(VerifyError::kafka(what()))?;
        }
        patiently(&what(), || {
            let found = self.committed.offsets_for_times(wanted.clone(), REQUEST)?;
            offsets(&found, topic, partitions)
        })
    }

    /// For how long a topic is kept, if it is kept by time alone and we may know it.
    pub(super) async fn kept_for(&self, topic: &str) -> Option<TimeDelta> {
        let admin: AdminClient<Quiet> = self.settings.create_with_context(Quiet).ok()?;
        let options = AdminOptions::new().request_timeout(Some(REQUEST));
        let topic = ResourceSpecifier::Topic(topic);
        let answer = admin.describe_configs([&topic], &options).await.ok()?;
        let config = answer.into_iter().next()?.ok()?;
        let value = |name: &str| config.get(name)?.value.as_deref();
        let milliseconds: i64 = value("retention.ms")?.parse().ok()?;
        let by_time = value("retention.bytes") == Some("-1") && milliseconds >= 0;
        by_time
            .then(|| TimeDelta::try_milliseconds(milliseconds))
            .flatten()
    }

    /// Hands over the committed records in these spans of a topic, in order within each partition, until the last or as long as
    /// they are wanted.
    pub(super) fn read(
        &self,
        topic: &str,
        spans: &Spans,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()>,
    ) -> Result<(), VerifyError> {
        // A client of its own: nothing of an earlier reading can come through.
        let consumer: BaseConsumer<Quiet> = self
            .settings
            .create_with_context(Quiet)
            .map_err(|error| VerifyError::Client(refusal::of_client(&error)))?;
        let what = || format!("{topic} cannot be read");
        let mut open: BTreeMap<i32, Range<i64>> = spans
            .iter()
            .filter(|(_, span)| !span.is_empty())
            .map(|(&partition, span)| (partition, span.clone()))
            .collect();
        let mut places = TopicPartitionList::new();
        for (&partition, span) in &open {
            places
                .add_partition_offset(topic, partition, Offset::Offset(span.start))
                .map_err(VerifyError::kafka(what()))?;
        }
        consumer
            .assign(&places)
            .map_err(VerifyError::kafka(what()))?;
        let mut quiet_since = Instant::now();
        let mut last_error = None;
        while !open.is_empty() {
            let ended = match consumer.poll(Duration::from_secs(1)) {
                Some(Ok(message)) => {
                    quiet_since = Instant::now();
                    let partition = message.partition();
                    let Some(span) = open.get_mut(&partition) else {
                        continue;
                    };
                    // After a reset the client may begin anew.
                    if message.offset() < span.start {
                        continue;
                    }
                    span.start = message.offset() + 1;
                    if message.offset() < span.end && each(&message).is_break() {
                        return Ok(());
                    }
                    (span.start >= span.end).then_some(partition)
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => Some(partition),
                Some(Err(error)) => {
                    last_error = Some(error);
                    None
                }
                None => None,
            };
            if let Some(partition) = ended {
                open.remove(&partition);
                let mut done = TopicPartitionList::new();
                done.add_partition(topic, partition);
                consumer.pause(&done).map_err(VerifyError::kafka(what()))?;
            }
            if quiet_since.elapsed() > PATIENCE {
                return Err(VerifyError::Unread {
                    topic: topic.to_owned(),
                    seconds: PATIENCE.as_secs(),
                    last: last_error.map_or_else(|| "none".to_owned(), |error| error.to_string()),
                });
            }
        }
        Ok(())
    }
}

/// Asks again for a while: a broker may be starting, a coordinator moving.
fn patiently<T>(what: &str, ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, VerifyError> {
    let deadline = Instant::now() + RETRIES;
    loop {
        match ask() {
            Err(error) if Instant::now() < deadline && may_pass(&error) => {
                std::thread::sleep(PAUSE);
            }
            answer => return answer.map_err(VerifyError::kafka(what)),
        }
    }
}

/// Whether waiting may help.
fn may_pass(error: &KafkaError) -> bool {
    !matches!(
        error.rdkafka_error_code(),
        Some(
            Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::SaslAuthenticationFailed
                | Code::Authentication
        )
    )
}

fn bounds(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), VerifyError> {
    patiently(&format!("the ends of {topic}"), || {
        consumer.fetch_watermarks(topic, partition, REQUEST)
    })
}

/// The offsets that were answered, by partition.
fn offsets(
    found: &TopicPartitionList,
    topic: &str,
    partitions: i32,
) -> Result<Vec<Option<i64>>, KafkaError> {
    (0..partitions)
        .map(|partition| {
            let Some(element) = found.find_partition(topic, partition) else {
                return Ok(None);
            };
            element.error()?;
            Ok(match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            })
        })
        .collect()
}

/// Kafka's time of a record; where it has none, or one that nobody can represent, 1970.
#[must_use]
pub fn time(message: &BorrowedMessage<'_>) -> DateTime<Utc> {
    let milliseconds = match message.timestamp() {
        Timestamp::CreateTime(milliseconds) | Timestamp::LogAppendTime(milliseconds) => {
            milliseconds
        }
        Timestamp::NotAvailable => 0,
    };
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}
