//! Topics grow and vanish.

use super::{LONG, Line, wait_unready};
use crate::harness::{Kafka, Service, TestDatabase};
use crate::recovery::posts;

/// Deletes the topic; the probe must name Kafka, and the service end with a sentence about it and about `section`.
async fn delete_and_wait(line: &Line, service: &mut Service, topic: &str, section: &str) {
    line.kafka.delete(topic).await;
    let said = wait_unready(service, "kafka");
    eprintln!("not ready: {said}");
    assert_eq!(service.wait(LONG).code(), Some(1));
    let log = service.log();
    let last = log.lines().last().unwrap();
    let sentence =
        format!("there is no topic {topic} (or it was deleted); create it or correct {section}");
    assert!(last.contains(&sentence), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_while_it_runs_are_read_from_their_beginning() {
    let options = [("topic.metadata.refresh.interval.ms", "1000")];
    let line = Line::new(Kafka::new(2).await, TestDatabase::new().await, &options);
    let mut service = line.config.start("one");
    let before = line.kafka.send(posts(200));
    line.wait_whole(before).await;
    line.kafka.grow(5).await;
    let sent = before + line.kafka.send(posts(500));
    line.wait_whole(sent).await;
    assert_eq!(service.metric("tidewatch_assigned_partitions"), Some(5.0));
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_topic_deleted_under_load_is_named_by_the_probe_and_then_ends_the_service() {
    let line = Line::new(Kafka::new(2).await, TestDatabase::new().await, &[]);
    let mut service = line.config.start("one");
    line.kafka.send(posts(2_000));
    line.wait_for_more(200);
    delete_and_wait(&line, &mut service, &line.kafka.input, "[[input]]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_topic_deleted_under_load_is_named_by_the_probe_and_then_ends_the_service() {
    let options = [("transaction.timeout.ms", "6000")];
    let line = Line::new(Kafka::new(2).await, TestDatabase::new().await, &options);
    let mut service = line.config.start("one");
    line.kafka.send(posts(4_000));
    line.wait_for_more(200);
    delete_and_wait(&line, &mut service, &line.kafka.results, "[output]").await;
}
