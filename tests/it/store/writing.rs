//! Each message stands in Postgres once, and the counts per minute are those of the rows.

use chrono::TimeDelta;
use sqlx::Row;
use tidewatch::record::Outcome;
use tidewatch::store::{Counts, StoreError};

use super::{Fixture, chunk, dead, messages, model, partition, prediction, scored};

#[tokio::test]
async fn a_chunk_delivered_again_leaves_one_row_a_message_and_exact_rollups() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let mut outcomes = messages(0..200);
    outcomes.extend((200..220).map(|offset| Outcome::Dead(dead(0, offset))));
    let chunk = chunk(outcomes);
    for _ in 0..3 {
        fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    }
    let counts = fixture.store.counts("posts").await.unwrap();
    let expected = Counts {
        predictions: 200,
        dead_letters: 20,
    };
    assert_eq!(counts, expected);
    fixture.assert_rollups_exact().await;
    assert_eq!(
        fixture
            .number("SELECT sum(messages)::bigint FROM sentiment_minute")
            .await,
        200
    );
}

#[tokio::test]
async fn a_redelivery_in_other_chunks_by_a_successor_replaces_what_it_overlaps() {
    let fixture = Fixture::new().await;
    let first = fixture.claim(&[0]).await;
    let written = chunk(messages(0..100));
    fixture.store.write_chunk(&written, &first).await.unwrap();
    let second = fixture.claim(&[0]).await;
    for range in [50..60, 60..130, 130..150] {
        let again = chunk(messages(range));
        fixture.store.write_chunk(&again, &second).await.unwrap();
    }
    assert_eq!(
        fixture.store.counts("posts").await.unwrap().predictions,
        150
    );
    fixture.assert_rollups_exact().await;
}

#[tokio::test]
async fn an_outcome_that_changes_replaces_every_trace_of_the_earlier_one() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let first = chunk(messages(0..10));
    fixture.store.write_chunk(&first, &epochs).await.unwrap();

    // Every message gets another label from another model, and half of them another minute and subject.
    let second = chunk((0..10).map(|offset| {
        let mut scored = scored(0, offset);
        scored.prediction = prediction((scored.prediction.label + 1) % 3);
        if offset % 2 == 0 {
            scored.message.event_time += TimeDelta::hours(3);
            scored.message.subject = Some("tea".to_owned());
        }
        scored.model = model("m2");
        Outcome::Scored(scored)
    }));
    fixture.store.write_chunk(&second, &epochs).await.unwrap();
    fixture.assert_rollups_exact().await;
    let models: Vec<String> = sqlx::query_scalar("SELECT DISTINCT model FROM v_predictions")
        .fetch_all(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(models, ["m2"]);

    // All become dead letters: nothing is left of their counts.
    let third = chunk((0..10).map(|offset| Outcome::Dead(dead(0, offset))));
    fixture.store.write_chunk(&third, &epochs).await.unwrap();
    let expected = Counts {
        predictions: 0,
        dead_letters: 10,
    };
    assert_eq!(fixture.store.counts("posts").await.unwrap(), expected);
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM sentiment_minute")
            .await,
        0
    );

    // And back.
    fixture.store.write_chunk(&first, &epochs).await.unwrap();
    let expected = Counts {
        predictions: 10,
        dead_letters: 0,
    };
    assert_eq!(fixture.store.counts("posts").await.unwrap(), expected);
    fixture.assert_rollups_exact().await;
}

#[tokio::test]
async fn a_row_that_should_not_be_there_is_replaced_too() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let chunk = chunk(messages(0..10));
    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    // As after a backup of one table was restored.
    sqlx::query("UPDATE partition_epochs SET next_offset = 3")
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    assert_eq!(fixture.store.counts("posts").await.unwrap().predictions, 10);
    fixture.assert_rollups_exact().await;
}

#[tokio::test]
async fn a_message_twice_in_one_chunk_counts_once_by_its_last_outcome() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let twice = [
        Outcome::Dead(dead(0, 5)),
        Outcome::Scored(scored(0, 4)),
        Outcome::Scored(scored(0, 5)),
    ];
    fixture
        .store
        .write_chunk(&chunk(twice), &epochs)
        .await
        .unwrap();
    let expected = Counts {
        predictions: 2,
        dead_letters: 0,
    };
    assert_eq!(fixture.store.counts("posts").await.unwrap(), expected);
    fixture.assert_rollups_exact().await;
}

