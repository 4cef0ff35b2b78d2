//! Does it add up? A check of everything that a deployment has written, from the outside.
//!
//! It reads the input topics, the output topics as `read_committed` readers see them, the group's committed offsets and the tables, and
//! compares: it knows what the service promises and how records and tables look, and nothing of how the service does it. For
//! that it has its own reading of both sides; only settings are shared.
//!
//! It may run beside the service. What makes the moments fit together is their order: the group's offsets first (what is below
//! them must have an outcome), then the outcomes up to what stood there after that, then the group's offsets again (what is not
//! below them must have none), then one snapshot of the tables (whose rows come before their outcomes).

mod age;
mod book;
mod cell;
mod check;
mod details;
mod error;
mod expired;
mod judge;
mod kafka;
mod outcome;
mod postgres;
mod read;
mod report;
mod rollups;
mod runs;
mod watch;

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;

pub use check::{Broken, Check};
pub use details::Sayings;
pub use error::VerifyError;
pub use judge::{Counts, Fault, Place};
pub use kafka::time as kafka_time;
pub use outcome::{Kind, Origin, origin};
pub use report::{Example, Report};
pub use rollups::Miscount;
pub use watch::{Progress, Step, Watch};

use crate::config::Config;

/// Which messages are looked at, by Kafka's time of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Those of this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Those before this time.
    pub to: Option<DateTime<Utc>>,
}

impl Window {
    fn is_limited(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// Whether it holds a message of this time. Of one that claims to be from the future nobody knows when it came: it is in no
    /// limited window.
    fn holds(&self, time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let after = self.from.is_none_or(|from| time >= from);
        let before = self.to.is_none_or(|to| time < to);
        after && before && (time <= now || !self.is_limited())
    }
}

/// Checks everything within the window, after waiting at most so long until the service has nothing left to read. Blocks, outside
/// of any runtime's own threads; `runtime` is where Postgres is asked.
///
/// # Errors
///
/// Kafka or Postgres cannot be read.
pub fn verify(
    config: &Config,
    window: &Window,
    settle: Duration,
    runtime: &Handle,
    watch: &mut Watch<'_>,
) -> Result<Report, VerifyError> {
    Check::begin(config, window, settle, runtime, watch)?.report(true, runtime, watch)
}
