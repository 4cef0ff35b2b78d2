//! One broker of three dies at a time: leaders and coordinators move.

use std::time::Duration;

use super::{Line, drain};
use crate::harness::{Kafka, OwnKafka, TestDatabase};

#[tokio::test(flavor = "multi_thread")]
async fn coordinators_that_move_while_each_of_three_brokers_is_killed_in_turn_lose_nothing() {
    let cluster = OwnKafka::start(3).await;
    let kafka = Kafka::on(&cluster.bootstrap, 3, 3).await;
    let line = Line::new(kafka, TestDatabase::new().await, &[]);
    let mut services = [line.config.start("one"), line.config.start("two")];
    let feed = line.feed();
    line.wait_for_more(200);
    for node in 1..=3 {
        cluster.kill_node(node);
        // Two of three are enough to go on.
        line.wait_for_more(400);
        cluster.bring_back();
        line.wait_for_more(200);
    }
    for service in &mut services {
        service.wait_ready();
    }
    line.close(feed).await;
    for service in &mut services {
        drain(service, Duration::from_secs(10));
    }
}