#[tokio::test]
async fn a_prediction_that_does_not_fit_its_model_is_refused_whole() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let mut odd = scored(0, 1);
    odd.prediction.probabilities.pop();
    let chunk = chunk([Outcome::Scored(scored(0, 0)), Outcome::Scored(odd)]);
    let error = fixture
        .store
        .write_chunk(&chunk, &epochs)
        .await
        .unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert!(error.to_string().contains("posts[0]@1"), "{error}");
    assert_eq!(
        fixture.store.counts("posts").await.unwrap(),
        Counts::default()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_the_same_minutes_never_wait_for_each_other_in_a_circle() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0, 1, 2, 3]).await;
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (store, epochs) = (fixture.store.clone(), epochs.clone());
        writers.spawn(async move {
            for round in 0..15 {
                let mut offsets: Vec<i64> = (round * 40..round * 40 + 40).collect();
                // Each writer meets the minutes in another order.
                offsets.rotate_left(usize::try_from(number).unwrap() * 10);
                let outcomes = offsets.into_iter().map(|offset| {
                    let mut scored = scored(number, offset);
                    scored.message.event_time =
                        super::kafka_time(0, 0) + TimeDelta::minutes(offset % 40);
                    Outcome::Scored(scored)
                });
                let chunk = chunk(outcomes);
                store.write_chunk(&chunk, &epochs).await?;
                // And once more, so that rows shrink and grow in one statement.
                store.write_chunk(&chunk, &epochs).await?;
            }
            Ok::<_, StoreError>(())
        });
    }
    let maintained = fixture.store.maintain(chrono::Utc::now()).await;
    while let Some(ended) = writers.join_next().await {
        ended.unwrap().unwrap();
    }
    maintained.unwrap();
    assert_eq!(
        fixture.store.counts("posts").await.unwrap().predictions,
        4 * 15 * 40
    );
    fixture.assert_rollups_exact().await;
}

#[tokio::test]
async fn a_write_that_lost_its_connection_may_be_retried() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let chunk = chunk(messages(0..50));
    let mut blocker = fixture.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM partition_epochs FOR UPDATE")
        .execute(&mut *blocker)
        .await
        .unwrap();
    let writing = {
        let (store, chunk, epochs) = (fixture.store.clone(), chunk.clone(), epochs.clone());
        tokio::spawn(async move { store.write_chunk(&chunk, &epochs).await })
    };
    let pid = fixture.wait_until_blocked().await;
    sqlx::query("SELECT pg_terminate_backend($1)")
        .bind(pid)
        .execute(&fixture.pool)
        .await
        .unwrap();
    let error = writing.await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error}");
    blocker.rollback().await.unwrap();

    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    assert_eq!(fixture.store.counts("posts").await.unwrap().predictions, 50);
    fixture.assert_rollups_exact().await;
}

#[tokio::test]
async fn a_connection_cut_while_idle_is_replaced_unnoticed() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'tidewatch'",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    fixture
        .store
        .write_chunk(&chunk(messages(0..5)), &epochs)
        .await
        .unwrap();
}

#[tokio::test]
async fn commits_wait_for_the_disk_whatever_the_server_does_by_default() {
    let fixture = Fixture::new().await;
    let sql = format!(
        "ALTER DATABASE {} SET synchronous_commit = off;
         CREATE TABLE seen (setting text);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
         CREATE TRIGGER see AFTER INSERT ON predictions EXECUTE FUNCTION see()",
        fixture.database.name
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&fixture.pool)
        .await
        .unwrap();
    let store = tidewatch::store::Store::connect(&super::config(&fixture.database.url))
        .await
        .unwrap();
    let epochs = store.claim("test", &[partition(0)]).await.unwrap();
    store
        .write_chunk(&chunk(messages(0..1)), &epochs)
        .await
        .unwrap();
    let seen = sqlx::query("SELECT setting FROM seen")
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(seen.get::<String, _>("setting"), "on");
}
