//! Makes the rows of Postgres anew from what Kafka holds, so that a database restored from a backup catches up.
//!
//! Kafka is right: its results, its dead letters and the group's offsets were committed together. What the check finds missing,
//! doubled or different in Postgres is written anew; then counts per minute that are not those of the rows are counted anew. Only
//! committed messages are touched, which no instance writes again, so it may run beside the service. A row of which Kafka says
//! nothing is left as it is, and stays a fault.

mod batch;
mod error;
mod rebuild;
mod repaired;
mod spill;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use rdkafka::message::{BorrowedMessage, Message};
use tokio::runtime::Handle;

pub use error::RepairError;
pub use repaired::Repaired;

use self::batch::Batches;
use self::rebuild::rebuild;
use self::spill::Spill;
use crate::config::Config;
use crate::pipeline::Decoder;
use crate::record::{ModelVersion, Origin, RawMessage, TopicPartition};
use crate::store::{Recount, Store};
use crate::verify::{Broken, Check, Miscount, Report, Step, Watch, Window, kafka_time, origin};

/// Counts recounted in one transaction, during which the service waits.
const COUNTS: usize = 200;
/// Checks, repairs what can be repaired, and checks again. `known` is the model that the settings name, if it can be read. Blocks,
/// outside of any runtime's own threads; `runtime` is where Postgres is asked.
///
/// # Errors
///
/// Kafka or Postgres cannot be read or written.
pub fn repair(
    config: &Config,
    window: &Window,
    settle: Duration,
    known: Option<&ModelVersion>,
    runtime: &Handle,
    watch: &mut Watch<'_>,
) -> Result<(Report, Repaired), RepairError> {
    let mut repaired = Repaired::default();
    let mut check = Check::begin(config, window, settle, runtime, watch)?;
    let found = check.report(false, runtime, watch)?;
    if found.adds_up() {
        return Ok((found, repaired));
    }
    let store = runtime.block_on(Store::connect(&config.postgres))?;
    runtime.block_on(store.require_schema())?;
    // Rows written before their day has its partition would go by when they were written.
    runtime.block_on(store.maintain(Utc::now()))?;
    let broken = check.broken();
    if !broken.is_empty() {
        let mut repair = Repair {
            check: &check,
            store: &store,
            runtime,
            repaired: &mut repaired,
        };
        repair.rows(config, broken, known, watch)?;
    }
    runtime.block_on(recount(&check, &store, &mut repaired))?;
    let report = check.report(true, runtime, watch)?;
    runtime.block_on(store.close());
    Ok((report, repaired))
}

/// Rows under repair.
struct Repair<'a> {
    check: &'a Check<'a>,
    store: &'a Store,
    runtime: &'a Handle,
    repaired: &'a mut Repaired,
}

