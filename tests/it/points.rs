//! The service dies, or is suspended and comes back as a zombie, at each named point of a chunk's way
//! (`src/fault.rs`): alone, and with two instances while partitions move. Only with the feature `failpoints`.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod alone;
mod late;
mod moving;
mod zombie;

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::harness::{Kafka, Ledger, ServiceConfig, SmallBundle, TestDatabase, eventually};
use crate::recovery::{assert_rollups, posts, wait_committed};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);

/// What happens, and at which point: `kill` or `stop`, perhaps some microseconds later.
#[derive(Clone, Copy)]
struct Place {
    point: &'static str,
    /// Microseconds after the point, for what goes on inside a call.
    within: Option<u64>,
}

impl Place {
    fn action(self, action: &str) -> String {
        match self.within {
            Some(most) => format!("{action}+{}", rand::random_range(1..most)),
            None => action.to_owned(),
        }
    }
}

/// What every scenario stands on: topics, a database, and two configurations that judge the same message differently, so
/// that a replay changes its outcome: another model, and a limit that makes longer messages dead letters.
struct Stage {
    kafka: Kafka,
    database: TestDatabase,
    lenient: ServiceConfig,
    strict: ServiceConfig,
    sent: usize,
    rng: StdRng,
    _bundles: [SmallBundle; 2],
}

impl Stage {
    async fn new(kafka_options: &str, client_options: &str) -> Self {
        let (kafka, database) = (Kafka::new(3).await, TestDatabase::new().await);
        let bundles = [
            SmallBundle::new(),
            SmallBundle::written(Default::default(), |manifest| manifest.temperature = 0.75),
        ];
        let config = |bundle: &SmallBundle, max_bytes: usize| {
            let more = format!(
                "[batch]\nmax_messages = 16\nmax_delay_ms = 5\nmax_bytes = {max_bytes}\n\
                 [kafka.client]\n\"session.timeout.ms\" = \"3000\"\n\"heartbeat.interval.ms\" = \"300\"\n\
                 \"transaction.timeout.ms\" = \"5000\"\n{client_options}"
            );
            ServiceConfig::with_model(&kafka, &database, &bundle.path(), kafka_options, &more)
        };
        let (lenient, strict) = (config(&bundles[0], 10_000), config(&bundles[1], 150));
        lenient.migrate();
        let seed = rand::random();
        eprintln!("moments come from the seed {seed}");
        Self {
            kafka,
            database,
            lenient,
            strict,
            sent: 0,
            rng: StdRng::seed_from_u64(seed),
            _bundles: bundles,
        }
    }

    fn send(&mut self, count: usize) {
        self.sent += self.kafka.send(posts(count));
    }

    /// Keeps messages coming until `ask` has an answer.
    fn feed_until<T>(&mut self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        eventually(what, LONG, || {
            let answer = ask();
            if answer.is_none() {
                self.send(60);
            }
            answer
        })
    }

    fn wait_all_committed(&self) {
        wait_committed(&self.kafka, i64::try_from(self.sent).unwrap());
    }

    async fn assert_whole(&self) {
        Ledger::read(&self.kafka, &self.database)
            .await
            .assert_balanced(self.sent);
        assert_rollups(&self.database).await;
    }
}

macro_rules! points {
    ($($module:ident: $point:literal, $within:expr;)*) => {$(
        mod $module {
            use super::*;

            const PLACE: Place = Place { point: $point, within: $within };

            #[tokio::test(flavor = "multi_thread")]
            async fn a_killed_instance_comes_back_and_the_books_are_whole() {
                alone::killed(PLACE).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_killed_instance_is_replaced_while_partitions_move_by_range() {
                moving::killed(PLACE, "range").await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_killed_instance_is_replaced_while_partitions_move_cooperatively() {
                moving::killed(PLACE, "cooperative-sticky").await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_zombie_changes_nothing_and_rejoins() {
                zombie::woken(PLACE).await;
            }
        }
    )*};
}

points! {
    when_partitions_are_claimed: "claimed", None;
    when_committed_offsets_are_read: "offsets-read", None;
    when_a_chunk_is_formed: "chunk-formed", None;
    after_inference: "inferred", None;
    inside_the_postgres_transaction: "rows-written", None;
    after_the_postgres_transaction: "rows-committed", None;
    after_a_kafka_transaction_has_begun: "transaction-begun", None;
    after_the_results_are_sent: "records-sent", None;
    after_the_offsets_are_sent: "offsets-sent", None;
    after_the_commit_is_asked_for: "commit-asked", Some(3_000);
    after_the_commit: "committed", None;
}
