//! SIGTERM while a server is away: the drain is bounded, ends well, and leaves nothing half done.

use std::time::Duration;

use super::{Line, drain, wait_unready};
use crate::harness::{Kafka, OwnKafka, OwnPostgres, TestDatabase};

/// What a drain may take; Kubernetes, say, kills what has not ended after thirty seconds.
const BOUND: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_without_a_database_ends_in_good_time() {
    let server = OwnPostgres::start();
    let database = TestDatabase::on(&server.url, "").await;
    let line = Line::new(Kafka::new(3).await, database, &[]);
    let feed = line.feed();

    let mut service = line.config.start("one");
    line.wait_for_more(200);
    server.signal("STOP");
    wait_unready(&service, "postgres");
    drain(&mut service, BOUND);
    server.signal("CONT");

    let mut service = line.config.start("one");
    line.wait_for_more(200);
    server.crash();
    wait_unready(&service, "postgres");
    drain(&mut service, BOUND);
    server.bring_back();

    let mut service = line.config.start("one");
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, BOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_without_a_broker_ends_in_good_time() {
    let broker = OwnKafka::start(1).await;
    let kafka = Kafka::on(&broker.bootstrap, 3, 1).await;
    let line = Line::new(kafka, TestDatabase::new().await, &[]);
    let feed = line.feed();

    let mut service = line.config.start("one");
    line.wait_for_more(200);
    broker.signal("STOP");
    wait_unready(&service, "kafka");
    drain(&mut service, BOUND);
    broker.signal("CONT");

    let mut service = line.config.start("one");
    line.wait_for_more(200);
    broker.signal("KILL");
    wait_unready(&service, "kafka");
    drain(&mut service, BOUND);
    broker.bring_back();

    let mut service = line.config.start("one");
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, BOUND);
}
