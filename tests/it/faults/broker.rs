//! One broker dies, or stands still.

use std::time::Duration;

use super::{Line, drain, stays_unready, wait_unready};
use crate::harness::{Hidden, Kafka, OwnKafka, Relay, TestDatabase};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_and_restarted_three_times_under_load_delays_and_loses_nothing() {
    let broker = OwnKafka::start(1).await;
    let kafka = Kafka::on(&broker.bootstrap, 3, 1).await;
    let line = Line::new(kafka, TestDatabase::new().await, &[]);
    let mut service = line.config.start("one");
    let feed = line.feed();
    for _ in 0..3 {
        line.wait_for_more(200);
        broker.signal("KILL");
        let said = wait_unready(&service, "kafka");
        eprintln!("not ready: {said}");
        let lasted = stays_unready(&service, "kafka", Duration::from_secs(2));
        assert!(
            lasted >= Duration::from_secs(2),
            "ready again without a broker"
        );
        broker.bring_back();
        service.wait_ready();
    }
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}

/// The broker stands still three times for `pause`, while transactions may last for `timeout`.
async fn standing_still(times: u32, pause: Duration, timeout: Duration) {
    let broker = OwnKafka::start(1).await;
    let kafka = Kafka::on(&broker.bootstrap, 3, 1).await;
    let timeout = timeout.as_millis().to_string();
    let options = [("transaction.timeout.ms", &*timeout)];
    let line = Line::new(kafka, TestDatabase::new().await, &options);
    let mut service = line.config.start("one");
    let feed = line.feed();
    for _ in 0..times {
        line.wait_for_more(200);
        broker.signal("STOP");
        let stopped = std::time::Instant::now();
        let said = wait_unready(&service, "kafka");
        eprintln!(
            "not ready after {:.1} s: {said}",
            stopped.elapsed().as_secs_f64()
        );
        // From then on for as long as it lasts.
        let left = pause.saturating_sub(stopped.elapsed());
        let lasted = stays_unready(&service, "kafka", left);
        assert!(
            lasted >= left,
            "ready again after {lasted:?} without a broker"
        );
        broker.signal("CONT");
        service.wait_ready();
    }
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stands_still_for_twenty_seconds_delays_and_loses_nothing() {
    standing_still(1, Duration::from_secs(20), Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stands_still_for_longer_than_a_transaction_may_last_delays_and_loses_nothing()
 {
    standing_still(3, Duration::from_secs(8), Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_told_of_no_broker_for_a_moment_find_it_again() {
    let relay = Relay::listen();
    let broker = OwnKafka::behind(&relay).await;
    let kafka = Kafka::on(&broker.bootstrap, 3, 1).await;
    // So that every client asks about the cluster several times in that moment.
    let options = [("topic.metadata.refresh.interval.ms", "500")];
    let line = Line::new(kafka, TestDatabase::new().await, &options);
    let mut service = line.config.start("one");
    let feed = line.feed();
    for _ in 0..2 {
        line.wait_for_more(200);
        assert!(relay.hide(Hidden::Brokers, Duration::from_secs(3)) > 0);
    }
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_never_answered_is_looked_up_and_not_guessed() {
    let relay = Relay::listen();
    let broker = OwnKafka::behind(&relay).await;
    let kafka = Kafka::on(&broker.bootstrap, 3, 1).await;
    let line = Line::new(kafka, TestDatabase::new().await, &[]);
    let mut service = line.config.start("one");
    let feed = line.feed();
    line.wait_for_more(200);
    // For longer than it goes on asking.
    assert!(relay.hide(Hidden::Ends, Duration::from_secs(75)) > 0);
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}
