//! Nothing lost, nothing doubled, nothing disagreeing: instances are killed, stopped and added while messages flow.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

use crate::harness::{Kafka, Ledger, ServiceConfig, TestDatabase, eventually};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);

/// So that the group notices a killed member soon.
const SHORT_SESSION: &str =
    "[kafka.client]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"\n";
/// Many small chunks: many moments at which something can happen between two steps.
const SMALL_CHUNKS: &str = "[batch]\nmax_messages = 16\nmax_delay_ms = 5\n";

/// Messages, every twentieth of which cannot be scored.
pub(crate) fn posts(count: usize) -> impl Iterator<Item = Option<Vec<u8>>> {
    (0..count).map(|number| {
        Some(match number % 20 {
            7 => b"not json".to_vec(),
            kind => json!({
                "text": format!("Message {number} is {} and goes on for {}", if kind % 2 == 0 { "good" } else { "bad" }, "a while ".repeat(kind)),
                "source": format!("source-{}", number % 3),
            })
            .to_string()
            .into_bytes(),
        })
    })
}

pub(crate) fn wait_committed(kafka: &Kafka, at_least: i64) {
    eventually("messages to be committed", LONG, || {
        (kafka.committed() >= at_least).then_some(())
    });
}

/// The rollups equal a GROUP BY over the rows.
pub(crate) async fn assert_rollups(database: &TestDatabase) {
    let pool = database.pool().await;
    let differing: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM
           (SELECT date_trunc('minute', event_time, 'UTC') AS minute, coalesce(source, '') AS source,
                   coalesce(subject, '') AS subject, label, count(*) AS messages
              FROM predictions GROUP BY 1, 2, 3, 4) counted
         FULL JOIN sentiment_minute held USING (minute, source, subject, label)
         WHERE held.messages IS DISTINCT FROM counted.messages",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(
        differing, 0,
        "minutes whose count is not that of their rows"
    );
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_five_times_in_mid_stream_loses_and_doubles_nothing() {
    let (kafka, database) = (Kafka::new(3).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, &format!("{SHORT_SESSION}{SMALL_CHUNKS}"));
    config.migrate();
    let sent = kafka.send(posts(6_000));
    let total = i64::try_from(sent).unwrap();
    let seed = rand::random();
    eprintln!("moments of the kills come from the seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for kill in 1..=5 {
        let mut service = config.start("one");
        // Somewhere in this sixth of the stream, then at any moment of a chunk.
        wait_committed(&kafka, total * kill / 7 + rng.random_range(0..total / 14));
        std::thread::sleep(Duration::from_micros(rng.random_range(0..50_000)));
        service.kill();
    }
    let mut service = config.start("one");
    wait_committed(&kafka, total);
    let ledger = Ledger::read(&kafka, &database).await;
    ledger.assert_balanced(sent);
    assert_eq!(ledger.dead(), sent / 20);
    assert_rollups(&database).await;
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_move_between_instances_in_mid_stream_under_either_protocol() {
    for strategy in ["cooperative-sticky", "range"] {
        let (kafka, database) = (Kafka::new(4).await, TestDatabase::new().await);
        let more = format!(
            "{SHORT_SESSION}\"partition.assignment.strategy\" = \"{strategy}\"\n{SMALL_CHUNKS}"
        );
        let config = ServiceConfig::new(&kafka, &database, &more);
        config.migrate();
        let sent = kafka.send(posts(6_000));
        let total = i64::try_from(sent).unwrap();
        let mut one = config.start("one");
        wait_committed(&kafka, total / 8);
        let mut two = config.start("two");
        wait_committed(&kafka, total / 3);
        assert!(one.terminate().success(), "a drained instance ends well");
        wait_committed(&kafka, total / 2);
        let mut three = config.start("three");
        two.wait_ready();
        wait_committed(&kafka, total * 2 / 3);
        two.kill();
        wait_committed(&kafka, total);
        Ledger::read(&kafka, &database).await.assert_balanced(sent);
        assert_rollups(&database).await;
        assert!(three.terminate().success(), "{strategy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_the_same_name_takes_over_and_the_first_ends_with_a_sentence() {
    let (kafka, database) = (Kafka::new(1).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, SMALL_CHUNKS);
    config.migrate();
    let mut first = config.start("same");
    kafka.send(posts(100));
    wait_committed(&kafka, 100);
    let mut second = config.start("same");
    second.wait_ready();
    // Whoever gets the partition writes under the name both have: one of them is fenced by the other.
    let mut sent = 100;
    let ended = eventually("one of them to end", LONG, || {
        sent += kafka.send(posts(20));
        wait_committed(&kafka, i64::try_from(sent).unwrap());
        [&mut first, &mut second]
            .into_iter()
            .find_map(|service| Some((service.ended()?, service.log())))
    });
    assert_eq!(ended.0.code(), Some(1));
    assert!(
        ended
            .1
            .contains("give each instance its own [kafka] instance"),
        "{}",
        ended.1
    );
    Ledger::read(&kafka, &database).await.assert_balanced(sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cuts_its_connections_delays_and_loses_nothing() {
    let (kafka, database) = (Kafka::new(2).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, SMALL_CHUNKS);
    config.migrate();
    let sent = kafka.send(posts(3_000));
    let total = i64::try_from(sent).unwrap();
    let mut service = config.start("one");
    let pool = database.pool().await;
    let mut cut = 0;
    for part in 1..=5 {
        wait_committed(&kafka, total * part / 6);
        cut += sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'tidewatch'")
            .execute(&pool)
            .await
            .unwrap()
            .rows_affected();
    }
    assert!(cut >= 5, "each time there was a connection to cut");
    pool.close().await;
    wait_committed(&kafka, total);
    Ledger::read(&kafka, &database).await.assert_balanced(sent);
    assert_rollups(&database).await;
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_leaves_every_committed_message_whole_and_the_next_instance_goes_on() {
    let (kafka, database) = (Kafka::new(2).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, SMALL_CHUNKS);
    config.migrate();
    let sent = kafka.send(posts(4_000));
    let total = i64::try_from(sent).unwrap();
    let mut one = config.start("one");
    wait_committed(&kafka, total / 4);
    assert_eq!(one.terminate().code(), Some(0));
    let drained = kafka.settled();
    let ledger = Ledger::read(&kafka, &database).await;
    ledger.assert_balanced(usize::try_from(drained).unwrap());
    let mut two = config.start("two");
    wait_committed(&kafka, total);
    Ledger::read(&kafka, &database).await.assert_balanced(sent);
    assert!(two.terminate().success());
}
