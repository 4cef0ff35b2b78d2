//! Reading outcomes along while the demo runs.
//!
//! The embedded broker keeps only the latest of each partition, so whoever counts at the end finds too little: this reader
//! keeps up from the first message on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use serde::Deserialize;

use super::error::DemoError;
use super::tally::{Example, Outcome, Tally};
use super::window::Window;

/// How long the broker may take to show the next record of those that are there.
const RECOUNT_TIMEOUT: Duration = Duration::from_secs(30);

/// The topics that outcomes are read from, and how many partitions each has.
#[derive(Debug, Clone)]
pub struct OutcomeTopics {
    pub results: String,
    pub dead_letters: String,
    pub partitions: i32,
}

/// What a model has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    /// The message's own id.
    pub id: Option<String>,
    pub label: String,
    /// The version of the model.
    pub model: String,
}

/// A thread that reads every outcome; dropping it ends the thread.
pub struct Reader {
    tally: Arc<Mutex<Tally>>,
    times: Arc<Mutex<Option<(Instant, Instant)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Begins to read both topics from their beginnings, committed transactions only, making room in the window. Whoever
    /// listens hears the first result of each message.
    ///
    /// # Errors
    ///
    /// The client cannot be made.
    pub fn start(
        client: &ClientConfig,
        topics: OutcomeTopics,
        window: Arc<Window>,
        listener: Option<Sender<Scored>>,
    ) -> Result<Self, DemoError> {
        let both = [&*topics.results, &*topics.dead_letters];
        let consumer = consumer(client, &both, topics.partitions)?;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let times = Arc::new(Mutex::new(None));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name("demo-reader".into())
            .spawn({
                let (tally, times, stop) =
                    (Arc::clone(&tally), Arc::clone(&times), Arc::clone(&stop));
                move || {
                    read(
                        &consumer,
                        &topics,
                        &stop,
                        |place, outcome, scored| {
                            if !lock(&tally).see(place.partition, place.offset, outcome) {
                                return;
                            }
                            window.done(place.partition, place.offset);
                            let now = Instant::now();
                            let first = lock(&times).map_or(now, |(first, _)| first);
                            *lock(&times) = Some((first, now));
                            if let (Some(listener), Some(scored)) = (&listener, scored) {
                                // Whoever listens may have ended.
                                let _ = listener.send(scored);
                            }
                        },
                        || lock(&tally).unreadable += 1,
                    );
                }
            })
            .map_err(|source| DemoError::Thread { source })?;
        Ok(Self {
            tally,
            times,
            stop,
            thread: Some(thread),
        })
    }

    /// When the first and the last outcome of a message were read, if any was.
    #[must_use]
    pub fn times(&self) -> Option<(Instant, Instant)> {
        *lock(&self.times)
    }

    /// The counts so far.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the thread that reads the results had ended by a panic");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads both topics from their beginnings to their ends, as a second reader of committed transactions sees them.
/// Nothing may be writing to them.
///
/// # Errors
///
/// The broker does not answer.
pub fn recount(client: &ClientConfig, topics: &OutcomeTopics) -> Result<Tally, DemoError> {
    let mut tally = Tally::default();
    // One topic after the other: an end names its partition only.
    for topic in [&topics.results, &topics.dead_letters] {
        let consumer = consumer(client, &[topic], topics.partitions)?;
        // Kept by partition, since one may end more than once: a transaction's marker that comes late is another end.
        let mut open: BTreeSet<i32> = (0..topics.partitions).collect();
        while !open.is_empty() {
            match consumer.poll(RECOUNT_TIMEOUT) {
                Some(Ok(message)) => match outcome(&message, topics) {
                    Some((origin, outcome, _)) => {
                        tally.see(origin.partition, origin.offset, outcome);
                    }
                    None => tally.unreadable += 1,
                },
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => tracing::warn!("reading the results again: {error}"),
                None => {
                    return Err(DemoError::Unread {
                        topic: topic.clone(),
                        seconds: RECOUNT_TIMEOUT.as_secs(),
                    });
                }
            }
        }
    }
    Ok(tally)
}

/// Logs what the client reports, but not that it has come to an end for now.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!("reading the results: {error}: {reason}");
        }
    }
}

impl ConsumerContext for Quiet {}

/// A reader of every partition of the topics from its beginning.
fn consumer(
    client: &ClientConfig,
    topics: &[&str],
    partitions_each: i32,
) -> Result<BaseConsumer<Quiet>, DemoError> {
    let kafka = |source| DemoError::Kafka {
        what: "the results cannot be read",
        source,
    };
    let consumer: BaseConsumer<Quiet> = client
        .clone()
        .set("group.id", "tidewatch-demo-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "100")
        .create_with_context(Quiet)
        .map_err(kafka)?;
    let mut partitions = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..partitions_each {
            partitions
                .add_partition_offset(topic, partition, Offset::Beginning)
                .map_err(kafka)?;
        }
    }
    consumer.assign(&partitions).map_err(kafka)?;
    Ok(consumer)
}

