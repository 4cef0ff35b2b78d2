//! Orderly ends: SIGTERM under load, and whoever takes over.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::time::{Duration, Instant};

use sqlx::PgPool;

use crate::harness::{Kafka, Ledger, ServiceConfig, TestDatabase, eventually};
use crate::recovery::{assert_rollups, posts, wait_committed};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);
/// What a drain under load may take.
const DRAIN: Duration = Duration::from_secs(5);
/// Far below the session timeout (45 s): whoever takes over within it did not have to miss the one that ended.
const TAKE_OVER: Duration = Duration::from_secs(10);

/// How many partitions `instance` was the last to claim.
async fn held(pool: &PgPool, instance: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM partition_epochs WHERE claimed_by = $1")
        .bind(instance)
        .fetch_one(pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_ends_soon_and_another_instance_takes_over_without_missing_it() {
    let (kafka, database) = (Kafka::new(4).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "");
    config.migrate();
    let sent = kafka.send(posts(4_000));
    let pool = database.pool().await;
    let (mut one, mut two) = (config.start("one"), config.start("two"));
    eventually("both instances to work", LONG, || {
        let both = [&one, &two].map(|service| service.metric("tidewatch_chunks_committed_total"));
        both.iter()
            .all(|count| count.is_some_and(|count| count > 0.0))
            .then_some(())
    });

    let begun = Instant::now();
    assert_eq!(one.terminate().code(), Some(0));
    let (drained, left) = (begun.elapsed(), Instant::now());
    let mut taken_over = None;
    while taken_over.is_none() && left.elapsed() < LONG {
        let claimed = held(&pool, "two").await == 4;
        taken_over = claimed.then(|| left.elapsed());
    }
    let taken_over = taken_over.expect("the other instance never took over");
    eprintln!(
        "drained in {drained:?}; the other instance had claimed everything {taken_over:?} after that"
    );
    assert!(drained < DRAIN, "the drain took {drained:?}");
    assert!(taken_over < TAKE_OVER, "taking over took {taken_over:?}");
    assert!(
        kafka.committed() < i64::try_from(sent).unwrap(),
        "there was no load left: send more"
    );
    wait_committed(&kafka, i64::try_from(sent).unwrap());
    Ledger::read(&kafka, &database).await.assert_balanced(sent);
    assert_rollups(&database).await;
    assert!(two.terminate().success());
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_leaves_no_row_of_a_message_whose_offset_is_not_committed() {
    let (kafka, database) = (Kafka::new(2).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "[batch]\nmax_messages = 64\n");
    config.migrate();
    kafka.send(posts(4_000));
    for _ in 0..3 {
        let before = kafka.settled();
        let mut service = config.start("one");
        wait_committed(&kafka, before + 200);
        assert_eq!(service.terminate().code(), Some(0));
        let committed = usize::try_from(kafka.settled()).unwrap();
        Ledger::read(&kafka, &database)
            .await
            .assert_balanced(committed);
    }
}
