//! What retention has taken is no fault, and hides none that can be told.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;

use super::beside::set_offset;
use super::{LONG, Settled, faults, posts};
use crate::harness::{Kafka, ServiceConfig, TestDatabase, eventually};

fn admin(kafka: &Kafka) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .create()
        .unwrap()
}

/// Takes the beginning of each partition of a topic, as its retention would, and keeps this many records of it.
async fn trim(kafka: &Kafka, topic: &str, keep: i64) {
    let admin = admin(kafka);
    // What is kept by time alone loses nothing that is young.
    let limited =
        AlterConfig::new(ResourceSpecifier::Topic(topic)).set("retention.bytes", "1000000000");
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    for result in admin.alter_configs([&limited], &options).await.unwrap() {
        result.unwrap();
    }
    let mut before = TopicPartitionList::new();
    for partition in 0..2 {
        let (_, end) = admin
            .inner()
            .fetch_watermarks(topic, partition, Duration::from_secs(30))
            .unwrap();
        before
            .add_partition_offset(topic, partition, Offset::Offset((end - keep).max(0)))
            .unwrap();
    }
    admin.delete_records(&before, &options).await.unwrap();
}

fn told(settled: &Settled, name: &str) -> Option<u64> {
    let output = settled.config.run("verify", &[]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = table.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_that_retention_has_taken_are_not_missed_and_later_ones_are() {
    let settled = Settled::new(200).await;
    let kafka = &settled.kafka;
    trim(kafka, &kafka.results, 30).await;
    let (code, said) = settled.config.verify(&[]);
    assert_eq!((code, faults(&said)), (0, [0; 5]), "{said}");
    let scored = said["scored"].as_u64().unwrap();
    // Control records are among those that are kept.
    assert!((20..=60).contains(&scored), "{said}");
    assert_eq!(told(&settled, "outcomes gone"), Some(180 - scored));

    // A message after the first outcome that is left is missed all the same.
    kafka.send(posts(20));
    set_offset(kafka, 0, 110);
    let (code, said) = settled.config.verify(&[]);
    assert_eq!((code, faults(&said)), (1, [10, 0, 0, 0, 0]), "{said}");

    // Where no dead letter is left, nobody knows how many there were; but each would have had a row.
    trim(kafka, &kafka.dead_letters, 0).await;
    let (code, said) = settled.config.verify(&[]);
    assert_eq!((code, faults(&said)), (1, [10, 0, 0, 0, 0]), "{said}");
    assert_eq!(
        told(&settled, "outcomes gone"),
        Some(180 - scored + 20 + 10)
    );

    // What is no longer in the input is not looked at.
    trim(kafka, &kafka.input, 60).await;
    let (code, said) = settled.config.verify(&[]);
    assert_eq!((code, faults(&said)), (1, [10, 0, 0, 0, 0]), "{said}");
    assert_eq!(said["messages"], json!(120));
    assert_eq!(told(&settled, "foreign rows"), Some(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_retention_may_have_taken_are_not_missed_and_those_of_wild_times_are() {
    let (kafka, database) = (Kafka::new(1).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "");
    config.migrate();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .create()
        .unwrap();
    let now = chrono::Utc::now().timestamp_millis();
    let days = 24 * 60 * 60 * 1_000;
    for time in [now, now - 40 * days, now - 10 * days, 1_000] {
        let record = BaseRecord::<(), str>::to(&kafka.input).timestamp(time);
        producer
            .send(record.payload(r#"{"text":"so good"}"#))
            .unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    let mut service = config.start("one");
    eventually("everything to be committed", LONG, || {
        (kafka.committed() >= 4).then_some(())
    });
    assert!(service.terminate().success());
    let (code, said) = config.verify(&[]);
    assert_eq!(
        (code, faults(&said), &said["scored"]),
        (0, [0; 5], &json!(4)),
        "{said}"
    );
    // A window holds what its name says, whatever stands between.
    for (window, messages) in [
        (&["--from", "20d"][..], 2),
        (&["--from", "50d", "--to", "5d"], 2),
        (&["--to", "5d"], 3),
    ] {
        let (code, said) = config.verify(window);
        assert_eq!(
            (code, &said["messages"]),
            (0, &json!(messages)),
            "{window:?}: {said}"
        );
    }

    let pool = database.pool().await;
    for (offset, lost) in [(1, 0), (3, 1)] {
        let gone = sqlx::query(r#"DELETE FROM predictions WHERE "offset" = $1"#).bind(offset);
        assert_eq!(gone.execute(&pool).await.unwrap().rows_affected(), 1);
        let (_, said) = config.verify(&[]);
        assert_eq!(said["lost"], json!(lost), "{said}");
    }
    // The count that was above that of the rows may be right, as far as anybody can tell; one below never is.
    let (_, said) = config.verify(&[]);
    assert_eq!(said["rollups_differing"], json!(0), "{said}");
    sqlx::query("DELETE FROM sentiment_minute")
        .execute(&pool)
        .await
        .unwrap();
    let (code, said) = config.verify(&[]);
    assert_eq!((code, &said["rollups_differing"]), (1, &json!(2)), "{said}");
    let (code, said) = config.verify(&["--repair"]);
    assert_eq!(
        (code, faults(&said), &said["repaired"]["rows"]),
        (0, [0; 5], &json!(1)),
        "{said}"
    );
    pool.close().await;
}
