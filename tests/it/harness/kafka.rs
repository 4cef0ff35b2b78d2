//! Topics of a test on a real Kafka.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use tidewatch::reminder::Reminder;

use super::{eventually, server, unique};

/// Room for a broker that is away for a while.
const LONG: Duration = Duration::from_secs(120);

/// A record as a `read_committed` consumer sees it.
#[derive(Debug, Clone)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.value.as_deref().unwrap_or_default())
            .expect("the value is JSON")
    }

    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| value.as_deref())
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// The topics of one test: an input, one for results and one for dead letters, and a group.
pub struct Kafka {
    pub bootstrap: String,
    pub input: String,
    pub results: String,
    pub dead_letters: String,
    pub group: String,
    /// Of the input.
    partitions: AtomicI32,
    producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
    reminder: Reminder,
}

impl Kafka {
    /// Creates the topics on the broker named by `KAFKA_BOOTSTRAP`; the input gets `partitions` partitions, as do the
    /// outputs.
    pub async fn new(partitions: i32) -> Self {
        Self::on(server("KAFKA_BOOTSTRAP"), partitions, 1).await
    }

    /// As [`Kafka::new`] on other brokers, each partition on `replication` of them.
    pub async fn on(bootstrap: impl Into<String>, partitions: i32, replication: i32) -> Self {
        let bootstrap = bootstrap.into();
        let run = unique("t");
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", &bootstrap)
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "9000000")
            .set("linger.ms", "5");
        let kafka = Self {
            input: format!("{run}.posts"),
            results: format!("{run}.results"),
            dead_letters: format!("{run}.dead"),
            group: format!("{run}.group"),
            partitions: AtomicI32::new(partitions),
            reminder: Reminder::new(&settings),
            producer: settings.create().expect("a producer can be made"),
            bootstrap,
        };
        let topics: Vec<_> = [&kafka.input, &kafka.results, &kafka.dead_letters]
            .into_iter()
            .map(|name| {
                NewTopic::new(name, partitions, TopicReplication::Fixed(replication))
                    .set("max.message.bytes", "10000000")
                    // Times are as wild as a test likes, and none of them makes a record old enough to be deleted.
                    .set("message.timestamp.after.max.ms", "9223372036854775807")
                    .set("retention.ms", "-1")
            })
            .collect();
        for result in kafka
            .admin()
            .create_topics(&topics, &patient())
            .await
            .expect("the broker answers")
        {
            result.expect("the topic is created");
        }
        kafka
    }

    /// Gives the input more partitions, `partitions` in all.
    pub async fn grow(&self, partitions: i32) {
        let all = usize::try_from(partitions).expect("there are some partitions");
        let wanted = NewPartitions::new(&self.input, all);
        for result in self
            .admin()
            .create_partitions([&wanted], &patient())
            .await
            .expect("the broker answers")
        {
            result.expect("the partitions are made");
        }
        eventually("the producer to know them", Duration::from_secs(30), || {
            let client = self.producer.client();
            let known = client.fetch_metadata(Some(&self.input), Duration::from_secs(5));
            (known.ok()?.topics()[0].partitions().len() == all).then_some(())
        });
        self.partitions.store(partitions, Ordering::Relaxed);
    }

    /// Deletes a topic.
    pub async fn delete(&self, topic: &str) {
        for result in self
            .admin()
            .delete_topics(&[topic], &patient())
            .await
            .expect("the broker answers")
        {
            result.expect("the topic is deleted");
        }
    }

    fn partitions(&self) -> i32 {
        self.partitions.load(Ordering::Relaxed)
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .expect("an admin client can be made")
    }

    /// Sends values to the input, spread over its partitions by their position; returns when all are stored.
    pub fn send(&self, values: impl IntoIterator<Item = Option<Vec<u8>>>) -> usize {
        let mut sent = 0;
        for value in values {
            let key = format!("key-{sent}");
            self.send_next(sent, key.as_bytes(), value.as_deref());
            sent += 1;
        }
        self.flush();
        sent
    }

    /// Queues the `number`th of many records for the input, spread over its partitions.
    pub fn send_next(&self, number: usize, key: &[u8], value: Option<&[u8]>) {
        let partition = i32::try_from(number).expect("few messages") % self.partitions();
        self.send_record(partition, Some(key), value);
    }

    /// Queues one record for the input.
    pub fn send_record(&self, partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) {
        loop {
            let mut record = BaseRecord::<[u8], [u8]>::to(&self.input).partition(partition);
            if let Some(key) = key {
                record = record.key(key);
            }
            if let Some(value) = value {
                record = record.payload(value);
            }
            match self.producer.send(record) {
                Ok(()) => return,
                Err((
                    KafkaError::MessageProduction(rdkafka::types::RDKafkaErrorCode::QueueFull),
                    _,
                )) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err((error, _)) => panic!("cannot send: {error}"),
            }
        }
    }

    /// Waits until everything queued is stored.
    pub fn flush(&self) {
        eventually("the broker to take everything", LONG, || {
            let flushed = self.producer.flush(Duration::from_secs(5));
            flushed.map_err(|_| self.remind()).ok()
        });
    }

    /// How many records are queued or on their way.
    pub fn queued(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// To be called where none of them has been taken for some seconds.
    pub fn remind(&self) {
        self.reminder.remind(self.producer.client());
    }

    /// Every record of the input, as it stands now.
    pub fn inputs(&self) -> Vec<Record> {
        self.read_committed(&self.input)
    }

    /// How many records the input has taken so far.
    pub fn stored(&self) -> i64 {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .expect("a consumer can be made");
        (0..self.partitions())
            .map(|partition| {
                consumer
                    .fetch_watermarks(&self.input, partition, Duration::from_secs(30))
                    .expect("the broker answers")
                    .1
            })
            .sum()
    }

    /// Every record of the results, as a `read_committed` consumer sees them now.
    pub fn results(&self) -> Vec<Record> {
        self.read_committed(&self.results)
    }

    /// Every dead letter, as a `read_committed` consumer sees them now.
    pub fn dead_letters(&self) -> Vec<Record> {
        self.read_committed(&self.dead_letters)
    }

    fn read_committed(&self, topic: &str) -> Vec<Record> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "unused")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .create()
            .expect("a consumer can be made");
        let mut assignment = TopicPartitionList::new();
        let partitions = self.partitions_of(&consumer, topic);
        for partition in 0..partitions {
            assignment
                .add_partition_offset(topic, partition, Offset::Beginning)
                .expect("the beginning is an offset");
        }
        consumer
            .assign(&assignment)
            .expect("partitions can be assigned");
        // A partition may end more than once: whatever is appended meanwhile, a marker even, is another end.
        let mut open: BTreeSet<i32> = (0..partitions).collect();
        let mut records = Vec::new();
        while !open.is_empty() {
            match consumer.poll(Duration::from_secs(30)) {
                Some(Ok(message)) => records.push(Record {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: message.headers().map_or_else(Vec::new, |headers| {
                        headers
                            .iter()
                            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                            .collect()
                    }),
                }),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => panic!("cannot read {topic}: {error}"),
                None => panic!("the end of {topic} was not reached in 30 s"),
            }
        }
        records
    }

    fn partitions_of(&self, consumer: &BaseConsumer, topic: &str) -> i32 {
        let metadata = consumer
            .fetch_metadata(Some(topic), Duration::from_secs(30))
            .expect("the broker answers");
        let partitions = metadata.topics()[0].partitions().len();
        i32::try_from(partitions).expect("few partitions")
    }

    /// The sum of the group's committed offsets over the input's partitions, as far as they are known. What a transaction has
    /// just committed may not be among it yet, but one that a killed instance has left open is not waited for.
    pub fn committed(&self) -> i64 {
        self.offsets("read_uncommitted")
    }

    /// As [`Kafka::committed`] once no transaction is open: whoever was told that one has committed may be told so a moment
    /// before its offsets show it.
    pub fn settled(&self) -> i64 {
        self.offsets("read_committed")
    }

    fn offsets(&self, isolation: &str) -> i64 {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", &self.group)
            .set("isolation.level", isolation)
            .create()
            .expect("a consumer can be made");
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions() {
            list.add_partition(&self.input, partition);
        }
        // A coordinator that has only just begun, or that moves, is not one for a moment.
        let committed = eventually("the coordinator", Duration::from_secs(60), || {
            consumer
                .committed_offsets(list.clone(), Duration::from_secs(30))
                .ok()
                .filter(|found| found.elements().iter().all(|found| found.error().is_ok()))
        });
        committed
            .elements()
            .iter()
            .map(|element| element.offset().to_raw().unwrap_or(0).max(0))
            .sum()
    }
}

/// Room for a broker that has much to do.
fn patient() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)))
}
