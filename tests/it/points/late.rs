//! A member that the group has gone on without claims late, between its successor's two transactions.

use std::sync::Arc;

use secrecy::SecretString;
use tidewatch::record::{
    Assignment, DeadLetter, DeadReason, Offsets, Origin, Outcome, RawMessage, ScoredChunk,
    TopicPartition,
};
use tidewatch::store::config::{StoreConfig, TextStorage};
use tidewatch::store::{Store, StoreError};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_between_the_rows_and_the_commit_is_seen_before_the_commit() {
    let mut stage = Stage::new("", "").await;
    // One message, so that nothing that follows would bring the claim to light.
    stage.send(1);
    let mut owner = stage
        .lenient
        .start_armed("owner", "transaction-begun", 1, "stop");
    eventually("the owner to be suspended", LONG, || {
        owner.is_stopped().then_some(())
    });
    // The owner's rows are written and no offsets are pending: whoever reads them now reads the message again.
    let store = store(&stage.database).await;
    let partition = TopicPartition {
        topic: Arc::from(&*stage.kafka.input),
        partition: 0,
    };
    let epochs = store.claim("late", &[partition]).await.unwrap();
    owner.signal("CONT");
    stage.wait_all_committed();

    // What is committed never changes, so the late one must have been fenced by now.
    let written = store.write_chunk(&other_outcome(&stage), &epochs).await;
    assert!(
        matches!(written, Err(StoreError::Fenced { .. })),
        "{written:?}"
    );
    stage.assert_whole().await;
    assert_eq!(
        owner.metric("tidewatch_chunks_abandoned_total{reason=\"fenced\"}"),
        Some(1.0)
    );
    assert!(owner.terminate().success());
}

async fn store(database: &TestDatabase) -> Store {
    Store::connect(&StoreConfig {
        url: SecretString::from(&*database.url),
        max_connections: 1,
        text: TextStorage::Full,
        retention_days: 30,
        rollup_retention_days: 30,
        partitions_ahead: 1,
    })
    .await
    .unwrap()
}

/// The first message as a dead letter.
fn other_outcome(stage: &Stage) -> ScoredChunk {
    let origin = Origin {
        topic: Arc::from(&*stage.kafka.input),
        partition: 0,
        offset: 0,
    };
    let mut offsets = Offsets::default();
    offsets.include(&origin);
    ScoredChunk {
        outcomes: vec![Outcome::Dead(DeadLetter {
            raw: RawMessage {
                origin,
                kafka_time: chrono::Utc::now(),
                key: None,
                headers: Vec::new(),
                payload: None,
            },
            reason: DeadReason::Tombstone,
            detail: "the record has no value".to_owned(),
        })],
        offsets,
        assignment: Assignment(0),
        panes: Vec::new(),
        started: std::time::Instant::now(),
    }
}
