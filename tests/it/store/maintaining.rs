//! Partitions come and go with the days, and no row is lost or kept too long.

use chrono::{DateTime, Days, TimeDelta, Utc};
use tidewatch::record::Outcome;
use tidewatch::store::Maintained;
use tokio_util::sync::CancellationToken;

use super::{Fixture, chunk, dead, messages, scored};

/// What [`super::config`] asks for: 5 days kept, today, and 2 ahead, of two tables.
const PARTITIONS: u64 = 8 * 2;

const ATTACHED: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent IN ('predictions'::regclass, 'dead_letters'::regclass)
                           AND inhrelid NOT IN ('predictions_default'::regclass, 'dead_letters_default'::regclass)";

fn attached() -> i64 {
    i64::try_from(PARTITIONS).unwrap()
}

/// A scored message and a dead letter of this time.
fn at(offset: i64, time: DateTime<Utc>) -> [Outcome; 2] {
    let (mut scored, mut dead) = (scored(0, offset * 2), dead(0, offset * 2 + 1));
    scored.message.raw.kafka_time = time;
    dead.raw.kafka_time = time;
    [Outcome::Scored(scored), Outcome::Dead(dead)]
}

#[tokio::test]
async fn every_day_that_is_kept_has_a_partition_and_so_have_those_ahead() {
    let fixture = Fixture::new().await;
    let now = Utc::now();
    let done = fixture.store.maintain(now).await.unwrap();
    let expected = Maintained {
        partitions_made: PARTITIONS,
        ..Maintained::default()
    };
    assert_eq!(done, expected);
    assert_eq!(
        fixture.store.maintain(now).await.unwrap(),
        Maintained::default()
    );
    assert_eq!(fixture.number(ATTACHED).await, attached());

    let epochs = fixture.claim(&[0]).await;
    let days = [-6, -5, -1, 0, 1, 2, 3];
    let outcomes = days
        .iter()
        .zip(0..)
        .flat_map(|(&day, offset)| at(offset, now + TimeDelta::days(day)));
    let chunk = chunk(outcomes);
    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    // Only what lies outside the window is in the default partition.
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM predictions_default")
            .await,
        2
    );
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM dead_letters_default")
            .await,
        2
    );
    assert_eq!(fixture.number("SELECT count(*) FROM predictions").await, 7);
}

#[tokio::test]
async fn rows_written_before_their_day_had_a_partition_move_into_it_and_can_still_be_replaced() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let now = super::kafka_time(0, 0);
    let mut outcomes = messages(0..100);
    outcomes.extend((100..110).map(|offset| Outcome::Dead(dead(0, offset))));
    let chunk = chunk(outcomes);
    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM predictions_default")
            .await,
        100
    );

    fixture.store.maintain(now).await.unwrap();
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM predictions_default")
            .await,
        0
    );
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM dead_letters_default")
            .await,
        0
    );
    for _ in 0..2 {
        let counts = fixture.store.counts("posts").await.unwrap();
        assert_eq!((counts.predictions, counts.dead_letters), (100, 10));
        fixture.assert_rollups_exact().await;
        fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    }
    // A partition has what its parent has: the key, and the indices by event time, by the message's id, and by when it was scored.
    let indexes = fixture
        .number("SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'predictions\\_p%'")
        .await;
    assert_eq!(indexes, attached() / 2 * 4);
}

#[tokio::test]
async fn a_day_with_too_many_rows_to_move_keeps_nobody_waiting() {
    let fixture = Fixture::new().await;
    let now = super::kafka_time(0, 0);
    sqlx::query(
        "INSERT INTO dead_letters (\"offset\", kafka_time, payload_bytes, \"partition\", topic, reason, detail)
         SELECT n, $1, 0, 0, 'posts', 'no_text', '' FROM generate_series(1, 200001) n",
    )
    .bind(now)
    .execute(&fixture.pool)
    .await
    .unwrap();
    let done = fixture.store.maintain(now).await.unwrap();
    assert_eq!(done.partitions_made, PARTITIONS - 1);
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM dead_letters_default")
            .await,
        200_001
    );
}

