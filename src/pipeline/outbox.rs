//! The transactional producer: a chunk's records and offsets appear in Kafka together, or not at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::Delivery;
use super::client;
use super::config::KafkaConfig;
use super::encode::Record;
use super::error::PipelineError;
use crate::fault;
use crate::record::Offsets;
use crate::refusal;
use crate::store::StoreError;

/// For each step of a transaction; the client retries within it.
const STEP: Duration = Duration::from_secs(10);
/// A step whose time ran out is asked again so often: its result is unknown until it answers.
const ASKS: u32 = 6;
/// Between two looks at a full queue.
const QUEUE_WAIT: Duration = Duration::from_millis(2);

/// Why a transaction is not known to have committed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of it is visible. The group has moved on: newer metadata may do, if the partitions are still owned.
    Generation(String),
    /// Nothing of it is visible. It may work later.
    Later(String),
    /// It may have committed. Only the committed offsets tell: the chunk must be read again from there, never sent again.
    Unknown(String),
    /// Nothing of it is visible: it was given up since Postgres did not confirm the epochs.
    Unconfirmed(StoreError),
    /// It never will.
    Fatal(PipelineError),
}

/// The producer, made anew where it can no longer be used.
pub(super) struct Outbox {
    config: KafkaConfig,
    max_record_bytes: usize,
    delivery: Delivery,
    producer: Option<ThreadedProducer<Deliveries>>,
    deliveries: Deliveries,
}

/// Keeps the first error of a delivery: the transaction's own only says that there was one.
#[derive(Clone, Default)]
pub(super) struct Deliveries(Arc<Mutex<Option<KafkaError>>>);

impl Deliveries {
    fn take(&self) -> Option<KafkaError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.clone());
        }
    }
}

/// How far a transaction came.
enum Broken {
    /// It had not been asked to commit.
    Before(KafkaError),
    /// It was not, since the epochs were not confirmed.
    Unconfirmed(StoreError),
    /// It had.
    Commit(KafkaError),
}

impl Outbox {
    pub(super) fn new(config: KafkaConfig, max_record_bytes: usize, delivery: Delivery) -> Self {
        Self {
            config,
            max_record_bytes,
            delivery,
            producer: None,
            deliveries: Deliveries::default(),
        }
    }

