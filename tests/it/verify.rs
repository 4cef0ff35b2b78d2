//! Does it add up? What the service has written is checked from the outside; then it is damaged by hand, and each damage is
//! found and named.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod beside;
mod damage;
mod restore;
mod retention;

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{PgPool, Row};

use crate::harness::{Kafka, ServiceConfig, TestDatabase, eventually};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);

/// Messages, every tenth of which cannot be scored.
fn posts(count: usize) -> impl Iterator<Item = Option<Vec<u8>>> {
    (0..count).map(|number| match number % 10 {
        3 if number % 20 == 3 => None,
        3 => Some(b"not json".to_vec()),
        _ => Some(
            json!({
                "text": format!("Message {number} is {}", if number % 3 == 0 { "good" } else { "bad" }),
                "source": format!("source-{}", number % 2),
                "event_time": format!("2026-01-02T03:{:02}:05.123456Z", number % 7),
            })
            .to_string()
            .into_bytes(),
        ),
    })
}

/// A service that has read everything.
struct Settled {
    kafka: Kafka,
    database: TestDatabase,
    config: ServiceConfig,
    sent: usize,
}

impl Settled {
    async fn new(count: usize) -> Self {
        Self::with(count, "").await
    }

    /// With more settings.
    async fn with(count: usize, more: &str) -> Self {
        let (kafka, database) = (Kafka::new(2).await, TestDatabase::new().await);
        let config = ServiceConfig::new(&kafka, &database, more);
        config.migrate();
        let sent = kafka.send(posts(count));
        let mut service = config.start("one");
        eventually("everything to be committed", LONG, || {
            (kafka.committed() >= i64::try_from(sent).unwrap()).then_some(())
        });
        assert!(service.terminate().success());
        Self {
            kafka,
            database,
            config,
            sent,
        }
    }
}

/// The sum of what is in order.
fn clean(messages: usize) -> Value {
    json!({"messages": messages, "scored": messages - messages / 10, "dead": messages / 10, "unread": 0, "ahead": 0, "lost": 0,
           "doubled": 0, "disagreeing": 0, "uncommitted": 0, "rollups_differing": 0, "examples": []})
}

/// How many there are of each fault, in the order lost, doubled, disagreeing, uncommitted, rollups_differing.
fn faults(said: &Value) -> [u64; 5] {
    [
        "lost",
        "doubled",
        "disagreeing",
        "uncommitted",
        "rollups_differing",
    ]
    .map(|fault| said[fault].as_u64().unwrap())
}

/// Everything in the tables but the times at which it was written, in words.
async fn dump(pool: &PgPool) -> Vec<String> {
    let mut lines = Vec::new();
    for statement in [
        "SELECT 'row ' || (to_jsonb(held) - 'scored_at' - 'model')::text || ' ' || coalesce(m.version, '?')
           FROM predictions held LEFT JOIN models m ON m.id = held.model ORDER BY 1",
        "SELECT 'dead letter ' || (to_jsonb(held) - 'dead_at')::text FROM dead_letters held ORDER BY 1",
        "SELECT 'count ' || (to_jsonb(held) - 'updated_at')::text FROM sentiment_minute held ORDER BY 1",
    ] {
        let rows = sqlx::query(statement).fetch_all(pool).await.unwrap();
        lines.extend(rows.iter().map(|row| row.get::<String, _>(0)));
    }
    lines
}

/// Compares dumps, and shows only what differs.
fn assert_same(before: &[String], after: &[String], what: &str) {
    let only = |in_one: &[String], and_not: &[String]| -> Vec<String> {
        in_one
            .iter()
            .filter(|line| !and_not.contains(line))
            .cloned()
            .collect()
    };
    assert_eq!(
        (only(before, after), only(after, before)),
        (Vec::new(), Vec::new()),
        "{what}"
    );
    assert_eq!(before.len(), after.len(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_has_written_adds_up() {
    let settled = Settled::new(300).await;
    assert_eq!(settled.config.verify(&[]), (0, clean(settled.sent)));
    assert_eq!(
        settled
            .config
            .verify(&["--from", "1h", "--wait-settled", "5"]),
        (0, clean(settled.sent))
    );
    let (code, said) = settled.config.verify(&["--to", "1h"]);
    assert_eq!((code, &said["messages"]), (0, &json!(0)), "{said}");
    // What is repaired is nothing.
    let (code, said) = settled.config.verify(&["--repair"]);
    assert_eq!((code, &said["repaired"]["rows"]), (0, &json!(0)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_or_config_ends_with_2_and_a_database_without_tables_with_1() {
    let (kafka, database) = (Kafka::new(1).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "");
    for (arguments, words) in [
        (&["--from", "yesterday"][..], "so long ago"),
        (&["--from", "1h", "--to", "2h"][..], "before --to"),
    ] {
        let output = config.run("verify", arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
    // The database has no tables yet.
    let output = config.run("verify", &["--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("tidewatch migrate") && output.stdout.is_empty(),
        "{said}"
    );
}
