//! From Kafka to Kafka and Postgres: the stages in the order of the data.
//!
//! [`ingest`] collects messages into chunks, [`tokenize`] turns their texts into tokens, [`infer`] scores them, [`sink`]
//! commits them: a thread each, so that one chunk is committed while the next is scored and the one after is tokenised.
//! What they hand over stands in [`crate::record`]; every channel holds one chunk. [`flight`] is what the first and the
//! last share: which chunks still count, and under which right they may be committed.

mod arms;
mod claim;
pub mod client;
mod collect;
pub mod config;
mod decode;
mod encode;
mod error;
mod flight;
mod group;
mod infer;
mod ingest;
mod lag;
mod limits;
mod missing;
mod outbox;
mod panes;
mod raw;
mod sink;
mod tokenize;
mod transaction;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use decode::Decoder;
pub use error::PipelineError;
pub use infer::observer;

use config::{BatchConfig, InputConfig, KafkaConfig, OutputConfig};
use encode::Encoder;
use flight::Flight;
use infer::Infer;
use ingest::Ingest;
use outbox::Outbox;
use sink::Sink;
use tokenize::Tokenize;

use crate::health::Health;
use crate::metrics::Metrics;
use crate::model::live::Live;
use crate::store::Store;

/// Chunks between two stages, beside those that the stages work on.
const ROOM: usize = 1;
/// How long a drain waits for chunks under way; after that only the one being committed is awaited.
const GRACE: Duration = Duration::from_secs(3);
/// How long it waits for that one, from its beginning.
const LAST_CHANCE: Duration = Duration::from_secs(8);
/// How long a drain may take in all.
const DRAIN: Duration = Duration::from_secs(30);
/// Kafka's own default for the largest record of a topic, in bytes, less room for framing.
const DEFAULT_RECORD_BYTES: usize = 1_000_000;

/// librdkafka sends nothing above 1,000,000,000 bytes.
const LARGEST_RECORD_BYTES: usize = 900_000_000;

/// What is promised of each message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    /// One outcome on each side, whatever dies.
    #[default]
    ExactlyOnce,
    /// Rows are inserted and records sent, without fence, transaction or offsets: only to measure what the promise costs,
    /// on topics and in a database made for it. No setting leads here.
    Unguarded,
}

/// Everything the pipeline needs.
pub struct Setting<'a> {
    pub kafka: &'a KafkaConfig,
    pub inputs: &'a [InputConfig],
    pub output: &'a OutputConfig,
    pub batch: &'a BatchConfig,
    pub delivery: Delivery,
    /// Whether each chunk leaves what those need who watch the feed for drift.
    pub watched: bool,
    pub live: Arc<Live>,
    pub store: Store,
    pub metrics: Metrics,
    pub health: Health,
}

/// The running stages.
pub struct Pipeline {
    stop: CancellationToken,
    flight: Arc<Flight>,
    ends: mpsc::UnboundedReceiver<(&'static str, Result<(), PipelineError>)>,
    running: BTreeSet<&'static str>,
}

impl Pipeline {
    /// Starts the stages' threads; the group is joined by one of them.
    ///
    /// # Errors
    ///
    /// A client or a thread cannot be made.
    pub async fn start(setting: Setting<'_>) -> Result<Self, PipelineError> {
        let Setting {
            kafka,
            inputs,
            output,
            batch,
            delivery,
            watched,
            live,
            store,
            metrics,
            health,
        } = setting;
        let runtime = Handle::current();
        let (stop, drained) = (CancellationToken::new(), CancellationToken::new());
        let flight = Arc::new(Flight::new());
        let max_record_bytes = record_limit(kafka, output).await;
        let ingest = Ingest::new(ingest::Setting {
            kafka,
            inputs,
            batch,
            store: store.clone(),
            runtime: runtime.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
            flight: Arc::clone(&flight),
        })?;
        let tokenize = Tokenize::new(
            batch.tokenizer_threads,
            live,
            Arc::clone(&flight),
            metrics.clone(),
        )?;
        let infer = Infer::new(
            batch.max_tokens,
            watched,
            Arc::clone(&flight),
            metrics.clone(),
        );
        let sink = Sink {
            store,
            delivery,
            outbox: Outbox::new(kafka.clone(), output, max_record_bytes, delivery),
            encoder: Encoder::new(output.clone(), &kafka.group, max_record_bytes),
            flight: Arc::clone(&flight),
            stop: stop.clone(),
            runtime,
            metrics,
            health,
        };

        let (to_tokenize, chunks) = mpsc::channel(ROOM);
        let (to_infer, encoded) = mpsc::channel(ROOM);
        let (to_sink, scored) = mpsc::channel(ROOM);
        let (told, ends) = mpsc::unbounded_channel();
        let mut pipeline = Self {
            stop: stop.clone(),
            flight,
            ends,
            running: BTreeSet::new(),
        };
        let all_committed = drained.clone().drop_guard();
        pipeline.spawn("sink", &told, move || {
            // Dropped when this thread ends, however it does: nothing is left to be committed then.
            let _all_committed = all_committed;
            sink.run(scored)
        })?;
        pipeline.spawn("infer", &told, move || infer.run(encoded, &to_sink))?;
        pipeline.spawn("tokenize", &told, move || {
            tokenize.run(chunks, &to_infer);
            Ok(())
        })?;
        pipeline.spawn("ingest", &told, move || {
            ingest.run(to_tokenize, &stop, &drained)
        })?;
        Ok(pipeline)
    }