    /// Makes the producer ready: whatever a forerunner of this instance left open is resolved, and the forerunner fenced.
    pub(super) fn open(&mut self) -> Result<&ThreadedProducer<Deliveries>, Failure> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                let producer: ThreadedProducer<Deliveries> =
                    client::producer(&self.config, self.max_record_bytes, self.delivery)
                        .create_with_context(self.deliveries.clone())
                        .map_err(|error| {
                            Failure::Fatal(PipelineError::Client(refusal::of_client(&error)))
                        })?;
                if self.delivery == Delivery::ExactlyOnce {
                    producer
                        .init_transactions(STEP)
                        .map_err(|error| self.judge(&error))?;
                }
                producer
            }
        };
        Ok(self.producer.insert(producer))
    }

    /// Writes the records and commits the offsets, under the group's metadata, in one transaction. A step that does not
    /// answer is asked again as long as `patient` says so; it commits only what `confirm` confirms once the offsets are
    /// pending.
    pub(super) fn commit(
        &mut self,
        records: &[Record<'_>],
        offsets: &Offsets,
        metadata: &ConsumerGroupMetadata,
        patient: impl Fn() -> bool,
        confirm: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), Failure> {
        self.deliveries.take();
        let producer = self.open()?;
        let begun = Instant::now();
        let done = transact(producer, records, offsets, metadata, &patient, confirm);
        let (error, asked) = match done {
            Ok(()) => return Ok(()),
            Err(Broken::Unconfirmed(error)) => {
                self.abort(&patient);
                return Err(Failure::Unconfirmed(error));
            }
            Err(Broken::Before(error)) => (error, false),
            Err(Broken::Commit(error)) => (error, true),
        };
        let failure = self.judge_transaction(&error, asked, begun.elapsed());
        match &failure {
            // A new producer of the same transactional id resolves what this one has left open, so that the committed
            // offsets can be read.
            Failure::Unknown(_) => {
                self.producer = None;
                if let Err(failure) = self.open() {
                    tracing::debug!("the producer is not open again yet: {failure:?}");
                }
            }
            _ if matches!(&error, KafkaError::Transaction(error) if error.is_fatal()) => {
                self.producer = None;
            }
            _ => self.abort(&patient),
        }
        Err(failure)
    }

    /// Sends the records and waits until they are stored, with nothing that would hold after a crash.
    pub(super) fn send_unguarded(&mut self, records: &[Record<'_>]) -> Result<(), Failure> {
        self.deliveries.take();
        let producer = self.open()?;
        let sent = records.iter().try_for_each(|record| send(producer, record));
        let sent = sent.and_then(|()| producer.flush(STEP));
        match (sent, self.deliveries.take()) {
            (Ok(()), None) => Ok(()),
            (Err(error), _) | (Ok(()), Some(error)) => Err(self.judge(&error)),
        }
    }

    /// Brings the producer back to where a transaction can begin, or gives it up.
    fn abort(&mut self, patient: &impl Fn() -> bool) {
        if let Some(producer) = &self.producer
            && asked_again(patient, || producer.abort_transaction(STEP)).is_err()
        {
            self.producer = None;
        }
    }

    /// What an error says of a transaction that had been asked to commit, or had not.
    fn judge_transaction(&self, error: &KafkaError, asked: bool, took: Duration) -> Failure {
        let fenced = matches!(
            error.rdkafka_error_code(),
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
        );
        if fenced && took >= client::transaction_timeout(&self.config) {
            // Its own time-out ended the transaction, which looks as if another producer had.
            return Failure::Unknown(format!("the transaction took {} s", took.as_secs()));
        }
        let aborts = matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort());
        if asked && !aborts && !fenced {
            return Failure::Unknown(said(error));
        }
        match self.deliveries.take() {
            Some(delivery) => self.judge_delivery(&delivery, error),
            None => self.judge(error),
        }
    }

    /// What a delivery's error says of the transaction that it broke.
    fn judge_delivery(&self, delivery: &KafkaError, error: &KafkaError) -> Failure {
        match delivery.rdkafka_error_code() {
            Some(
                code @ (Code::MessageSizeTooLarge
                | Code::InvalidRecord
                | Code::InvalidMessage
                | Code::PolicyViolation),
            ) => Failure::Fatal(PipelineError::Output(format!(
                "an output topic does not take a record ({code}); check its max.message.bytes, and that it is not compacted"
            ))),
            // The transaction ended first, for its own reason.
            Some(Code::PurgeQueue | Code::PurgeInflight) | None => self.judge(error),
            Some(_) => self.judge(delivery),
        }
    }

    fn judge(&self, error: &KafkaError) -> Failure {
        let said = said(error);
        match error.rdkafka_error_code() {
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

fn said(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => error.string(),
        error => error.to_string(),
    }
}

fn transact(
    producer: &ThreadedProducer<Deliveries>,
    records: &[Record<'_>],
    offsets: &Offsets,
    metadata: &ConsumerGroupMetadata,
    patient: &impl Fn() -> bool,
    confirm: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), Broken> {
    let before = || -> Result<(), KafkaError> {
        producer.begin_transaction()?;
        fault::point("transaction-begun");
        for record in records {
            send(producer, record)?;
        }
        fault::point("records-sent");
        let mut next = TopicPartitionList::new();
        for (partition, range) in &offsets.0 {
            let (topic, number) = (&*partition.topic, partition.partition);
            next.add_partition_offset(topic, number, Offset::Offset(range.end))?;
        }
        asked_again(patient, || {
            producer.send_offsets_to_transaction(&next, metadata, STEP)
        })
    };
    before().map_err(Broken::Before)?;
    fault::point("offsets-sent");
    confirm().map_err(Broken::Unconfirmed)?;
    fault::point("commit-asked");
    asked_again(patient, || producer.commit_transaction(STEP)).map_err(Broken::Commit)?;
    fault::point("committed");
    Ok(())
}

fn send(producer: &ThreadedProducer<Deliveries>, record: &Record<'_>) -> Result<(), KafkaError> {
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
fn asked_again(
    patient: &impl Fn() -> bool,
    mut step: impl FnMut() -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    let may_ask = |error: &RDKafkaError| error.is_retriable() && !error.txn_requires_abort();
    for _ in 1..ASKS {
        match step() {
            Err(KafkaError::Transaction(error)) if may_ask(&error) && patient() => {
                tracing::warn!("asking again about a step of the transaction: {error}");
            }
            result => return result,
        }
    }
    step()
}
