//! One check: Kafka is read once, Postgres as often as it is asked for.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::message::BorrowedMessage;
use tokio::runtime::Handle;

use super::Window;
use super::age::Retention;
use super::book::Book;
use super::details::{self, Details};
use super::error::VerifyError;
use super::judge::{self, Counts, Judgement, SHOWN};
use super::kafka::Kafka;
use super::outcome::Kind;
use super::postgres::Snapshot;
use super::read::{self, Outputs};
use super::report::{Example, Report};
use super::rollups::{Bounds, Miscount};
use super::watch::{Step, Watch};
use crate::config::Config;

/// A check under way.
pub struct Check<'a> {
    config: &'a Config,
    window: Window,
    now: DateTime<Utc>,
    retention: Retention,
    kafka: Kafka,
    outputs: Outputs,
    book: Book,
}

/// Messages of a partition whose rows are not what Kafka says of them, so that they can be made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub topic: Arc<str>,
    pub partition: i32,
    /// Of the last message that the group has committed.
    pub last_committed: i64,
    /// All of them below the group's committed offset, in order.
    pub offsets: Vec<i64>,
    /// Those of them of which Postgres holds something, in order.
    pub held: Vec<i64>,
}

impl<'a> Check<'a> {
    /// Reads Kafka, after waiting at most so long until the service has nothing left to read. Blocks.
    ///
    /// # Errors
    ///
    /// Kafka cannot be read.
    pub fn begin(
        config: &'a Config,
        window: &Window,
        settle: Duration,
        runtime: &Handle,
        watch: &mut Watch<'_>,
    ) -> Result<Self, VerifyError> {
        let kafka = Kafka::new(&config.kafka)?;
        if !settle.is_zero() {
            read::settle(&kafka, &config.input, settle, watch)?;
        }
        let now = Utc::now();
        let retention = Retention::of(&config.postgres, now);
        let mut book = read::open(&kafka, &config.input, window)?;
        let names = &config.output;
        let outputs = read::outputs(&kafka, names, window)?;
        read::inputs(&kafka, window, now, &mut book, &retention, watch)?;
        let firsts = read::outcomes(&kafka, names, &outputs, &mut book, &retention, watch)?;
        firsts.bound(&kafka, names, &outputs, now, runtime, &mut book)?;
        read::committed_later(&kafka, &mut book)?;
        Ok(Self {
            config,
            window: *window,
            now,
            retention,
            kafka,
            outputs,
            book,
        })
    }

    /// Reads Postgres, and says what both sides together say. With `in_words`, the first faults are looked up again on both sides
    /// for what they say, which takes as long as reading the outcomes did. Blocks.
    ///
    /// # Errors
    ///
    /// Postgres cannot be read, or Kafka.
    pub fn report(
        &mut self,
        in_words: bool,
        runtime: &Handle,
        watch: &mut Watch<'_>,
    ) -> Result<Report, VerifyError> {
        let mut report = Report::default();
        let mut details = Details::default();
        let limited = self.window.is_limited();
        let judgement = runtime.block_on(async {
            let mut snapshot = Snapshot::take(&self.config.postgres).await?;
            self.book.forget_rows();
            snapshot.read(&mut self.book, limited, watch).await?;
            let judgement = self.judge();
            let bounds = self.bounds(&mut snapshot, &judgement.counts).await?;
            watch.begin(Step::Rollups, 1);
            snapshot
                .miscounts(&self.book, &bounds, limited, async |miscount| {
                    report.rollups_differing += 1;
                    if report.miscounts.len() < SHOWN {
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
        if in_words && !details.is_empty() {
            let names = &self.config.output;
            details::kafka(&self.kafka, names, &self.outputs, &mut details, watch)?;
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
        report.foreign_outcomes = self.book.foreign_outcomes;
        report.foreign_rows = self.book.foreign_rows;
        report.unreadable = self.book.unreadable;
        report.overrun = self.book.overrun;
        Ok(report)
    }

    fn judge(&self) -> Judgement {
        let start = self.config.kafka.start;
        judge::judge(&self.book, start, self.window.from.is_some())
    }

    async fn bounds(
        &self,
        snapshot: &mut Snapshot,
        counts: &Counts,
    ) -> Result<Bounds, VerifyError> {
        let nothing_gone = snapshot
            .nothing_gone(&self.book, &self.retention, counts)
            .await?;
        let config = &self.config.postgres;
        Ok(Bounds::new(config, &self.retention, self.now, nothing_gone))
    }

    /// The messages whose rows can be made anew, as the last [`Check::report`] found them: committed ones of which Kafka says one
    /// thing, and Postgres nothing, more, or another.
    #[must_use]
    pub fn broken(&self) -> Vec<Broken> {
        let mut all = Vec::new();
        for (topic, partition) in self.book.partitions() {
            let committed = partition
                .committed
                .map_or(0, |committed| partition.rank_from(committed));
            let Some(last) = committed.checked_sub(1) else {
                continue;
            };
            let mut broken = Broken {
                topic: Arc::clone(topic),
                partition: partition.number,
                last_committed: partition.offset(last),
                offsets: Vec::new(),
                held: Vec::new(),
            };
            for rank in 0..committed {
                let offset = partition.offset(rank);
                let (kafka, postgres) = partition.sides(rank);
                let verdict = judge::verdict(partition, offset, kafka, postgres);
                let wrong = verdict.lost_in_postgres || verdict.doubled || verdict.disagreeing;
                if wrong && kafka.kind().is_some() && !kafka.is_doubled() {
                    broken.offsets.push(offset);
                    if postgres.kind().is_some() {
                        broken.held.push(offset);
                    }
                }
            }
            if !broken.offsets.is_empty() {
                all.push(broken);
            }
        }
        all
    }

    /// Hands over the counts per minute that are a fault now.
    ///
    /// # Errors
    ///
    /// Postgres cannot be read, or whatever `each` says.
    pub async fn miscounts<E: From<VerifyError>>(
        &self,
        each: impl AsyncFnMut(Miscount) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut snapshot = Snapshot::take(&self.config.postgres).await?;
        let bounds = self.bounds(&mut snapshot, &self.judge().counts).await?;
        let limited = self.window.is_limited();
        snapshot.miscounts(&self.book, &bounds, limited, each).await
    }

    /// Hands over every outcome's record.
    ///
    /// # Errors
    ///
    /// Kafka cannot be read.
    pub fn read_outcomes(
        &self,
        mut each: impl FnMut(Kind, &BorrowedMessage<'_>) -> ControlFlow<()>,
    ) -> Result<(), VerifyError> {
        for (topic, spans, kind) in self.outputs.each(&self.config.output) {
            self.kafka
                .read(topic, spans, |message| each(kind, message))?;
        }
        Ok(())
    }

    /// Hands over the messages within these offsets of an input topic's partitions.
    ///
    /// # Errors
    ///
    /// Kafka cannot be read.
    pub fn read_messages(
        &self,
        topic: &str,
        spans: &BTreeMap<i32, Range<i64>>,
        each: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()>,
    ) -> Result<(), VerifyError> {
        self.kafka.read(topic, spans, each)
    }
}
