//! What can be asked of Kafka without reading, writing or joining anything.

mod outputs;
mod transactions;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::report::Line;
use crate::config::Config;
use crate::pipeline::client;
use crate::pipeline::config::KafkaConfig;
use crate::refusal;

const PART: &str = "kafka";

/// For each question.
const PATIENCE: Duration = Duration::from_secs(10);

/// Remembers what the client says went wrong, which its errors leave out.
#[derive(Debug, Default)]
struct Listener {
    last: Mutex<Option<String>>,
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, _facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Emerg, Error};
        if matches!(level, Emerg | Alert | Critical | Error) {
            // Of `[thrd:…]: host:port/1: Connect to … failed` the part after the thread's name.
            let said = message.split_once("]: ").map_or(message, |(_, said)| said);
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(said.to_owned());
        }
    }

    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Listener {}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Asks everything; blocks for as long as Kafka takes to answer, inside a Tokio runtime.
pub(super) fn check(config: &Config) -> Vec<Line> {
    let kafka = &config.kafka;
    let mut settings = client::base(kafka);
    settings
        .set("group.id", &kafka.group)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true");
    let consumer: BaseConsumer<Listener> = match settings.create_with_context(Listener::default()) {
        Ok(consumer) => consumer,
        Err(error) => return vec![Line::fault(PART, refusal::of_client(&error))],
    };
    let mut lines = vec![connection(&consumer, kafka)];
    if !lines.iter().all(Line::is_ok) {
        // Nothing else would be answered.
        return lines;
    }

    let mut readable = Vec::new();
    for input in &config.input {
        match partitions(&consumer, &input.topic) {
            Ok(partitions) => {
                lines.push(Line::ok(
                    PART,
                    format!(
                        "input {}: {}",
                        input.topic,
                        count(partitions.len(), "partition")
                    ),
                ));
                readable.push((&*input.topic, partitions.len()));
            }
            Err(fault) => lines.push(Line::fault(PART, fault.sentence(&input.topic, kafka))),
        }
    }
    lines.extend(reading(&consumer, kafka, &readable));

    if !config.labels.topic.is_empty() {
        lines.push(labels(&consumer, kafka, &config.labels.topic));
    }

    let mut writable = Vec::new();
    for topic in [&*config.output.results, &*config.output.dead_letters] {
        match partitions(&consumer, topic) {
            Ok(partitions) => writable.push((topic, partitions)),
            Err(fault) => lines.push(Line::fault(PART, fault.sentence(topic, kafka))),
        }
    }
    lines.extend(outputs::check(config, &writable));
    let told = [
        (config.drift.enabled, &*config.drift.reports),
        (config.alerts.enabled, &*config.alerts.topic),
    ];
    for (_, topic) in told
        .into_iter()
        .filter(|(on, topic)| *on && !topic.is_empty())
    {
        match partitions(&consumer, topic) {
            Ok(partitions) => lines.extend(outputs::check_told(config, topic, &partitions)),
            Err(fault) => lines.push(Line::fault(PART, fault.sentence(topic, kafka))),
        }
    }
    lines.push(transactions::check(kafka));
    lines
}

fn connection(consumer: &BaseConsumer<Listener>, kafka: &KafkaConfig) -> Line {
    let servers = &kafka.bootstrap_servers;
    // Any topic will do; a name that cannot exist keeps the answer small.
    match consumer.fetch_metadata(Some("tidewatch check"), PATIENCE) {
        Ok(metadata) => Line::ok(
            PART,
            format!("{servers}: {}", count(metadata.brokers().len(), "broker")),
        ),
        Err(error) => {
            // Makes the client hand over what it has to say.
            let _ = consumer.poll(Duration::ZERO);
            let said = consumer
                .context()
                .last
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            Line::fault(
                PART,
                format!(
                    "{servers} does not answer ({}): start it, correct [kafka] bootstrap_servers, or give [kafka.client] the \
                     security settings it asks for",
                    said.unwrap_or_else(|| error.to_string())
                ),
            )
        }
    }
}

/// Why a topic cannot be used.
enum TopicFault {
    Missing,
    Forbidden,
    Other(String),
}

impl TopicFault {
    fn of(code: Code) -> Self {
        match code {
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                Self::Missing
            }
            Code::TopicAuthorizationFailed => Self::Forbidden,
            code => Self::Other(code.to_string()),
        }
    }

    fn sentence(&self, topic: &str, kafka: &KafkaConfig) -> String {
        match self {
            Self::Missing => format!(
                "the topic {topic} does not exist: create it with kafka-topics.sh --bootstrap-server {} --create --topic \
                 {topic} --partitions 6, or correct its name",
                kafka.bootstrap_servers
            ),
            Self::Forbidden => format!(
                "the topic {topic} is not open to this user: grant it READ and DESCRIBE on inputs, WRITE and DESCRIBE on outputs"
            ),
            Self::Other(problem) => format!(
                "the topic {topic} cannot be used now ({problem}): look at the brokers' logs"
            ),
        }
    }
}

