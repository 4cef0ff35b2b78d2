//! Servers die, stop and move while the service works: nothing is lost or doubled, the probe says what is waited for
//! while it lasts, and the service goes on by itself.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod broker;
mod cluster;
mod database;
mod disk;
mod drain;
mod statements;
mod topics;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::{
    Feed, Kafka, Ledger, Service, ServiceConfig, SmallBundle, TestDatabase, eventually,
};
use crate::recovery::{assert_rollups, posts, wait_committed};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(120);

/// Topics, a database and the service's configuration for them.
struct Line {
    kafka: Arc<Kafka>,
    database: TestDatabase,
    config: ServiceConfig,
    _bundle: SmallBundle,
}

impl Line {
    /// With small chunks, so that each fault meets many of them, a group that soon misses a member, and further options of
    /// the Kafka clients.
    fn new(kafka: Kafka, database: TestDatabase, client: &[(&str, &str)]) -> Self {
        let mut more = "[batch]\nmax_messages = 32\nmax_delay_ms = 5\n[kafka.client]\n".to_owned();
        let common = [
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "500"),
        ];
        for (option, value) in common.iter().chain(client) {
            more += &format!("\"{option}\" = \"{value}\"\n");
        }
        let bundle = SmallBundle::new();
        let config = ServiceConfig::with_model(&kafka, &database, &bundle.path(), "", &more);
        config.migrate();
        Self {
            kafka: Arc::new(kafka),
            database,
            config,
            _bundle: bundle,
        }
    }

    /// Begins to send messages, some hundred a second.
    fn feed(&self) -> Feed {
        Feed::start(&self.kafka, posts(usize::MAX))
    }

    /// Waits until so many more messages have been committed.
    fn wait_for_more(&self, messages: i64) {
        wait_committed(&self.kafka, self.kafka.committed() + messages);
    }

    /// Ends the stream, waits until all of it has been committed, and does the books.
    async fn close(&self, feed: Feed) {
        let sent = feed.stop();
        self.wait_whole(sent).await;
    }

    /// Waits until so many messages have been committed, and does the books.
    async fn wait_whole(&self, sent: usize) {
        assert_eq!(self.kafka.stored(), i64::try_from(sent).unwrap());
        wait_committed(&self.kafka, i64::try_from(sent).unwrap());
        Ledger::read(&self.kafka, &self.database)
            .await
            .assert_balanced(sent);
        assert_rollups(&self.database).await;
    }
}

/// What the probe says of a part: why it is not ready, or nothing where it is; nothing at all where it does not answer.
fn reason(service: &Service, part: &str) -> Option<Option<String>> {
    let (_, body) = service.get("/readyz")?;
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    Some(answer["waiting_for"][part].as_str().map(str::to_owned))
}

/// Waits until the probe says that the part is not ready, and returns why.
fn wait_unready(service: &Service, part: &str) -> String {
    eventually(&format!("{part} to be waited for"), LONG, || {
        reason(service, part).flatten()
    })
}

/// How long the probe says all of the time that the part is not ready, but for at most `limit`.
fn stays_unready(service: &Service, part: &str, limit: Duration) -> Duration {
    let begun = Instant::now();
    // No answer, on a busy machine, is none that it is ready.
    while begun.elapsed() < limit && reason(service, part) != Some(None) {
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// SIGTERM; panics unless the service drains within `limit` and ends well.
fn drain(service: &mut Service, limit: Duration) {
    let begun = Instant::now();
    let status = service.terminate();
    let took = begun.elapsed();
    eprintln!("the drain took {:.1} s", took.as_secs_f64());
    assert!(status.success(), "the drain ended with {status}");
    assert!(took < limit, "the drain took {took:?}, more than {limit:?}");
}
