//! The transactional producer: a chunk's records and offsets appear in Kafka together, or not at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer;

use super::Delivery;
use super::client;
use super::config::{KafkaConfig, OutputConfig};
use super::encode::Record;
use super::error::PipelineError;
use super::missing::{Absent, Missing};
use super::transaction::{
    Broken, Call, Deliveries, Patience, STEP, Step, StepError, Transaction, Transactor,
    asked_again, bounded, is_retriable, said, send,
};
use crate::record::Offsets;
use crate::refusal;
use crate::reminder::Reminder;
use crate::store::StoreError;

/// For bringing the producer back where nobody can wait: partitions are to be handed over, or the service drains.
const HASTE: Duration = Duration::from_secs(2);

/// A producer that has not opened after so many time-outs is made anew.
const OPENINGS: u32 = 3;

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
    topics: [String; 2],
    max_record_bytes: usize,
    delivery: Delivery,
    producer: Option<Arc<Transactor>>,
    /// The producer may begin transactions: whatever was open under its transactional id is resolved.
    is_open: bool,
    /// How often it has been asked to open, in vain.
    opening: u32,
    deliveries: Deliveries,
    missing: Missing,
    reminder: Reminder,
}

impl Outbox {
    pub(super) fn new(
        config: KafkaConfig,
        output: &OutputConfig,
        max_record_bytes: usize,
        delivery: Delivery,
    ) -> Self {
        let reminder = Reminder::new(&client::base(&config));
        Self {
            config,
            topics: [output.results.clone(), output.dead_letters.clone()],
            max_record_bytes,
            delivery,
            producer: None,
            is_open: false,
            opening: 0,
            deliveries: Deliveries::default(),
            missing: Missing::default(),
            reminder,
        }
    }

