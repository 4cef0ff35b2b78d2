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
mod details;
mod error;
mod judge;
mod kafka;
mod outcome;
mod postgres;
mod read;
mod report;
mod rollups;
mod runs;
mod watch;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;

pub use details::Sayings;
pub use error::VerifyError;
pub use judge::{Counts, Fault, Place};
pub use report::{Example, Report};
pub use rollups::Miscount;
pub use watch::{Progress, Step, Watch};

use crate::config::Config;
use age::Retention;
use details::Details;
use kafka::Kafka;
use postgres::Snapshot;
use rollups::Bounds;

/// Which messages are looked at, by Kafka's time of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// From the first one of this time or later.
    pub from: Option<DateTime<Utc>>,
    /// To the last one before the first of this time or later.
    pub to: Option<DateTime<Utc>>,
}

impl Window {
    fn is_limited(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }
}

/// Checks everything within the window. Blocks, outside of any runtime's own threads; `runtime` is where Postgres is asked.
///
/// # Errors
///
/// Kafka or Postgres cannot be read.
pub fn verify(
    config: &Config,
    window: &Window,
    runtime: &Handle,
    watch: &mut Watch<'_>,
) -> Result<Report, VerifyError> {
    let now = Utc::now();
    let retention = Retention::of(&config.postgres, now);
    let kafka = Kafka::new(&config.kafka)?;
    let mut book = read::open(&kafka, &config.input, window)?;
    let outputs = read::outputs(&kafka, &config.output, window)?;
    read::inputs(&kafka, &mut book, &retention, watch)?;
    read::outcomes(
        &kafka,
        &config.output,
        &outputs,
        &mut book,
        &retention,
        watch,
    )?;
    read::committed_later(&kafka, &mut book)?;

    let mut report = Report::default();
    let mut details = Details::default();
    let judgement = runtime.block_on(async {
        let mut snapshot = Snapshot::take(&config.postgres).await?;
        snapshot.read(&mut book, window.is_limited(), watch).await?;
        let judgement = judge::judge(&book, config.kafka.start, window.from.is_some());
        watch.begin(Step::Rollups, 1);
        let nothing_gone = snapshot
            .nothing_gone(&book, &retention, &judgement.counts)
            .await?;
        let bounds = Bounds::new(&config.postgres, &retention, now, nothing_gone);
        snapshot
            .miscounts(&book, &bounds, window.is_limited(), async |miscount| {
                report.rollups_differing += 1;
                if report.miscounts.len() < judge::SHOWN {
                    report.miscounts.push(miscount);
                }
                Ok(())
            })
            .await?;
        for (_, place) in &judgement.places {
            details.entry(place.clone()).or_default();
        }
        snapshot.details(&mut details).await?;
        Ok::<_, VerifyError>(judgement)
    })?;
    if !details.is_empty() {
        details::kafka(&kafka, &config.output, &outputs, &mut details, watch)?;
    }
    report.counts = judgement.counts;
    report.examples = judgement
        .places
        .into_iter()
        .map(|(fault, place)| Example {
            fault,
            said: details.get(&place).cloned().unwrap_or_default(),
            place,
        })
        .collect();
    report.foreign_outcomes = book.foreign_outcomes;
    report.foreign_rows = book.foreign_rows;
    report.unreadable = book.unreadable;
    Ok(report)
}
