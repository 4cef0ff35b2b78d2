//! Alerts on sentiment, on real Kafka and real Postgres: delivered by couriers, and over a feed that turns.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod couriers;
mod live;
mod replay;

use std::time::Duration;

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);
