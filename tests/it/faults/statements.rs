//! Postgres refuses statements that would succeed a moment later.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;

use super::{LONG, Line, drain};
use crate::harness::{Feed, Kafka, TestDatabase, eventually};

/// Messages of one minute: all of them count towards the same rows of the rollups.
fn posts_of_a_minute() -> impl Iterator<Item = Option<Vec<u8>>> + Send {
    (0..usize::MAX).map(|number| {
        let post = json!({
            "text": format!("Message {number} is good"), "source": "somewhere", "event_time": "2026-01-02T03:04:05Z",
        });
        Some(post.to_string().into_bytes())
    })
}

async fn run(pool: &PgPool, statement: &'static str) {
    sqlx::raw_sql(statement).execute(pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn serialization_failures_are_tried_again() {
    let line = Line::new(Kafka::new(3).await, TestDatabase::new().await, &[]);
    let pool = line.database.pool().await;
    // A sequence counts what is rolled back, too.
    run(
        &pool,
        "CREATE SEQUENCE failures;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('failures') % 3 = 1 THEN
                 RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001';
             END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER fail AFTER INSERT ON predictions FOR EACH STATEMENT EXECUTE FUNCTION fail();
         CREATE TRIGGER fail AFTER UPDATE ON partition_epochs FOR EACH STATEMENT EXECUTE FUNCTION fail();",
    )
    .await;
    let mut service = line.config.start("one");
    let feed = line.feed();
    line.wait_for_more(1_000);
    let failed: i64 = sqlx::query_scalar("SELECT last_value / 3 FROM failures")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(failed >= 5, "only {failed} failures");
    pool.close().await;
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}

/// Waits until a session of the service waits for a lock.
async fn wait_blocked(pool: &PgPool) {
    let deadline = std::time::Instant::now() + LONG;
    loop {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                AND application_name = 'tidewatch' AND wait_event_type = 'Lock')",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        if waiting {
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "nobody waits for a lock"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the server's own count of deadlocks has risen to so many.
fn wait_retried(service: &crate::harness::Service, than: f64) {
    eventually("a chunk to be written again", LONG, || {
        (service.metric("tidewatch_retries_total")? > than).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlocks_with_another_session_are_tried_again() {
    let line = Line::new(Kafka::new(1).await, TestDatabase::new().await, &[]);
    let pool = line.database.pool().await;
    let mut service = line.config.start("one");
    let feed = Feed::start(&line.kafka, posts_of_a_minute());
    line.wait_for_more(100);
    for _ in 0..3 {
        let before = service.metric("tidewatch_retries_total").unwrap();
        let mut other = pool.begin().await.unwrap();
        // So that the service is the one that finds the deadlock, and is refused.
        for statement in [
            "SET LOCAL deadlock_timeout = '60s'",
            "SELECT FROM sentiment_minute FOR UPDATE",
        ] {
            sqlx::query(statement).execute(&mut *other).await.unwrap();
        }
        // The service holds its epochs by now, and waits for the minute.
        wait_blocked(&pool).await;
        sqlx::query("SELECT FROM partition_epochs FOR UPDATE")
            .execute(&mut *other)
            .await
            .unwrap();
        // That was only to be had because the service was refused.
        other.rollback().await.unwrap();
        wait_retried(&service, before);
        line.wait_for_more(100);
    }
    let log = service.log();
    assert!(log.contains("deadlock detected"), "{log}");
    pool.close().await;
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_that_are_not_to_be_had_in_time_are_tried_again() {
    let line = Line::new(Kafka::new(1).await, TestDatabase::new().await, &[]);
    let pool = line.database.pool().await;
    // The service's own patience is longer than a test's.
    run(
        &pool,
        "CREATE FUNCTION hurry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM set_config('lock_timeout', '200ms', true);
             RETURN NULL;
         END $$;
         CREATE TRIGGER hurry BEFORE INSERT ON predictions FOR EACH STATEMENT EXECUTE FUNCTION hurry();",
    )
    .await;
    let mut service = line.config.start("one");
    let feed = Feed::start(&line.kafka, posts_of_a_minute());
    line.wait_for_more(100);
    for _ in 0..3 {
        let before = service.metric("tidewatch_retries_total").unwrap();
        let mut other = pool.begin().await.unwrap();
        sqlx::query("SELECT FROM sentiment_minute FOR UPDATE")
            .execute(&mut *other)
            .await
            .unwrap();
        wait_retried(&service, before + 1.0);
        other.rollback().await.unwrap();
        line.wait_for_more(100);
    }
    let log = service.log();
    assert!(log.contains("lock timeout"), "{log}");
    pool.close().await;
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}
