//! Does it add up? What the service has written is checked from the outside; then it is damaged by hand, and each damage is
//! found and named.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::time::Duration;

use serde_json::json;

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
        let (kafka, database) = (Kafka::new(2).await, TestDatabase::new().await);
        let config = ServiceConfig::new(&kafka, &database, "");
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

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_has_written_adds_up() {
    let settled = Settled::new(300).await;
    let (code, said) = settled.config.verify(&[]);
    assert_eq!(
        (code, &said),
        (
            0,
            &json!({"messages": 300, "scored": 270, "dead": 30, "unread": 0, "ahead": 0, "lost": 0, "doubled": 0,
                    "disagreeing": 0, "uncommitted": 0, "rollups_differing": 0, "examples": []})
        )
    );
    let _ = (&settled.kafka, &settled.database, settled.sent);
}
