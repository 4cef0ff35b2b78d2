//! What a test needs around it: topics, a database, the service as a process. Everything is unique to the
//! test that asked for it and is removed when dropped.

#![allow(
    dead_code,
    unused_imports,
    reason = "each file of tests uses a part of the harness"
)]

mod bundle;
mod data;
mod feed;
mod kafka;
mod ledger;
mod postgres;
mod receiver;
mod relay;
mod servers;
mod service;
mod wire;

pub use bundle::{LABELS, MAX_TOKENS, SmallBundle};
pub use data::{data_folder, semeval_files};
pub use feed::Feed;
pub use kafka::{Kafka, Record};
pub use ledger::{Entry, Ledger, Place};
pub use postgres::TestDatabase;
pub use receiver::{Manner, Receiver, Told};
pub use relay::{Hidden, Relay};
pub use servers::{OwnKafka, OwnPostgres};
pub use service::{Service, ServiceConfig, default_model};
pub use wire::{Wire, WireRecord};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A name no other test and no earlier run has used, safe for topics, groups and databases.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_nanos();
    format!(
        "{prefix}_{}_{nanos:x}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Asks until the answer is `Some`, or panics after `limit` naming what was awaited.
pub fn eventually<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The value of a variable that `scripts/test` sets.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run scripts/test, or name a running server with it")
    })
}
