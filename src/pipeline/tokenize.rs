//! The thread that turns texts into tokens, while the one after it infers.

use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;
use tokio::sync::mpsc;

use super::error::PipelineError;
use super::flight::Flight;
use crate::metrics::{Abandoned, Metrics, Stage};
use crate::model::live::{Live, Loaded};
use crate::record::{Chunk, Decoded, EncodedChunk};

/// A chunk with the model that scores it: whose tokens it has.
pub(super) struct Taken {
    pub chunk: EncodedChunk,
    pub model: Arc<Loaded>,
}

/// What the thread works with.
pub(super) struct Tokenize {
    pool: rayon::ThreadPool,
    live: Arc<Live>,
    flight: Arc<Flight>,
    metrics: Metrics,
}

impl Tokenize {
    /// Threads are started here; 0 takes half of the cores.
    pub(super) fn new(
        threads: usize,
        live: Arc<Live>,
        flight: Arc<Flight>,
        metrics: Metrics,
    ) -> Result<Self, PipelineError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if threads == 0 {
            cores.div_ceil(2)
        } else {
            threads
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("tokenize-{index}"))
            .build()
            .map_err(|error| PipelineError::Thread {
                name: "tokenize",
                reason: error.to_string(),
            })?;
        Ok(Self {
            pool,
            live,
            flight,
            metrics,
        })
    }

    /// Works until no more chunks come or nobody takes them.
    pub(super) fn run(self, mut chunks: mpsc::Receiver<Chunk>, out: &mpsc::Sender<Taken>) {
        while let Some(chunk) = chunks.blocking_recv() {
            if !self.flight.is_current(chunk.assignment) {
                self.metrics.chunks_abandoned.of(Abandoned::Revoked).inc();
                self.metrics.chunks_in_flight.dec();
                continue;
            }
            let begun = Instant::now();
            let texts: Vec<&str> = chunk
                .items
                .iter()
                .filter_map(|item| match item {
                    Decoded::Message(message) => Some(&*message.text),
                    Decoded::Dead(_) => None,
                })
                .collect();
            let model = self.live.current();
            let encode = |text: &&str| model.tokenizer().encode(text);
            let encoded = self.pool.install(|| texts.par_iter().map(encode).collect());
            self.metrics
                .stage_seconds
                .of(Stage::Tokenize)
                .observe(begun.elapsed().as_secs_f64());
            let chunk = EncodedChunk { chunk, encoded };
            if out.blocking_send(Taken { chunk, model }).is_err() {
                return;
            }
        }
    }
}