    /// Makes the producer ready: whatever a forerunner of this instance left open is resolved, and the forerunner fenced.
    pub(super) fn open(&mut self) -> Result<(&Arc<Transactor>, &Reminder), Failure> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                self.is_open = false;
                self.opening = 0;
                let settings = client::producer(&self.config, self.max_record_bytes, self.delivery);
                let made = settings.create_with_context(self.deliveries.clone());
                Arc::new(made.map_err(|error| {
                    Failure::Fatal(PipelineError::Client(refusal::of_client(&error)))
                })?)
            }
        };
        if !self.is_open && self.delivery == Delivery::ExactlyOnce {
            let init: Call = Arc::new(|producer: &Transactor| producer.init_transactions(STEP));
            match bounded(&producer, &init) {
                Ok(()) => {}
                Err(StepError::Hung) => return Err(hung(Step::Before)),
                Err(StepError::Kafka(error)) => {
                    // What has only not been answered goes on, and is asked for again by the same producer; but not for
                    // ever: the client may have lost the question with the broker that it was for.
                    self.opening += 1;
                    if is_retriable(&error) && self.opening < OPENINGS {
                        self.reminder.remind(producer.client());
                        self.producer = Some(producer);
                    }
                    return Err(self.judge(&error));
                }
            }
        }
        self.is_open = true;
        Ok((self.producer.insert(producer), &self.reminder))
    }

    /// Writes the records and commits the offsets, under the group's metadata, in one transaction. A step that does not
    /// answer is asked again as long as the patience lasts; it commits only what `confirm` confirms once the offsets are
    /// pending.
    pub(super) fn commit(
        &mut self,
        records: &[Record<'_>],
        offsets: &Offsets,
        metadata: &Arc<ConsumerGroupMetadata>,
        patience: &Patience<'_>,
        confirm: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), Failure> {
        self.deliveries.take();
        let deliveries = self.deliveries.clone();
        let (producer, reminder) = self.open()?;
        let transaction = Transaction {
            producer,
            reminder,
            deliveries: &deliveries,
            records,
            offsets,
            metadata,
        };
        let begun = Instant::now();
        let (step, error) = match transaction.run(patience, confirm) {
            Ok(()) => {
                self.missing = Missing::default();
                return Ok(());
            }
            Err(Broken::Unconfirmed(error)) => {
                self.abort(patience);
                return Err(Failure::Unconfirmed(error));
            }
            Err(Broken::Kafka(step, StepError::Hung)) => {
                self.producer = None;
                return Err(hung(step));
            }
            Err(Broken::Kafka(step, StepError::Kafka(error))) => (step, error),
        };
        let failure = self.judge_transaction(step, &error, begun.elapsed());
        let failure = self.look_for_topics(failure);
        let fatal = matches!(&error, KafkaError::Transaction(error) if error.is_fatal());
        if fatal || matches!(failure, Failure::Unknown(_)) {
            // A new producer of the same transactional id resolves what this one has left open, so that the committed
            // offsets can be read.
            self.producer = None;
        } else {
            self.abort(patience);
        }
        Err(failure)
    }

    /// Sends the records and waits until they are stored, with nothing that would hold after a crash.
    pub(super) fn send_unguarded(&mut self, records: &[Record<'_>]) -> Result<(), Failure> {
        self.deliveries.take();
        let (producer, _) = self.open()?;
        let sent = records.iter().try_for_each(|record| send(producer, record));
        let sent = sent.and_then(|()| producer.flush(STEP));
        match (sent, self.deliveries.take()) {
            (Ok(()), None) => Ok(()),
            (Err(error), _) | (Ok(()), Some(error)) => Err(self.judge(&error)),
        }
    }

    /// Brings the producer back to where a transaction can begin, or gives it up.
    fn abort(&mut self, patience: &Patience<'_>) {
        let step = if (patience.lasts)() { STEP } else { HASTE };
        let abort: Call = Arc::new(move |producer: &Transactor| producer.abort_transaction(step));
        if let Some(producer) = &self.producer
            && asked_again(producer, &self.reminder, patience, abort).is_err()
        {
            self.producer = None;
        }
    }

    /// Where an output topic is gone, a transaction fails in more than one way: this tells.
    fn look_for_topics(&mut self, failure: Failure) -> Failure {
        let (Failure::Later(_) | Failure::Unknown(_), Some(producer)) = (&failure, &self.producer)
        else {
            return failure;
        };
        self.missing.suspect();
        match (
            self.missing.look(producer.client(), self.topics.iter()),
            failure,
        ) {
            (Some(Absent::ForGood(said)), _) => Failure::Fatal(PipelineError::Output(format!(
                "{said} (or it was deleted); create it or correct [output]"
            ))),
            (Some(Absent::ForNow(said)), Failure::Later(_)) => Failure::Later(said),
            (_, failure) => failure,
        }
    }

    /// What an error says of the transaction that it broke at this step.
    fn judge_transaction(&self, step: Step, error: &KafkaError, took: Duration) -> Failure {
        let delivery = self.deliveries.take();
        let is_fenced = |error: &KafkaError| {
            matches!(
                error.rdkafka_error_code(),
                Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
            )
        };
        if (is_fenced(error) || delivery.as_ref().is_some_and(is_fenced))
            && took >= client::transaction_timeout(&self.config)
        {
            // Its own time-out ended the transaction, which looks as if another producer had.
            return Failure::Unknown(format!("the transaction took {} s", took.as_secs()));
        }
        match (step, delivery) {
            (Step::Before | Step::Offsets, Some(delivery)) => self.judge_delivery(&delivery, error),
            // The group's coordinator means the input.
            (Step::Offsets, None) if is_unknown_topic(error) => {
                Failure::Later(format!("an input topic does not exist ({})", said(error)))
            }
            (Step::Before | Step::Offsets, None) => self.judge(error),
            // Also where the client asks for an abort: an earlier request to commit may have been heard, and only its
            // answer lost. To send the chunk again would be a guess.
            (Step::Commit, _) => match self.judge(error) {
                Failure::Later(said) | Failure::Generation(said) => Failure::Unknown(said),
                certain => certain,
            },
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
            _ => Failure::Later(said),
        }
    }
}

/// What it means that a step has never returned. The producer that comes next ends whatever it has left open.
fn hung(step: Step) -> Failure {
    let said = "the Kafka client has not come back from a step of the transaction".to_owned();
    match step {
        Step::Before | Step::Offsets => Failure::Later(said),
        Step::Commit => Failure::Unknown(said),
    }
}

fn is_unknown_topic(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
    )
}
