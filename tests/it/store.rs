//! The store against a real Postgres.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod alerting;
mod annotating;
mod checking;
mod claiming;
mod contents;
mod dashboards;
mod labelling;
mod maintaining;
mod rolling;
mod watching;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use sqlx::PgPool;
use tidewatch::record::{
    Assignment, DeadLetter, DeadReason, Message, ModelVersion, Offsets, Origin, Outcome,
    Prediction, Problem, RawMessage, Scored, ScoredChunk, TopicPartition,
};
use tidewatch::store::config::{StoreConfig, TextStorage};
use tidewatch::store::{Epochs, Store};

use crate::harness::TestDatabase;

const TOPIC: &str = "posts";

/// A migrated database, a store over it, and a pool of the test's own to look behind the store.
struct Fixture {
    database: TestDatabase,
    store: Store,
    pool: PgPool,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than [`config`].
    async fn with(change: impl FnOnce(&mut StoreConfig)) -> Self {
        let database = TestDatabase::new().await;
        let mut config = config(&database.url);
        change(&mut config);
        let store = Store::connect(&config).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            pool: database.pool().await,
            store,
            database,
        }
    }

    async fn claim(&self, partitions: &[i32]) -> Epochs {
        let partitions: Vec<_> = partitions.iter().map(|&number| partition(number)).collect();
        self.store.claim("test", &partitions).await.unwrap()
    }

    /// The one number that a query yields.
    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Panics unless the counts per minute are those of the rows.
    async fn assert_rollups_exact(&self) {
        let differences = self
            .number(
                "WITH counted AS (
                     SELECT date_trunc('minute', event_time, 'UTC') AS minute, coalesce(source, '') AS source,
                            coalesce(subject, '') AS subject, label, count(*) AS messages
                       FROM predictions GROUP BY 1, 2, 3, 4),
                 kept AS (SELECT minute, source, subject, label, messages FROM sentiment_minute)
                 SELECT count(*) FROM ((TABLE counted EXCEPT ALL TABLE kept) UNION ALL (TABLE kept EXCEPT ALL TABLE counted)) d",
            )
            .await;
        assert_eq!(differences, 0, "rows of sentiment_minute that disagree");
    }

    /// Waits until a session of the store waits for a lock.
    async fn wait_until_blocked(&self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let blocked = sqlx::query_scalar(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name = 'tidewatch' AND wait_event_type = 'Lock'",
            );
            if let Some(pid) = blocked.fetch_optional(&self.pool).await.unwrap() {
                return pid;
            }
            assert!(Instant::now() < deadline, "nothing waits for a lock");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn config(url: &str) -> StoreConfig {
    StoreConfig {
        url: SecretString::from(url),
        max_connections: 4,
        text: TextStorage::Full,
        retention_days: 5,
        rollup_retention_days: 20,
        partitions_ahead: 2,
    }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition {
        topic: Arc::from(TOPIC),
        partition: number,
    }
}

fn raw(partition: i32, offset: i64) -> RawMessage {
    RawMessage {
        origin: Origin {
            topic: Arc::from(TOPIC),
            partition,
            offset,
        },
        kafka_time: kafka_time(partition, offset),
        key: Some(Bytes::from_static(b"key")),
        headers: Vec::new(),
        payload: Some(Bytes::from_static(b"{\"text\": \"fine\"}")),
    }
}

/// The same for the same message in every run of the process, as Kafka's is.
fn kafka_time(partition: i32, offset: i64) -> DateTime<Utc> {
    static START: std::sync::LazyLock<DateTime<Utc>> = std::sync::LazyLock::new(Utc::now);
    *START + TimeDelta::milliseconds(i64::from(partition) * 7 + offset)
}

/// A message whose minute, source, subject and label follow from its offset.
fn scored(partition: i32, offset: i64) -> Scored {
    let kind = usize::try_from(offset).unwrap();
    let raw = raw(partition, offset);
    Scored {
        message: Message {
            event_time: raw.kafka_time - TimeDelta::seconds(offset * 13 % 300),
            raw,
            id: Some(format!("id-{offset}")),
            text: format!("text {offset}"),
            author: None,
            source: [Some("twitter"), Some("app-store"), None][kind % 3].map(str::to_owned),
            subject: [Some("coffee"), None][kind % 2].map(str::to_owned),
            language: Some("en".to_owned()),
        },
        prediction: prediction(kind % 3),
        tokens: 7,
        truncated: false,
    }
}

fn prediction(label: usize) -> Prediction {
    let mut probabilities = vec![0.25; 3];
    probabilities[label] = 0.5;
    Prediction {
        label,
        probabilities,
    }
}

fn dead(partition: i32, offset: i64) -> DeadLetter {
    DeadLetter {
        raw: raw(partition, offset),
        reason: DeadReason::Undecodable,
        detail: "expected JSON: EOF at line 1 column 7".to_owned(),
    }
}

fn model(version: &str) -> Arc<ModelVersion> {
    Arc::new(ModelVersion {
        version: version.to_owned(),
        labels: ["negative", "neutral", "positive"]
            .map(str::to_owned)
            .to_vec(),
        problem: Problem::SingleLabel,
    })
}

/// A chunk of these outcomes, scored by model `m1`.
fn chunk(outcomes: impl IntoIterator<Item = Outcome>) -> ScoredChunk {
    let outcomes: Vec<_> = outcomes.into_iter().collect();
    let mut offsets = Offsets::default();
    for outcome in &outcomes {
        offsets.include(&outcome.raw().origin);
    }
    ScoredChunk {
        outcomes,
        offsets,
        assignment: Assignment(1),
        model: model("m1"),
        panes: Vec::new(),
        started: Instant::now(),
    }
}

/// Scored messages of these offsets in partition 0.
fn messages(offsets: std::ops::Range<i64>) -> Vec<Outcome> {
    offsets
        .map(|offset| Outcome::Scored(scored(0, offset)))
        .collect()
}