    fn spawn(
        &mut self,
        name: &'static str,
        told: &mpsc::UnboundedSender<(&'static str, Result<(), PipelineError>)>,
        work: impl FnOnce() -> Result<(), PipelineError> + Send + 'static,
    ) -> Result<(), PipelineError> {
        let told = told.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
                    let reason = panic
                        .downcast_ref::<&str>()
                        .map(|text| (*text).to_owned())
                        .or_else(|| panic.downcast_ref::<String>().cloned())
                        .unwrap_or_else(|| "a panic".to_owned());
                    Err(PipelineError::Thread { name, reason })
                });
                // Nobody listens only where the pipeline itself is gone.
                let _ = told.send((name, result));
            })
            .map_err(|error| PipelineError::Thread {
                name,
                reason: error.to_string(),
            })?;
        self.running.insert(name);
        Ok(())
    }

    /// Waits until a stage ends by itself, which it does only where it cannot go on.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub async fn ended(&mut self) -> Result<(), PipelineError> {
        while let Some((name, result)) = self.ends.recv().await {
            self.running.remove(name);
            result?;
            if self.running.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Drains: nothing more is consumed, what is under way is committed within seconds or left to be read again, and the
    /// group is left.
    ///
    /// # Errors
    ///
    /// The first error of a stage, or the names of those that did not end in time.
    pub async fn stop(mut self) -> Result<(), PipelineError> {
        self.stop.cancel();
        let mut first = Ok(());
        let begun = tokio::time::Instant::now();
        let limits = [GRACE, LAST_CHANCE, DRAIN];
        let mut passed = 0;
        while !self.running.is_empty() {
            match tokio::time::timeout_at(begun + limits[passed], self.ends.recv()).await {
                Ok(Some((name, result))) => {
                    self.running.remove(name);
                    if first.is_ok() {
                        first = result;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    match passed {
                        0 => self.flight.wind_up(),
                        1 => self.flight.lose(),
                        _ => {
                            let late: Vec<_> = self.running.iter().copied().collect();
                            return first.and(Err(PipelineError::Late(late.join(", "))));
                        }
                    }
                    passed += 1;
                }
            }
        }
        first
    }
}

/// The largest record that both output topics take. A broker that does not say is taken to have Kafka's default.
async fn record_limit(kafka: &KafkaConfig, output: &OutputConfig) -> usize {
    let topics = [&*output.results, &*output.dead_letters];
    let asked = async {
        let admin: AdminClient<DefaultClientContext> = client::base(kafka).create().ok()?;
        let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(2)));
        let resources = topics.map(ResourceSpecifier::Topic);
        let configs = admin.describe_configs(&resources, &options).await.ok()?;
        let limit = |config: rdkafka::admin::ConfigResource| {
            let value = config.get("max.message.bytes")?.value.as_ref()?;
            value.parse::<usize>().ok()
        };
        let limits: Option<Vec<usize>> = configs
            .into_iter()
            .map(|config| limit(config.ok()?))
            .collect();
        limits?.into_iter().min()
    };
    match asked.await {
        // Kafka counts a whole batch, with its header.
        Some(limit) => limit
            .saturating_sub(limit / 50 + 1_024)
            .clamp(4_096, LARGEST_RECORD_BYTES),
        None => {
            tracing::warn!(
                target: "tidewatch::limits",
                "the output topics' max.message.bytes cannot be read; records are kept under {DEFAULT_RECORD_BYTES} bytes"
            );
            DEFAULT_RECORD_BYTES
        }
    }
}
