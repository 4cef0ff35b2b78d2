//! One Kafka transaction, step by step: its records, the offsets, the commit.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::encode::Record;
use crate::fault;
use crate::record::Offsets;
use crate::reminder::Reminder;
use crate::store::StoreError;

/// For each step of a transaction; the client retries within it.
pub(super) const STEP: Duration = Duration::from_secs(5);
/// A call that has not returned by then never will.
const HUNG: Duration = Duration::from_secs(15);
/// A step whose time ran out is asked again so often: its result is unknown until it answers.
const ASKS: u32 = 12;
/// Between two looks at a full queue.
const QUEUE_WAIT: Duration = Duration::from_millis(2);

/// The producer of transactions.
pub(super) type Transactor = ThreadedProducer<Deliveries>;

/// How long to go on asking a broker that does not answer.
pub(super) struct Patience<'a> {
    /// Whether it is worth to ask again.
    pub lasts: &'a dyn Fn() -> bool,
    /// Told what a step says that is not answered.
    pub waiting: &'a dyn Fn(&str),
}

/// What goes into one transaction.
pub(super) struct Transaction<'a> {
    pub producer: &'a Arc<Transactor>,
    pub reminder: &'a Reminder,
    pub deliveries: &'a Deliveries,
    pub records: &'a [Record<'a>],
    pub offsets: &'a Offsets,
    pub metadata: &'a Arc<ConsumerGroupMetadata>,
}

impl Transaction<'_> {
    /// Goes through with it, or tells how far it came. Once the offsets are pending and the broker has every record, it
    /// commits only if `confirm` does.
    pub(super) fn run(
        &self,
        patience: &Patience<'_>,
        confirm: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), Broken> {
        let at = |step| move |error| Broken::Kafka(step, error);
        let ask = |step| asked_again(self.producer, self.reminder, patience, step);
        let next = self
            .begin()
            .map_err(StepError::from)
            .map_err(at(Step::Before))?;
        let metadata = Arc::clone(self.metadata);
        ask(Arc::new(move |producer: &Transactor| {
            producer.send_offsets_to_transaction(&next, &metadata, STEP)
        }))
        .map_err(at(Step::Offsets))?;
        fault::point("offsets-sent");
        // The commit would do the same: as long as this has not ended, it is certain that nobody has asked for one.
        ask(Arc::new(flush)).map_err(at(Step::Before))?;
        if let Some(delivery) = self.deliveries.first() {
            return Err(Broken::Kafka(Step::Before, delivery.into()));
        }
        confirm().map_err(Broken::Unconfirmed)?;
        fault::point("commit-asked");
        ask(Arc::new(|producer: &Transactor| {
            producer.commit_transaction(STEP)
        }))
        .map_err(at(Step::Commit))?;
        fault::point("committed");
        Ok(())
    }

    /// Begins, and sends the records; returns the offsets that go with them.
    fn begin(&self) -> Result<TopicPartitionList, KafkaError> {
        self.producer.begin_transaction()?;
        fault::point("transaction-begun");
        for record in self.records {
            send(self.producer, record)?;
        }
        fault::point("records-sent");
        let mut next = TopicPartitionList::new();
        for (partition, range) in &self.offsets.0 {
            let (topic, number) = (&*partition.topic, partition.partition);
            next.add_partition_offset(topic, number, Offset::Offset(range.end))?;
        }
        Ok(next)
    }
}

/// Waits until the broker has every record.
fn flush(producer: &Transactor) -> Result<(), KafkaError> {
    let Err(waiting) = producer.flush(STEP) else {
        return Ok(());
    };
    // A transaction that the client has given up keeps its records back, and says why when it is asked for anything.
    match producer.begin_transaction() {
        Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
            Err(KafkaError::Transaction(error))
        }
        _ => Err(waiting),
    }
}

/// Keeps the first error of a delivery: the transaction's own only says that there was one.
#[derive(Clone, Default)]
pub(super) struct Deliveries(Arc<Mutex<Option<KafkaError>>>);

impl Deliveries {
    /// The first error since the last [`Deliveries::take`].
    fn first(&self) -> Option<KafkaError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn take(&self) -> Option<KafkaError> {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It had not been asked to commit.
    Before,
    /// The same, and the group's coordinator refused the offsets.
    Offsets,
    /// It had.
    Commit,
}

/// Why a step of a transaction has not gone through.
#[derive(Debug)]
pub(super) enum StepError {
    Kafka(KafkaError),
    /// The client's call has not returned long after its time was over: it may have lost the request with the broker that it
    /// was waiting for. The producer is of no more use, not even to be dropped.
    Hung,
}

impl From<KafkaError> for StepError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

/// Why a transaction has not committed, as far as is known.
pub(super) enum Broken {
    Kafka(Step, StepError),
    /// It was not asked to, since the epochs were not confirmed.
    Unconfirmed(StoreError),
}

/// Whether only time ran out, so that the same may be asked again.
pub(super) fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.txn_requires_abort(),
        KafkaError::Flush(code) => *code == Code::OperationTimedOut,
        _ => false,
    }
}

/// What the client says of it.
pub(super) fn said(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => error.string(),
        KafkaError::Flush(_) => "the broker has not taken every record".to_owned(),
        error => error.to_string(),
    }
}

pub(super) fn send(producer: &Transactor, record: &Record<'_>) -> Result<(), KafkaError> {
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

/// A step of a transaction: a call of the client that is given [`STEP`] to return.
pub(super) type Call = Arc<dyn Fn(&Transactor) -> Result<(), KafkaError> + Send + Sync>;

/// Repeats a step that the client says may be repeated: after a time-out its result is unknown until it answers.
pub(super) fn asked_again(
    producer: &Arc<Transactor>,
    reminder: &Reminder,
    patience: &Patience<'_>,
    step: Call,
) -> Result<(), StepError> {
    for _ in 1..ASKS {
        match bounded(producer, &step) {
            Err(StepError::Kafka(error)) if is_retriable(&error) => {
                let said = said(&error);
                (patience.waiting)(&said);
                reminder.remind(producer.client());
                if !(patience.lasts)() {
                    return Err(error.into());
                }
                tracing::warn!("asking again about a step of the transaction: {said}");
            }
            result => return result,
        }
    }
    bounded(producer, &step)
}

/// Makes a call in a thread of its own, and leaves it there when it does not return.
pub(super) fn bounded(producer: &Arc<Transactor>, call: &Call) -> Result<(), StepError> {
    let (tell, told) = mpsc::sync_channel(1);
    let (theirs, call) = (Arc::clone(producer), Arc::clone(call));
    let spawned = std::thread::Builder::new()
        .name("transaction".to_owned())
        .spawn(move || {
            // Nobody listens any more to what comes too late.
            let _ = tell.send(call(&theirs));
        });
    if let Err(error) = spawned {
        tracing::warn!("no thread for a step of the transaction: {error}");
        return Err(StepError::Hung);
    }
    match told.recv_timeout(HUNG) {
        Ok(result) => result.map_err(StepError::Kafka),
        Err(_) => Err(StepError::Hung),
    }
}
