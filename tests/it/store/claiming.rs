//! Whoever claimed a partition last writes it, and nobody else.

use std::collections::BTreeSet;

use tidewatch::record::Outcome;
use tidewatch::store::{Counts, Epochs, StoreError};

use super::{Fixture, chunk, messages, partition, scored};

#[tokio::test]
async fn a_writer_with_an_epoch_of_the_past_is_fenced_and_writes_nothing() {
    let fixture = Fixture::new().await;
    let stale = fixture.claim(&[0, 1]).await;
    let current = fixture.claim(&[1]).await;
    // One of the two partitions has moved on: the chunk must not be written in part.
    let both = chunk([Outcome::Scored(scored(0, 0)), Outcome::Scored(scored(1, 0))]);
    match fixture.store.write_chunk(&both, &stale).await {
        Err(StoreError::Fenced {
            partition: fenced,
            held,
            current,
        }) => assert_eq!((fenced, held, current), (partition(1), Some(1), Some(2))),
        other => panic!("not fenced: {other:?}"),
    }
    assert_eq!(
        fixture.store.counts("posts").await.unwrap(),
        Counts::default()
    );
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM sentiment_minute")
            .await,
        0
    );
    assert_eq!(
        fixture
            .number("SELECT sum(next_offset)::bigint FROM partition_epochs")
            .await,
        0
    );

    let own = chunk([Outcome::Scored(scored(1, 0))]);
    fixture.store.write_chunk(&own, &current).await.unwrap();
}

#[tokio::test]
async fn a_partition_that_was_never_claimed_cannot_be_written() {
    let fixture = Fixture::new().await;
    let error = fixture
        .store
        .write_chunk(&chunk(messages(0..1)), &Epochs::default())
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
}

#[tokio::test]
async fn an_outcome_of_a_partition_outside_the_chunks_offsets_is_fenced_too() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let mut odd = chunk([Outcome::Scored(scored(0, 0)), Outcome::Scored(scored(1, 0))]);
    odd.offsets.0.remove(&partition(1));
    let error = fixture.store.write_chunk(&odd, &epochs).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_claims_get_distinct_epochs() {
    let fixture = Fixture::new().await;
    let mut claims = tokio::task::JoinSet::new();
    for instance in 0..10 {
        let store = fixture.store.clone();
        claims.spawn(async move {
            // In either order: the store brings them into its own.
            let mut wanted = [partition(0), partition(1)];
            if instance % 2 == 0 {
                wanted.reverse();
            }
            store.claim(&format!("instance-{instance}"), &wanted).await
        });
    }
    let mut seen = BTreeSet::new();
    while let Some(claimed) = claims.join_next().await {
        let epochs = claimed.unwrap().unwrap();
        assert_eq!(epochs.0.len(), 2);
        seen.insert(epochs.0[&partition(0)]);
    }
    assert_eq!(seen, (1..=10).collect());
}

#[tokio::test]
async fn epochs_are_confirmed_until_another_claims_one_of_them() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0, 1]).await;
    let both = [partition(0), partition(1)];
    fixture.store.confirm(&both, &epochs).await.unwrap();

    fixture.claim(&[1]).await;
    fixture.store.confirm(&both[..1], &epochs).await.unwrap();
    match fixture.store.confirm(&both, &epochs).await {
        Err(StoreError::Fenced {
            partition: fenced,
            held,
            current,
        }) => assert_eq!((fenced, held, current), (partition(1), Some(1), Some(2))),
        other => panic!("confirmed: {other:?}"),
    }
    let unknown = fixture.store.confirm(&[partition(2)], &epochs).await;
    assert!(
        matches!(unknown, Err(StoreError::Fenced { held: None, .. })),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_claim_waits_for_the_chunk_that_is_being_written() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    // The write is held up in its middle, after it has locked its partition.
    let mut blocker = fixture.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE predictions IN EXCLUSIVE MODE")
        .execute(&mut *blocker)
        .await
        .unwrap();
    let writing = {
        let store = fixture.store.clone();
        tokio::spawn(async move { store.write_chunk(&chunk(messages(0..5)), &epochs).await })
    };
    let writer = fixture.wait_until_blocked().await;
    let claiming = {
        let store = fixture.store.clone();
        tokio::spawn(async move { store.claim("successor", &[partition(0)]).await })
    };
    // The claim is blocked by the writer, by nobody else.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
              WHERE datname = current_database() AND pg_blocking_pids(pid) = ARRAY[$1]",
        )
        .bind(writer)
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
        if waiting == 1 {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the claim does not wait"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!claiming.is_finished());
    blocker.rollback().await.unwrap();

    writing.await.unwrap().unwrap();
    let claimed = claiming.await.unwrap().unwrap();
    assert_eq!(claimed.0[&partition(0)], 2);
    // What was written before the claim stands.
    assert_eq!(fixture.store.counts("posts").await.unwrap().predictions, 5);
}