/// Reads until `stop`; each outcome is taken with its message's place, and records without one are counted as unreadable.
fn read(
    consumer: &BaseConsumer<Quiet>,
    topics: &OutcomeTopics,
    stop: &AtomicBool,
    mut take: impl FnMut(Origin, Outcome, Option<Scored>),
    mut unreadable: impl FnMut(),
) {
    while !stop.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(100)) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => {}
            // librdkafka retries by itself; what stays wrong shows in the count at the end.
            Some(Err(error)) => tracing::warn!("reading the results: {error}"),
            Some(Ok(message)) => match outcome(&message, topics) {
                Some((origin, outcome, scored)) => take(origin, outcome, scored),
                None => unreadable(),
            },
        }
    }
}

#[derive(Deserialize)]
struct Origin {
    partition: i32,
    offset: i64,
}

/// The members of a result that the demo looks at.
#[derive(Deserialize)]
struct ResultBody {
    origin: Origin,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: String,
    label: String,
    #[serde(default)]
    probabilities: BTreeMap<String, f64>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
struct DeadLetterBody {
    origin: Origin,
    reason: String,
}

fn outcome(
    message: &BorrowedMessage<'_>,
    topics: &OutcomeTopics,
) -> Option<(Origin, Outcome, Option<Scored>)> {
    let payload = message.payload()?;
    if message.topic() == topics.dead_letters {
        let body: DeadLetterBody = serde_json::from_slice(payload).ok()?;
        return Some((
            body.origin,
            Outcome::DeadLetter {
                reason: body.reason,
            },
            None,
        ));
    }
    let body: ResultBody = serde_json::from_slice(payload).ok()?;
    let scored = Scored {
        id: body.id,
        label: body.label.clone(),
        model: body.model,
    };
    let example = Example {
        probability: body
            .probabilities
            .get(&body.label)
            .copied()
            .unwrap_or_default(),
        label: body.label,
        source: body.source.unwrap_or_default(),
        text: body.text.unwrap_or_default(),
    };
    Some((body.origin, Outcome::Result(example), Some(scored)))
}

#[cfg(test)]
mod tests {
    use super::super::EmbeddedBroker;
    use super::*;
    use crate::replay::{Feeder, Post};

    const RESULT: &str = r#"{"id":"a","text":"good","label":"positive","probabilities":{"negative":0.1,"positive":0.9},
        "source":"twitter","model":"m","origin":{"topic":"posts","partition":2,"offset":7}}"#;
    const DEAD: &str =
        r#"{"reason":"no_text","detail":"…","origin":{"topic":"posts","partition":2,"offset":8}}"#;

    #[test]
    fn outcomes_are_counted_as_they_come_and_make_room() {
        let broker = EmbeddedBroker::start().expect("the broker starts");
        for topic in ["results", "dead"] {
            broker.create_topic(topic, 2).expect("the topic is new");
        }
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", broker.bootstrap());
        let window = Arc::new(Window::new(100));
        assert!(window.enter(100, Duration::ZERO));
        window.delivered(2, 7, 60);
        window.delivered(2, 8, 40);
        let topics = OutcomeTopics {
            results: "results".into(),
            dead_letters: "dead".into(),
            partitions: 2,
        };
        let (sender, scored) = std::sync::mpsc::channel();
        let reader = Reader::start(&client, topics, Arc::clone(&window), Some(sender))
            .expect("the reader starts");

        let send = |topic: &str, value: &str| {
            let feeder = Feeder::new(client.clone(), topic, None).expect("the settings are right");
            let post = Post {
                key: None,
                value: Some(value.as_bytes().to_vec()),
                event_time: None,
            };
            feeder.send(&post, 0);
            feeder
                .flush(Duration::from_secs(10))
                .expect("the broker answers");
        };
        send("results", RESULT);
        send("results", RESULT);
        send("results", "no JSON");
        send("dead", DEAD);

        let deadline = Instant::now() + Duration::from_secs(20);
        let complete =
            |tally: &Tally| tally.committed() == 2 && tally.repeated == 1 && tally.unreadable == 1;
        while !complete(&reader.tally()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let tally = reader.tally().clone();
        assert!(complete(&tally), "{tally:?}");
        assert_eq!((tally.results(), tally.dead_letters()), (1, 1));
        assert_eq!((tally.labels["positive"], tally.reasons["no_text"]), (1, 1));
        assert_eq!(
            (tally.examples[0].probability, &*tally.examples[0].text),
            (0.9, "good")
        );
        assert!(
            window.enter(100, Duration::ZERO),
            "both outcomes have made room"
        );
        drop(reader);
        let heard: Vec<Scored> = scored.iter().collect();
        let result = Scored {
            id: Some("a".into()),
            label: "positive".into(),
            model: "m".into(),
        };
        assert_eq!(heard, [result], "a repeated result is heard once");
    }
}