impl Repair<'_> {
    /// Writes the rows of these messages: their outcomes are copied aside, then the messages are read in their order.
    fn rows(
        &mut self,
        config: &Config,
        broken: Vec<Broken>,
        known: Option<&ModelVersion>,
        watch: &mut Watch<'_>,
    ) -> Result<(), RepairError> {
        let committed = broken
            .iter()
            .map(|broken| (partition(broken), broken.last_committed + 1))
            .collect();
        self.repaired.behind = self.runtime.block_on(self.store.catch_up(&committed))?;

        let count: u64 = broken
            .iter()
            .map(|broken| broken.offsets.len() as u64)
            .sum();
        watch.begin(Step::Copying, count);
        let mut spill = Spill::new(
            broken
                .iter()
                .map(|broken| (partition(broken), broken.offsets.clone())),
        )?;
        let mut failed = None;
        self.check.read_outcomes(|kind, message| {
            let value = message.payload().unwrap_or_default();
            let Some(of) = origin(value) else {
                return ControlFlow::Continue(());
            };
            let place = TopicPartition {
                topic: Arc::from(&*of.topic),
                partition: of.partition,
            };
            match spill.keep(&place, of.offset, kind, value) {
                Ok(kept) => {
                    watch.advance(u64::from(kept));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        spill.finish()?;

        watch.begin(Step::Repairing, count);
        for input in &config.input {
            let decoder = Decoder::new(input, usize::MAX);
            let of_topic: BTreeMap<i32, &Broken> = broken
                .iter()
                .filter(|broken| *broken.topic == *input.topic)
                .map(|broken| (broken.partition, broken))
                .collect();
            self.topic(&decoder, &of_topic, &spill, known, watch)?;
        }
        Ok(())
    }

    fn topic(
        &mut self,
        decoder: &Decoder,
        broken: &BTreeMap<i32, &Broken>,
        spill: &Spill,
        known: Option<&ModelVersion>,
        watch: &mut Watch<'_>,
    ) -> Result<(), RepairError> {
        let spans = broken.iter().filter_map(|(&number, broken)| {
            let (first, last) = (broken.offsets.first()?, broken.offsets.last()?);
            Some((number, *first..last + 1))
        });
        let mut batches = Batches::new(self.store, self.runtime, known);
        let mut failed = None;
        self.check
            .read_messages(&decoder.topic, &spans.collect(), |message| {
                let Some(broken) = broken.get(&message.partition()) else {
                    return ControlFlow::Continue(());
                };
                if broken.offsets.binary_search(&message.offset()).is_err() {
                    return ControlFlow::Continue(());
                }
                watch.advance(1);
                let held = broken.held.binary_search(&message.offset()).is_ok();
                let raw = raw(message, &decoder.topic);
                let origin = raw.origin.clone();
                let done = match spill.get(&origin.topic_partition(), origin.offset) {
                    Err(error) => Err(error.into()),
                    Ok(None) => Ok(Err("its outcome is no longer in Kafka".to_owned())),
                    Ok(Some((kind, record))) => match rebuild(kind, &record, raw, decoder) {
                        Ok(outcome) => batches.add(outcome, held),
                        Err(reason) => Ok(Err(reason)),
                    },
                };
                match done {
                    Ok(Ok(())) => {}
                    Ok(Err(reason)) => self.repaired.leave(&origin, &reason),
                    Err(error) => {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            })?;
        if let Some(error) = failed {
            return Err(error);
        }
        self.repaired.rows += batches.finish()?;
        Ok(())
    }
}

/// Counts anew what is not the count of the rows.
async fn recount(
    check: &Check<'_>,
    store: &Store,
    repaired: &mut Repaired,
) -> Result<(), RepairError> {
    let mut minutes = Vec::with_capacity(COUNTS);
    let (minutes_now, changed) = (&mut minutes, &mut repaired.minutes);
    check
        .miscounts(async |miscount: Miscount| {
            minutes_now.push(Recount {
                minute: miscount.minute,
                source: miscount.source,
                subject: miscount.subject,
                label: miscount.label,
                exact: miscount.exact,
            });
            if minutes_now.len() == COUNTS {
                *changed += store.recount(minutes_now).await?;
                minutes_now.clear();
            }
            Ok::<(), RepairError>(())
        })
        .await?;
    if !minutes.is_empty() {
        repaired.minutes += store.recount(&minutes).await?;
    }
    Ok(())
}

fn partition(broken: &Broken) -> TopicPartition {
    TopicPartition {
        topic: Arc::clone(&broken.topic),
        partition: broken.partition,
    }
}

/// A message as the store knows it; headers are not kept there.
fn raw(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> RawMessage {
    RawMessage {
        origin: Origin {
            topic: Arc::clone(topic),
            partition: message.partition(),
            offset: message.offset(),
        },
        kafka_time: kafka_time(message),
        key: message.key().map(bytes::Bytes::copy_from_slice),
        headers: Vec::new(),
        payload: message.payload().map(bytes::Bytes::copy_from_slice),
    }
}
