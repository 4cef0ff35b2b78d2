//! What Kafka holds beside the outcomes that belong there, what is under way, and what is not looked at.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use super::{Settled, clean, faults, posts};
use crate::harness::{Kafka, ServiceConfig, TestDatabase};

/// Puts a record into a partition of a topic.
fn put(kafka: &Kafka, topic: &str, value: &[u8]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .create()
        .unwrap();
    producer
        .send(
            BaseRecord::<(), [u8]>::to(topic)
                .partition(0)
                .payload(value),
        )
        .unwrap();
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// A result as somebody else might write it.
fn result(kafka: &Kafka, partition: i32, offset: i64) -> Vec<u8> {
    json!({"text": "x", "label": "positive", "probabilities": {"negative": 0.25, "neutral": 0.25, "positive": 0.5}, "model": "m",
           "tokens": 3, "truncated": false, "event_time": "2026-01-02T03:04:05.000Z",
           "origin": {"topic": kafka.input, "partition": partition, "offset": offset}})
    .to_string()
    .into_bytes()
}

/// Sets the group's offset of a partition, as an operator might.
pub(super) fn set_offset(kafka: &Kafka, partition: i32, offset: i64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("group.id", &kafka.group)
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(&kafka.input, partition, Offset::Offset(offset))
        .unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_says_twice_is_a_fault_that_no_repair_takes_away() {
    let settled = Settled::new(100).await;
    let kafka = &settled.kafka;
    let first = kafka.results()[0].json()["origin"].clone();
    let partition = i32::try_from(first["partition"].as_i64().unwrap()).unwrap();
    let offset = first["offset"].as_i64().unwrap();
    put(kafka, &kafka.results, &result(kafka, partition, offset));
    // What is no outcome, and what speaks of other messages, is told and no fault.
    put(kafka, &kafka.results, b"{}");
    put(kafka, &kafka.results, &result(kafka, 7, 0));
    put(
        kafka,
        &kafka.dead_letters,
        br#"{"reason":"no_text","origin":{"topic":"another","partition":0,"offset":0}}"#,
    );
    for arguments in [&[][..], &["--repair"]] {
        let (code, said) = settled.config.verify(arguments);
        assert_eq!((code, faults(&said)), (1, [0, 1, 0, 0, 0]), "{said}");
        let example = &said["examples"][0];
        assert_eq!(
            example["message"],
            json!(format!("{}[{partition}]@{offset}", kafka.input))
        );
        assert_eq!(example["kafka"].as_array().unwrap().len(), 2, "{said}");
        assert_eq!(example["postgres"].as_array().unwrap().len(), 1, "{said}");
    }
    let table = settled.config.run("verify", &[]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for words in [
        "unreadable                    1",
        "foreign outcomes              2",
        "IT DOES NOT ADD UP",
    ] {
        assert!(table.contains(words), "{table}");
    }
    // A dead letter and a result of one message are two outcomes as well.
    put(
        kafka,
        &kafka.dead_letters,
        json!({"reason": "no_text", "origin": kafka.results()[1].json()["origin"]})
            .to_string()
            .as_bytes(),
    );
    let (code, said) = settled.config.verify(&[]);
    assert_eq!((code, faults(&said)), (1, [0, 2, 0, 0, 0]), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_yet_is_told_and_an_outcome_of_it_is_a_fault() {
    let settled = Settled::new(100).await;
    let kafka = &settled.kafka;
    kafka.send(posts(20));
    let (code, said) = settled.config.verify(&["--wait-settled", "1"]);
    let mut expected = clean(100);
    expected["messages"] = json!(120);
    expected["unread"] = json!(20);
    assert_eq!((code, &said), (0, &expected));

    // A chunk that is about to be committed: its row is there before its result.
    let pool = settled.database.pool().await;
    sqlx::query(
        r#"INSERT INTO dead_letters ("offset", kafka_time, payload_bytes, "partition", topic, reason, detail)
           VALUES (52, now(), 0, 1, $1, 'no_text', 'by hand')"#,
    )
    .bind(&kafka.input)
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    expected["ahead"] = json!(1);
    assert_eq!(settled.config.verify(&[]), (0, expected));

    put(kafka, &kafka.results, &result(kafka, 0, 51));
    let (code, said) = settled.config.verify(&[]);
    assert_eq!((code, faults(&said)), (1, [1, 0, 0, 1, 0]), "{said}");
    assert_eq!(said["unread"], json!(19));

    // Offsets moved forward by hand pass over messages.
    set_offset(kafka, 1, 56);
    let (code, said) = settled.config.verify(&[]);
    assert_eq!((code, faults(&said)), (1, [7, 0, 0, 1, 0]), "{said}");
    let sides: Vec<_> = said["examples"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|example| example["fault"] == "lost")
        .map(|example| {
            (
                example["kafka"].as_array().unwrap().len(),
                example["postgres"].as_array().unwrap().len(),
            )
        })
        .collect();
    assert_eq!(sides, [(1, 0), (0, 0), (0, 0), (0, 1), (0, 0)], "{said}");
    // Nothing of this can be made from what Kafka holds, and nothing is deleted.
    let (code, said) = settled.config.verify(&["--repair"]);
    assert_eq!((code, faults(&said)), (1, [7, 0, 0, 1, 0]), "{said}");
    assert_eq!(said["repaired"]["rows"], json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_has_aborted_and_its_control_records_are_no_messages() {
    let (kafka, database) = (Kafka::new(1).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "");
    config.migrate();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("transactional.id", &kafka.input)
        .create()
        .unwrap();
    let limit = Duration::from_secs(30);
    producer.init_transactions(limit).unwrap();
    for (number, post) in posts(40).enumerate() {
        if number % 4 == 0 {
            producer.begin_transaction().unwrap();
        }
        let record = BaseRecord::<(), [u8]>::to(&kafka.input);
        let value = post.unwrap_or_else(|| b"not json".to_vec());
        producer.send(record.payload(&value)).unwrap();
        if number % 4 == 3 {
            producer.flush(limit).unwrap();
            if number % 8 == 3 {
                producer.abort_transaction(limit).unwrap();
            } else {
                producer.commit_transaction(limit).unwrap();
            }
        }
    }
    let mut service = config.start("one");
    let (code, said) = config.verify(&["--wait-settled", "120"]);
    assert_eq!((code, faults(&said)), (0, [0; 5]), "{said}");
    assert_eq!(
        (&said["messages"], &said["unread"]),
        (&json!(20), &json!(0)),
        "{said}"
    );
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_beside_a_service_at_work_takes_nothing_under_way_for_a_fault() {
    let (kafka, database) = (Kafka::new(3).await, TestDatabase::new().await);
    // Many small chunks: there is always one between two steps.
    let small = "[batch]\nmax_messages = 8\nmax_delay_ms = 5\n";
    let config = ServiceConfig::new(&kafka, &database, small);
    config.migrate();
    let sent = kafka.send(posts(2_000));
    let mut service = config.start("one");
    let mut at_work = 0;
    loop {
        let (code, said) = config.verify(&[]);
        assert_eq!((code, faults(&said)), (0, [0; 5]), "{said}");
        let count = |name: &str| said[name].as_u64().unwrap();
        assert_eq!(count("messages"), sent as u64);
        assert_eq!(
            count("messages"),
            count("scored") + count("dead") + count("unread")
        );
        match (count("scored"), count("unread")) {
            (_, 0) => break,
            (0, _) => {}
            _ => at_work += 1,
        }
    }
    assert!(at_work > 1, "it was looked at while it worked");
    assert!(service.terminate().success());
}
