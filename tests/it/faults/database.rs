//! Postgres crashes, stands still, or becomes read-only.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::{Connection, PgConnection};

use super::{LONG, Line, drain, stays_unready, wait_unready};
use crate::harness::{Kafka, OwnPostgres, TestDatabase, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_crashes_and_comes_back_loses_nothing() {
    let server = OwnPostgres::start();
    let database = TestDatabase::on(&server.url, "").await;
    let line = Line::new(Kafka::new(3).await, database, &[]);
    let mut service = line.config.start("one");
    let feed = line.feed();
    for _ in 0..3 {
        line.wait_for_more(200);
        server.crash();
        let said = wait_unready(&service, "postgres");
        eprintln!("not ready: {said}");
        server.bring_back();
        service.wait_ready();
    }
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}

/// What a member may take between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_for_longer_than_a_poll_may_take_costs_no_loop_of_rebalances()
{
    let server = OwnPostgres::start();
    let database = TestDatabase::on(&server.url, "").await;
    let interval = POLL_INTERVAL.as_millis().to_string();
    let options = [("max.poll.interval.ms", &*interval)];
    let line = Line::new(Kafka::new(4).await, database, &options);
    let mut service = line.config.start("one");
    let feed = line.feed();
    line.wait_for_more(200);
    server.signal("STOP");
    wait_unready(&service, "postgres");
    // Another member comes and goes: partitions are handed over in mid-commit, and begun anew, without the database.
    let begun = Instant::now();
    come_and_go(&line);
    eventually("all partitions to be its own again", LONG, || {
        (service.metric("tidewatch_assigned_partitions")? == 4.0).then_some(())
    });
    eprintln!(
        "handed over and given back in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let before = service.metric("tidewatch_rebalances_total").unwrap();
    let lasted = stays_unready(&service, "postgres", POLL_INTERVAL + POLL_INTERVAL / 2);
    assert!(
        lasted >= POLL_INTERVAL + POLL_INTERVAL / 2,
        "ready again after {lasted:?} without a database"
    );
    assert_eq!(
        service.metric("tidewatch_rebalances_total"),
        Some(before),
        "it keeps its place"
    );
    server.signal("CONT");
    service.wait_ready();
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}

/// Another member of the group is given partitions, and leaves.
fn come_and_go(line: &Line) {
    let passer_by: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &line.kafka.bootstrap)
        .set("group.id", &line.kafka.group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    passer_by.subscribe(&[&line.kafka.input]).unwrap();
    eventually("another member to be given partitions", LONG, || {
        let _ = passer_by.poll(Duration::from_millis(50));
        (passer_by.assignment().unwrap().count() > 0).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fail_over_to_a_read_only_database_is_waited_for() {
    let server = OwnPostgres::start();
    let database = TestDatabase::on(&server.url, "").await;
    let line = Line::new(Kafka::new(3).await, database, &[]);
    let mut service = line.config.start("one");
    let feed = line.feed();
    line.wait_for_more(200);
    read_only(&server, "on").await;
    let said = wait_unready(&service, "postgres");
    assert!(said.contains("it is read-only"), "{said}");
    let lasted = stays_unready(&service, "postgres", Duration::from_secs(3));
    assert!(
        lasted >= Duration::from_secs(3),
        "ready again after {lasted:?}"
    );
    read_only(&server, "off").await;
    service.wait_ready();
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}

/// Makes the server read-only, or writable again, and cuts the service's connections, as a fail-over does.
async fn read_only(server: &OwnPostgres, value: &'static str) {
    let mut connection = PgConnection::connect(&server.url).await.unwrap();
    for statement in [
        "SET default_transaction_read_only = off".to_owned(),
        format!("ALTER SYSTEM SET default_transaction_read_only = {value}"),
        "SELECT pg_reload_conf()".to_owned(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidewatch'".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .unwrap();
    }
}