/// How many replicas each partition of a topic has. A consumer never makes the broker create a topic by asking for it.
fn partitions(consumer: &BaseConsumer<Listener>, topic: &str) -> Result<Vec<usize>, TopicFault> {
    let metadata = consumer
        .fetch_metadata(Some(topic), PATIENCE)
        .map_err(|error| fault(&error))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Err(TopicFault::Missing);
    };
    match found.error() {
        Some(error) => Err(TopicFault::of(error.into())),
        None if found.partitions().is_empty() => Err(TopicFault::Missing),
        None => Ok(found
            .partitions()
            .iter()
            .map(|partition| partition.replicas().len())
            .collect()),
    }
}

fn fault(error: &KafkaError) -> TopicFault {
    match error.rdkafka_error_code() {
        Some(code) => TopicFault::of(code),
        None => TopicFault::Other(error.to_string()),
    }
}

/// All partitions of these topics, at the place where nothing is read that stands there already.
fn ends(topics: &[(&str, usize)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for &(topic, count) in topics {
        for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
            list.add_partition_offset(topic, partition, Offset::End)
                .expect("the end is an offset");
        }
    }
    list
}

/// Whether the inputs may be read, and the group's offsets.
fn reading(
    consumer: &BaseConsumer<Listener>,
    kafka: &KafkaConfig,
    topics: &[(&str, usize)],
) -> Vec<Line> {
    let wanted = ends(topics);
    if wanted.count() == 0 {
        return Vec::new();
    }
    let group = &kafka.group;
    let forbidden = |problem: &KafkaError| {
        Line::fault(
            PART,
            format!(
                "the group {group} cannot be used ({problem}): grant this user READ on it, or set [kafka] group to another"
            ),
        )
    };
    let mut lines = Vec::new();
    match stand_at(consumer, &wanted) {
        Ok(()) => {}
        Err(error) if error.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed) => {
            return vec![forbidden(&error)];
        }
        Err(error) => {
            let names: Vec<&str> = topics.iter().map(|&(topic, _)| topic).collect();
            lines.push(Line::fault(
                PART,
                format!(
                    "the input cannot be read ({error}): grant this user READ on {}, and look at the brokers' logs",
                    names.join(", ")
                ),
            ));
        }
    }
    lines.push(match consumer.committed_offsets(wanted, PATIENCE) {
        Ok(offsets) => {
            let committed =
                |place: &TopicPartitionListElem<'_>| matches!(place.offset(), Offset::Offset(_));
            let begun = offsets
                .elements()
                .iter()
                .filter(|place| committed(place))
                .count();
            Line::ok(
                PART,
                format!(
                    "group {group}: {begun} of {} have a committed offset",
                    count(offsets.count(), "partition")
                ),
            )
        }
        Err(error) => forbidden(&error),
    });
    lines
}

/// Whether the topic of labels may be read; its positions stand in Postgres.
fn labels(consumer: &BaseConsumer<Listener>, kafka: &KafkaConfig, topic: &str) -> Line {
    let partitions = match partitions(consumer, topic) {
        Ok(partitions) => partitions.len(),
        Err(fault) => return Line::fault(PART, fault.sentence(topic, kafka)),
    };
    match stand_at(consumer, &ends(&[(topic, partitions)])) {
        Ok(()) => Line::ok(
            PART,
            format!("labels {topic}: {}", count(partitions, "partition")),
        ),
        Err(error) => Line::fault(
            PART,
            format!(
                "the labels cannot be read ({error}): grant this user READ on {topic}, and look at the brokers' logs"
            ),
        ),
    }
}

/// Stands at these places for a moment: whether a topic may be read shows nowhere else.
fn stand_at(
    consumer: &BaseConsumer<Listener>,
    places: &TopicPartitionList,
) -> Result<(), KafkaError> {
    consumer.assign(places)?;
    let deadline = Instant::now() + PATIENCE;
    let mut open = places.count();
    let result = loop {
        if open == 0 {
            break Ok(());
        }
        match consumer.poll(deadline.saturating_duration_since(Instant::now())) {
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => break Err(error),
            // Somebody writes to it, so there is something to read.
            Some(Ok(_)) => break Ok(()),
            None => break Err(KafkaError::MessageConsumption(Code::OperationTimedOut)),
        }
    };
    consumer.unassign()?;
    result
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
