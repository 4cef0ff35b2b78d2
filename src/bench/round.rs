//! One time through the whole service, from the first message consumed to the last one committed.

use std::time::{Duration, Instant};

use prometheus::core::Collector;

use super::cpu::CpuTime;
use super::error::BenchError;
use crate::app::{Promise, Service};
use crate::config::Config;
use crate::metrics::{Metrics, Stage, SwapEnd};
use crate::pipeline::Delivery;
use crate::replay::{Feeder, Post};

/// How often the counts are looked at: it bounds the error of a measurement that takes many seconds.
const LOOK: Duration = Duration::from_millis(2);
/// Without a single commit for so long, it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the broker may take to acknowledge the input.
const DELIVERY: Duration = Duration::from_secs(120);

/// The stages whose times are shown, in the order of the data.
pub(super) const STAGES: [(Stage, &str); 5] = [
    (Stage::Collect, "collect"),
    (Stage::Tokenize, "tokenize"),
    (Stage::Infer, "infer"),
    (Stage::Postgres, "postgres"),
    (Stage::Kafka, "kafka"),
];

/// What was measured.
#[derive(Debug, Clone)]
pub struct Round {
    /// From the first message consumed to the last one committed.
    pub wall: Duration,
    /// Seconds spent in each stage, summed over the chunks; stages overlap.
    pub stages: [f64; STAGES.len()],
    pub chunks: u64,
    pub dead_letters: u64,
    /// How often another model has taken over in that time.
    pub swaps: u64,
    /// Tokens that the model read, and those of padding beside them.
    pub tokens: u64,
    pub padding_tokens: u64,
    pub cpu: CpuTime,
}

impl Round {
    /// `the whole service, time 2: 231 messages a second (17.3 s)`.
    pub(super) fn said(&self, what: &str, number: u32, messages: u64) -> String {
        let seconds = self.wall.as_secs_f64();
        format!(
            "{what}, time {number}: {:.0} messages a second ({seconds:.1} s)",
            messages as f64 / seconds
        )
    }
}

/// Puts every post into the topic, and waits until all stand there.
///
/// # Errors
///
/// The broker does not take them all.
pub(super) fn preload(feeder: &Feeder, posts: &[Post]) -> Result<(), BenchError> {
    for post in posts {
        feeder.send(post, 0);
    }
    let flushed = feeder.flush(DELIVERY);
    let deliveries = feeder.deliveries();
    if flushed.is_ok() && deliveries.complete() {
        return Ok(());
    }
    let why = deliveries.first_error.map(|error| format!(" ({error})"));
    Err(BenchError::Undelivered {
        sent: deliveries.sent,
        delivered: deliveries.delivered,
        why: why.unwrap_or_default(),
    })
}

/// Starts the service on a preloaded topic, waits until all `messages` are committed, and stops it.
///
/// # Errors
///
/// The service cannot be started, ends by itself, or hangs.
pub(super) async fn work_off(
    config: Config,
    messages: u64,
    delivery: Delivery,
) -> Result<Round, BenchError> {
    let promise = Promise {
        delivery,
        ..Promise::default()
    };
    let mut service = Service::start_with(config, promise).await?;
    let metrics = service.metrics().clone();
    let mut begun = None;
    let (mut before, mut moved) = (0, Instant::now());
    let (wall, cpu, swaps) = loop {
        let now = Instant::now();
        if begun.is_none() && consumed(&metrics) > 0 {
            begun = Some((now, CpuTime::now(), swaps(&metrics)));
        }
        let committed = committed(&metrics);
        if let Some((start, cpu, before)) = begun
            && committed >= messages
        {
            break (now - start, CpuTime::now() - cpu, swaps(&metrics) - before);
        }
        if committed > before {
            (before, moved) = (committed, now);
        } else if now - moved > PATIENCE {
            return Err(BenchError::Stalled {
                seconds: PATIENCE.as_secs(),
                committed,
                messages,
            });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            ended = service.stopped() => {
                ended?;
                return Err(BenchError::Ended);
            }
        }
    };
    service.stop().await?;
    Ok(Round {
        wall,
        stages: STAGES.map(|(stage, _)| metrics.stage_seconds.of(stage).get_sample_sum()),
        chunks: metrics.chunks_committed.get(),
        dead_letters: dead_letters(&metrics),
        swaps,
        tokens: metrics.tokens.get(),
        padding_tokens: metrics.padding_tokens.get(),
        cpu,
    })
}

fn swaps(metrics: &Metrics) -> u64 {
    metrics.model_swaps.of(SwapEnd::Served).get()
}

fn consumed(metrics: &Metrics) -> u64 {
    metrics.chunks_in_flight.get().unsigned_abs()
        + metrics.chunks_committed.get()
        + metrics.input_bytes.get()
}

fn committed(metrics: &Metrics) -> u64 {
    let predictions = metrics.predictions.collect();
    let by_label = predictions.iter().flat_map(|family| family.get_metric());
    let scored: f64 = by_label
        .map(|metric| metric.get_counter().get_value())
        .sum();
    scored as u64 + dead_letters(metrics)
}

fn dead_letters(metrics: &Metrics) -> u64 {
    crate::record::DeadReason::ALL
        .iter()
        .map(|reason| metrics.dead_letters.of(*reason).get())
        .sum()
}
