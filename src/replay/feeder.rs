//! Sending posts into a topic, and knowing what arrived.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::error::ReplayError;
use super::post::Post;
use crate::reminder::Reminder;

/// Called for each acknowledged message with its partition, its offset and the number given to [`Feeder::send`].
pub type OnDelivery = Box<dyn Fn(i32, i64, usize) + Send + Sync>;

/// Options that a feed has unless they are given.
const DEFAULTS: [(&str, &str); 3] = [
    ("linger.ms", "5"),
    ("message.timeout.ms", "60000"),
    // What the broker takes is the broker's to say: the client's own limit of 1 MB would refuse long texts.
    ("message.max.bytes", "67108864"),
];
/// How often a full queue is looked at again.
const QUEUE_WAIT: Duration = Duration::from_millis(5);
/// After so long without an answer the client may have forgotten its brokers.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a broker may take to answer.
const REACH_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a topic may take to appear, and how often it is looked for.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(3);
const TOPIC_WAIT: Duration = Duration::from_millis(200);

/// What became of the messages handed to the producer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Handed over.
    pub sent: u64,
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// Refused, or not acknowledged in time.
    pub failed: u64,
    /// Why the first of them failed.
    pub first_error: Option<String>,
}

impl Deliveries {
    /// Whether everything sent has arrived.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.failed == 0 && self.delivered == self.sent
    }
}

/// An idempotent producer for one topic: each post arrives once, and in order within its partition.
pub struct Feeder {
    producer: ThreadedProducer<Counter>,
    topic: String,
    sent: AtomicU64,
    counter: Counter,
    reminder: Reminder,
}

#[derive(Clone)]
struct Counter(Arc<Counts>);

struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    first_error: Mutex<Option<String>>,
    on_delivery: Option<OnDelivery>,
}

impl Counts {
    fn fail(&self, error: &KafkaError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut first = self
            .first_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.to_string());
    }
}

impl ClientContext for Counter {}

impl ProducerContext for Counter {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(message) => {
                self.0.delivered.fetch_add(1, Ordering::Relaxed);
                if let Some(tell) = &self.0.on_delivery {
                    tell(message.partition(), message.offset(), number);
                }
            }
            Err((error, _)) => self.0.fail(error),
        }
    }
}

impl Feeder {
    /// Makes a producer for `topic` with the given client settings (at least `bootstrap.servers`).
    ///
    /// # Errors
    ///
    /// librdkafka refuses the settings.
    pub fn new(
        mut client: ClientConfig,
        topic: &str,
        on_delivery: Option<OnDelivery>,
    ) -> Result<Self, ReplayError> {
        client.set("enable.idempotence", "true");
        for (option, value) in DEFAULTS {
            if client.get(option).is_none() {
                client.set(option, value);
            }
        }
        let counter = Counter(Arc::new(Counts {
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            first_error: Mutex::new(None),
            on_delivery,
        }));
        let reminder = Reminder::new(&client);
        let producer = client
            .create_with_context(counter.clone())
            .map_err(ReplayError::Client)?;
        Ok(Self {
            producer,
            topic: topic.to_owned(),
            sent: AtomicU64::new(0),
            counter,
            reminder,
        })
    }

    /// Makes sure that the topic is there, before thousands of posts wait for it.
    ///
    /// # Errors
    ///
    /// [`ReplayError::NoTopic`] where it is not, or may not be seen; [`ReplayError::Unreachable`] where no broker answers.
    pub fn check(&self) -> Result<(), ReplayError> {
        let deadline = Instant::now() + TOPIC_TIMEOUT;
        loop {
            let metadata = self
                .producer
                .client()
                .fetch_metadata(Some(&self.topic), REACH_TIMEOUT)
                .map_err(ReplayError::Unreachable)?;
            let fault = metadata.topics().iter().find_map(MetadataTopic::error);
            let Some(fault) = fault.map(RDKafkaErrorCode::from) else {
                return Ok(());
            };
            // A broker that makes topics by itself needs a moment for it.
            if Instant::now() >= deadline {
                return Err(ReplayError::NoTopic {
                    topic: self.topic.clone(),
                    fault,
                });
            }
            std::thread::sleep(TOPIC_WAIT);
        }
    }

    /// Hands a post over, waiting while the producer's queue is full. `number` comes back in the delivery report.
    ///
    /// A post that the client refuses counts as failed.
    pub fn send(&self, post: &Post, number: usize) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.topic, number);
        if let Some(key) = &post.key {
            record = record.key(key);
        }
        if let Some(value) = &post.value {
            record = record.payload(value);
        }
        let begun = Instant::now();
        while let Err((error, back)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                self.counter.0.fail(&error);
                return;
            }
            std::thread::sleep(QUEUE_WAIT);
            if begun.elapsed() >= SILENCE {
                self.remind();
            }
            record = back;
        }
    }

    /// Waits until every post is acknowledged or has failed, at most `timeout`.
    ///
    /// # Errors
    ///
    /// The time was not enough; [`Feeder::deliveries`] then shows what is missing.
    pub fn flush(&self, timeout: Duration) -> Result<(), KafkaError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let flushed = self.producer.flush(left.min(SILENCE));
            if flushed.is_ok() || left <= SILENCE {
                return flushed;
            }
            self.remind();
        }
    }

    /// To be called where nothing has been delivered for some seconds: the client may have forgotten its brokers.
    pub fn remind(&self) {
        self.reminder.remind(self.producer.client());
    }

    /// The counts so far.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries {
        let counts = &self.counter.0;
        let first = counts
            .first_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Deliveries {
            // Read last, so that it is never smaller than what was counted of it.
            delivered: counts.delivered.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
            first_error: first.clone(),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }
}
