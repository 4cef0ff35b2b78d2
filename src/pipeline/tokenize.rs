//! The thread that turns texts into tokens, while the one after it infers.

use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;
use tokio::sync::mpsc;

use super::arms::Second;
use super::error::PipelineError;
use super::flight::Flight;
use crate::metrics::{Abandoned, Metrics, Stage};
use crate::model::live::{Arm, Live, Loaded, Serving};
use crate::record::{Chunk, Decoded, Encoded, EncodedChunk, Message};
use crate::rollout::share::Place;

/// A chunk with the models that score it: whose tokens it has.
pub(super) struct Taken {
    pub chunk: EncodedChunk,
    pub champion: Arc<Loaded>,
    /// What the model beside the champion is to score, where a rollout is under way.
    pub second: Option<Second<Arc<Arm>>>,
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
            let taken = self.take(chunk);
            self.metrics
                .stage_seconds
                .of(Stage::Tokenize)
                .observe(begun.elapsed().as_secs_f64());
            if out.blocking_send(taken).is_err() {
                return;
            }
        }
    }

    fn take(&self, chunk: Chunk) -> Taken {
        let Serving { champion, arm } = self.live.serving();
        let messages = || {
            chunk.items.iter().filter_map(|item| match item {
                Decoded::Message(message) => Some(message),
                Decoded::Dead(_) => None,
            })
        };
        let scores = |arm: &Arc<Arm>| !arm.is_given_up() && !arm.division().is_idle();
        let Some(arm) = arm.filter(scores) else {
            let encoded = self.encode(&champion, messages());
            return Taken {
                chunk: EncodedChunk { chunk, encoded },
                champion,
                second: None,
            };
        };
        let places: Vec<Place> = messages()
            .map(|message| arm.division().place(message))
            .collect();
        let of = |not: Place| {
            let placed = messages().zip(&places);
            placed.filter_map(move |(message, &place)| (place != not).then_some(message))
        };
        let encoded = self.encode(&champion, of(Place::Candidate));
        let theirs = self.encode(arm.model(), of(Place::Champion));
        Taken {
            chunk: EncodedChunk { chunk, encoded },
            champion,
            second: Some(Second {
                arm,
                places,
                encoded: theirs,
            }),
        }
    }

    fn encode<'a>(
        &self,
        model: &Loaded,
        messages: impl Iterator<Item = &'a Message>,
    ) -> Vec<Encoded> {
        let texts: Vec<&str> = messages.map(|message| &*message.text).collect();
        let encode = |text: &&str| model.tokenizer().encode(text);
        self.pool.install(|| texts.par_iter().map(encode).collect())
    }
}
