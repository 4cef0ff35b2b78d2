//! The transactional producer: a chunk's records and offsets appear in Kafka together, or not at all.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::client;
use super::config::KafkaConfig;
use super::encode::Record;
use super::error::PipelineError;
use crate::record::Offsets;

/// For each step of a transaction; the client retries within it.
const STEP: Duration = Duration::from_secs(15);
/// A step whose time ran out is asked again so often: its result is unknown until it answers.
const ASKS: u32 = 8;
/// Between two looks at a full queue.
const QUEUE_WAIT: Duration = Duration::from_millis(2);

/// Why a transaction did not commit. Nothing of it is visible to a `read_committed` reader in any case.
#[derive(Debug)]
pub(super) enum Failure {
    /// The group has moved on: newer metadata may do, if the partitions are still owned.
    Generation(String),
    /// It may work later.
    Later(String),
    /// It never will.
    Fatal(PipelineError),
}

/// The producer, made anew where it can no longer be used.
pub(super) struct Outbox {
    config: KafkaConfig,
    max_record_bytes: usize,
    producer: Option<ThreadedProducer<DefaultProducerContext>>,
}

impl Outbox {
    pub(super) fn new(config: KafkaConfig, max_record_bytes: usize) -> Self {
        Self {
            config,
            max_record_bytes,
            producer: None,
        }
    }

    /// Makes the producer ready: whatever a forerunner of this instance left open is aborted, and the forerunner fenced.
    pub(super) fn open(&mut self) -> Result<(), Failure> {
        if self.producer.is_some() {
            return Ok(());
        }
        let producer: ThreadedProducer<DefaultProducerContext> =
            client::producer(&self.config, self.max_record_bytes)
                .create()
                .map_err(|error| Failure::Fatal(PipelineError::Client(error)))?;
        match producer.init_transactions(STEP) {
            Ok(()) => {
                self.producer = Some(producer);
                Ok(())
            }
            Err(error) => Err(self.judge(&error)),
        }
    }

    /// Writes the records and commits the offsets, under the group's metadata, in one transaction.
    pub(super) fn commit(
        &mut self,
        records: &[Record<'_>],
        offsets: &Offsets,
        metadata: &ConsumerGroupMetadata,
    ) -> Result<(), Failure> {
        self.open()?;
        let Some(producer) = &self.producer else {
            return Err(Failure::Later("there is no producer".to_owned()));
        };
        let Err(error) = transact(producer, records, offsets, metadata) else {
            return Ok(());
        };
        let failure = self.judge(&error);
        self.clean_up(&error);
        Err(failure)
    }

    /// Brings the producer back to where a transaction can begin, or gives it up.
    fn clean_up(&mut self, error: &KafkaError) {
        let fatal = matches!(error, KafkaError::Transaction(error) if error.is_fatal());
        if !fatal
            && let Some(producer) = &self.producer
            && asked_again(|| producer.abort_transaction(STEP)).is_ok()
        {
            return;
        }
        // A new producer of the same transactional id first resolves what this one has left open.
        self.producer = None;
    }

    fn judge(&self, error: &KafkaError) -> Failure {
        let code = error.rdkafka_error_code();
        let said = match error {
            KafkaError::Transaction(error) => error.string(),
            error => error.to_string(),
        };
        match code {
            Some(
                Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::RebalanceInProgress
                | Code::FencedInstanceId,
            ) => Failure::Generation(said),
            Some(Code::Fenced | Code::ProducerFenced) => Failure::Fatal(PipelineError::Replaced {
                instance: self.config.instance_name(),
                transactional_id: client::transactional_id(&self.config),
            }),
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed,
            ) => Failure::Fatal(PipelineError::Output(format!(
                "Kafka refuses the right to it ({said}); allow this user to write the output topics, to read the group {} and to use the transactional id {}",
                self.config.group,
                client::transactional_id(&self.config)
            ))),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                Failure::Fatal(PipelineError::Output(format!(
                    "an output topic does not exist ({said}); create it or correct [output]"
                )))
            }
            _ => Failure::Later(said),
        }
    }
}

fn transact(
    producer: &ThreadedProducer<DefaultProducerContext>,
    records: &[Record<'_>],
    offsets: &Offsets,
    metadata: &ConsumerGroupMetadata,
) -> Result<(), KafkaError> {
    producer.begin_transaction()?;
    for record in records {
        send(producer, record)?;
    }
    let mut next = TopicPartitionList::new();
    for (partition, range) in &offsets.0 {
        next.add_partition_offset(
            &partition.topic,
            partition.partition,
            rdkafka::Offset::Offset(range.end),
        )?;
    }
    asked_again(|| producer.send_offsets_to_transaction(&next, metadata, STEP))?;
    asked_again(|| producer.commit_transaction(STEP))
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    record: &Record<'_>,
) -> Result<(), KafkaError> {
    let headers = record.headers.iter().fold(
        OwnedHeaders::new_with_capacity(record.headers.len()),
        |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(&value[..]),
            })
        },
    );
    let mut next = BaseRecord::<[u8], [u8]>::to(record.topic)
        .payload(&record.value[..])
        .headers(headers);
    if let Some(key) = &record.key {
        next = next.key(&key[..]);
    }
    while let Err((error, back)) = producer.send(next) {
        if error.rdkafka_error_code() != Some(Code::QueueFull) {
            return Err(error);
        }
        // A chunk may hold more than the client's queue; its own thread empties it meanwhile.
        std::thread::sleep(QUEUE_WAIT);
        next = back;
    }
    Ok(())
}

/// Repeats a step that the client says may be repeated: after a time-out its result is unknown until it answers.
fn asked_again(mut step: impl FnMut() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let may_ask = |error: &RDKafkaError| error.is_retriable() && !error.txn_requires_abort();
    for _ in 1..ASKS {
        match step() {
            Err(KafkaError::Transaction(error)) if may_ask(&error) => {
                tracing::warn!("asking again about a step of the transaction: {error}");
            }
            result => return result,
        }
    }
    step()
}