#[tokio::test]
async fn what_is_older_than_its_retention_goes() {
    let fixture = Fixture::new().await;
    let now = Utc::now();
    fixture.store.maintain(now).await.unwrap();
    let epochs = fixture.claim(&[0]).await;
    let kept = at(0, now)
        .into_iter()
        .chain(at(1, now - TimeDelta::days(4)));
    let outcomes = kept.chain(at(2, DateTime::UNIX_EPOCH));
    fixture
        .store
        .write_chunk(&chunk(outcomes), &epochs)
        .await
        .unwrap();

    // Two days later one row of each table has become too old; what was written today into the default one has not.
    let done = fixture.store.maintain(now + Days::new(2)).await.unwrap();
    let expected = Maintained {
        partitions_made: 4,
        partitions_dropped: 4,
        ..Maintained::default()
    };
    assert_eq!(done, expected);
    assert_eq!(fixture.number("SELECT count(*) FROM predictions").await, 2);

    let done = fixture.store.maintain(now + Days::new(6)).await.unwrap();
    assert_eq!((done.partitions_dropped, done.rows_removed), (8, 2));
    assert_eq!(fixture.number("SELECT count(*) FROM predictions").await, 0);
    assert_eq!(fixture.number("SELECT count(*) FROM dead_letters").await, 0);
    assert_eq!(fixture.number(ATTACHED).await, attached());
    assert_eq!(
        fixture
            .number("SELECT sum(messages)::bigint FROM sentiment_minute")
            .await,
        3
    );

    let done = fixture.store.maintain(now + Days::new(22)).await.unwrap();
    assert!(done.minutes_removed > 0, "{done:?}");
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM sentiment_minute")
            .await,
        0
    );
}

#[tokio::test]
async fn more_rows_than_one_statement_removes_are_removed() {
    let fixture = Fixture::new().await;
    sqlx::query(
        "INSERT INTO dead_letters (\"offset\", kafka_time, payload_bytes, \"partition\", topic, reason, detail)
         SELECT n, '1970-01-01Z', 0, 0, 'posts', 'no_text', '' FROM generate_series(1, 25000) n",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    let done = fixture
        .store
        .maintain(Utc::now() + Days::new(10))
        .await
        .unwrap();
    assert_eq!(done.rows_removed, 25_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_instances_may_maintain_at_once() {
    let fixture = Fixture::new().await;
    let now = Utc::now();
    let (one, two, three) = tokio::join!(
        fixture.store.maintain(now),
        fixture.store.maintain(now),
        fixture.store.maintain(now)
    );
    let made: u64 = [one, two, three]
        .map(|done| done.unwrap().partitions_made)
        .iter()
        .sum();
    assert_eq!(made, PARTITIONS);
    assert_eq!(fixture.number(ATTACHED).await, attached());
}

#[tokio::test]
async fn a_reader_who_takes_long_delays_maintenance_and_no_writer() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let mut reader = fixture.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM predictions, dead_letters")
        .execute(&mut *reader)
        .await
        .unwrap();
    let error = fixture.store.maintain(Utc::now()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    fixture
        .store
        .write_chunk(&chunk(messages(0..5)), &epochs)
        .await
        .unwrap();
    reader.rollback().await.unwrap();
    let done = fixture.store.maintain(Utc::now()).await.unwrap();
    assert_eq!(done.partitions_made, PARTITIONS);
}

#[tokio::test]
async fn a_partition_put_aside_by_hand_stays_aside() {
    let fixture = Fixture::new().await;
    let now = super::kafka_time(0, 0);
    fixture.store.maintain(now).await.unwrap();
    let name = format!("predictions_p{}", now.format("%Y%m%d"));
    let sql = format!("ALTER TABLE predictions DETACH PARTITION {name}");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(
        fixture.store.maintain(now).await.unwrap(),
        Maintained::default()
    );
    let epochs = fixture.claim(&[0]).await;
    fixture
        .store
        .write_chunk(&chunk(messages(0..5)), &epochs)
        .await
        .unwrap();
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM predictions_default")
            .await,
        5
    );
}

#[tokio::test]
async fn the_task_makes_partitions_at_its_start_and_ends_when_told_to() {
    let fixture = Fixture::new().await;
    let stop = CancellationToken::new();
    let task = {
        let (store, stop) = (fixture.store.clone(), stop.clone());
        tokio::spawn(async move { store.maintain_forever(stop).await })
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while fixture.number(ATTACHED).await < attached() {
        assert!(
            std::time::Instant::now() < deadline,
            "no partitions were made"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    stop.cancel();
    task.await.unwrap();
}
