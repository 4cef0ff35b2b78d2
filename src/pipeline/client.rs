//! The settings every Kafka client of the service begins with.

use std::time::Duration;

use rdkafka::ClientConfig;

use super::Delivery;
use super::config::{BatchConfig, KafkaConfig, Start};

/// What every client needs: the brokers, then whatever `[kafka.client]` says.
#[must_use]
pub fn base(config: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &config.bootstrap_servers);
    client.set("client.id", format!("tidewatch-{}", config.instance_name()));
    for (option, value) in &config.client {
        client.set(option, value);
    }
    client
}

/// Most that librdkafka fetches ahead, in KiB, over all partitions.
const PREFETCH_KIB: &str = "16384";
/// Bytes of one partition in one fetch. A larger message comes through alone: a broker always sends the first one whole.
const FETCH_BYTES: &str = "131072";

/// The consumer of the input topics.
#[must_use]
pub(super) fn consumer(config: &KafkaConfig, batch: &BatchConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("queued.max.messages.kbytes", PREFETCH_KIB)
        // What is fetched ahead is consumed first: a partition taken over would wait for all of it.
        .set("queued.min.messages", batch.max_messages.to_string())
        .set("fetch.message.max.bytes", FETCH_BYTES)
        .set("fetch.queue.backoff.ms", "20")
        // A member learns of a rebalance by its heartbeat: what a drained one leaves is taken over as soon as that.
        .set("heartbeat.interval.ms", "500")
        .set("fetch.wait.max.ms", "100")
        // So that partitions that are added are soon found: their messages wait for it.
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("statistics.interval.ms", "2000");
    overlay(&mut client, &base(config), |option| !is_producers(option));
    client
        .set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Also what makes the client wait for an open transaction's offsets when it reads committed ones.
        .set("isolation.level", "read_committed")
        .set(
            "auto.offset.reset",
            match config.start {
                Start::Earliest => "earliest",
                Start::Latest => "latest",
            },
        );
    if config.static_membership {
        client.set("group.instance.id", config.instance_name());
    }
    client
}

/// How long a member may take between two polls.
pub(super) fn poll_interval(config: &KafkaConfig) -> Duration {
    // librdkafka's own default.
    const DEFAULT: u64 = 300_000;
    let value = config.client.get("max.poll.interval.ms");
    Duration::from_millis(
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or(DEFAULT),
    )
}

/// The option that bounds a transaction, and its value in milliseconds.
const TRANSACTION_TIMEOUT: (&str, &str) = ("transaction.timeout.ms", "15000");

/// How long a transaction may be open before the broker ends it.
pub(super) fn transaction_timeout(config: &KafkaConfig) -> Duration {
    let (option, default) = TRANSACTION_TIMEOUT;
    let value = config.client.get(option).map_or(default, String::as_str);
    Duration::from_millis(value.parse().unwrap_or(15_000))
}

/// The transactional producer of outcomes, for records of up to `max_record_bytes`.
#[must_use]
pub(super) fn producer(
    config: &KafkaConfig,
    max_record_bytes: usize,
    delivery: Delivery,
) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        // A transaction begins when all that goes into it is at hand, so it takes milliseconds. What a killed instance left
        // open holds up its successor for as long as this.
        .set(TRANSACTION_TIMEOUT.0, TRANSACTION_TIMEOUT.1)
        // No batch may be larger than what the topics take of a single record.
        .set("batch.size", max_record_bytes.min(1_000_000).to_string())
        // The client counts a record before compression and with its framing.
        .set(
            "message.max.bytes",
            (max_record_bytes + (1 << 16)).to_string(),
        );
    overlay(&mut client, &base(config), |option| !is_consumers(option));
    if delivery == Delivery::ExactlyOnce {
        client.set("transactional.id", transactional_id(config));
    }
    client
}

/// Whether an option is for producers only: a consumer warns of it.
fn is_producers(option: &str) -> bool {
    const PREFIXES: [&str; 8] = [
        "transaction",
        "linger.",
        "queue.buffering.",
        "batch.",
        "compression.",
        "delivery.",
        "message.timeout.",
        "sticky.",
    ];
    PREFIXES.iter().any(|prefix| option.starts_with(prefix))
}

/// Whether an option is for consumers only: a producer warns of it.
fn is_consumers(option: &str) -> bool {
    const PREFIXES: [&str; 6] = [
        "session.",
        "heartbeat.",
        "partition.assignment.",
        "max.poll.",
        "fetch.",
        "queued.m",
    ];
    PREFIXES.iter().any(|prefix| option.starts_with(prefix))
}

/// One for each instance, and the same after a restart: a forerunner that still runs is fenced.
pub(super) fn transactional_id(config: &KafkaConfig) -> String {
    format!("{}.{}", config.group, config.instance_name())
}

fn overlay(client: &mut ClientConfig, over: &ClientConfig, concerns: impl Fn(&str) -> bool) {
    for (&option, &value) in &over.config_map() {
        if concerns(option) {
            client.set(option, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config() -> KafkaConfig {
        KafkaConfig {
            bootstrap_servers: "127.0.0.1:1".into(),
            group: "g".into(),
            instance: "one".into(),
            static_membership: true,
            start: Start::Earliest,
            client: BTreeMap::from([("linger.ms".into(), "50".into())]),
        }
    }

    #[test]
    fn what_the_user_sets_goes_before_our_tuning_and_never_before_the_guarantees() {
        let mut config = config();
        config
            .client
            .insert("isolation.level".into(), "read_uncommitted".into());
        let batch = BatchConfig {
            max_delay_ms: 1,
            max_messages: 1,
            max_chunk_bytes: 1,
            max_tokens: 1,
            max_bytes: 1,
            tokenizer_threads: 1,
        };
        let consumer = consumer(&config, &batch);
        assert_eq!(consumer.get("isolation.level"), Some("read_committed"));
        assert_eq!(consumer.get("group.instance.id"), Some("one"));
        assert_eq!(consumer.get("linger.ms"), None, "it is a producer's");
        let producer = producer(&config, 1000, Delivery::ExactlyOnce);
        assert_eq!(producer.get("linger.ms"), Some("50"));
        assert_eq!(producer.get("transactional.id"), Some("g.one"));
    }
}
