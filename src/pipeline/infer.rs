//! The thread that infers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::error::PipelineError;
use super::flight::Flight;
use super::panes;
use super::tokenize::Taken;
use crate::fault;
use crate::metrics::{Abandoned, Metrics, Stage};
use crate::model::backend::InferError;
use crate::model::inference::{BatchRun, Interrupted};
use crate::record::{
    DeadLetter, DeadReason, Decoded, Encoded, EncodedChunk, Outcome, Prediction, Scored,
    ScoredChunk,
};

/// What the thread works with.
pub(super) struct Infer {
    /// Padded tokens in a batch.
    max_tokens: usize,
    /// Whether each chunk leaves panes.
    watched: bool,
    flight: Arc<Flight>,
    metrics: Metrics,
}

impl Infer {
    pub(super) fn new(
        max_tokens: usize,
        watched: bool,
        flight: Arc<Flight>,
        metrics: Metrics,
    ) -> Self {
        Self {
            max_tokens,
            watched,
            flight,
            metrics,
        }
    }

    /// Works until no more chunks come or nobody takes them.
    pub(super) fn run(
        self,
        mut chunks: mpsc::Receiver<Taken>,
        out: &mpsc::Sender<ScoredChunk>,
    ) -> Result<(), PipelineError> {
        while let Some(Taken { chunk, model }) = chunks.blocking_recv() {
            let EncodedChunk { chunk, encoded } = chunk;
            let begun = Instant::now();
            let flight = &self.flight;
            let void = || !flight.is_current(chunk.assignment);
            let inferred = model.inference().infer(&encoded, self.max_tokens, void);
            let predictions = match inferred {
                Ok(predictions) => predictions,
                Err(Interrupted::Stopped) => {
                    self.metrics.chunks_abandoned.of(Abandoned::Revoked).inc();
                    self.metrics.chunks_in_flight.dec();
                    continue;
                }
                // Not the messages' fault: as dead letters they would all be lost.
                Err(Interrupted::Broken(error)) => {
                    return Err(PipelineError::Model(error.to_string()));
                }
            };
            self.metrics
                .stage_seconds
                .of(Stage::Infer)
                .observe(begun.elapsed().as_secs_f64());
            fault::point("inferred");
            let panes = if self.watched {
                let special = model.tokenizer().special_tokens();
                panes::of(
                    &chunk.items,
                    &encoded,
                    &predictions,
                    &chunk.offsets,
                    &special,
                )
            } else {
                Vec::new()
            };
            let scored = ScoredChunk {
                panes,
                outcomes: outcomes(chunk.items, encoded, predictions),
                offsets: chunk.offsets,
                assignment: chunk.assignment,
                model: Arc::clone(model.version()),
                started: chunk.started,
            };
            if out.blocking_send(scored).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Counts a model's batches.
pub fn observer(metrics: Metrics) -> impl FnMut(&BatchRun) + Send + 'static {
    move |batch| {
        metrics.batches.inc();
        metrics.batch_rows.observe(batch.rows as f64);
        metrics.batch_width.observe(batch.width as f64);
        metrics.tokens.inc_by(batch.tokens as u64);
        let padding = batch.rows * batch.width - batch.tokens;
        metrics.padding_tokens.inc_by(padding as u64);
    }
}

/// One outcome for each item, in their order.
fn outcomes(
    items: Vec<Decoded>,
    encoded: Vec<Encoded>,
    predictions: Vec<Result<Prediction, InferError>>,
) -> Vec<Outcome> {
    let mut scores: VecDeque<_> = encoded.into_iter().zip(predictions).collect();
    let outcome = |item| match item {
        Decoded::Dead(letter) => Outcome::Dead(letter),
        Decoded::Message(message) => match scores.pop_front() {
            Some((encoded, Ok(prediction))) => Outcome::Scored(Scored {
                tokens: u32::try_from(encoded.ids.len()).unwrap_or(u32::MAX),
                truncated: encoded.truncated,
                message,
                prediction,
            }),
            failed => Outcome::Dead(DeadLetter {
                raw: message.raw,
                reason: DeadReason::ModelFailed,
                detail: match failed {
                    Some((_, Err(error))) => error.to_string(),
                    _ => "the model gave no answer".to_owned(),
                },
            }),
        },
    };
    items.into_iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Message, Origin, RawMessage};

    fn raw(offset: i64) -> RawMessage {
        RawMessage {
            origin: Origin {
                topic: Arc::from("posts"),
                partition: 0,
                offset,
            },
            kafka_time: chrono::DateTime::UNIX_EPOCH,
            key: None,
            headers: Vec::new(),
            payload: None,
        }
    }

    fn message(offset: i64) -> Decoded {
        Decoded::Message(Message {
            raw: raw(offset),
            id: None,
            text: "x".into(),
            author: None,
            source: None,
            subject: None,
            language: None,
            event_time: chrono::DateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn every_item_keeps_its_place_and_gets_its_own_outcome() {
        let items = vec![
            message(0),
            Decoded::Dead(DeadLetter {
                raw: raw(1),
                reason: DeadReason::NoText,
                detail: String::new(),
            }),
            message(2),
            message(3),
        ];
        let encoded = |tokens: usize| Encoded {
            ids: vec![1; tokens],
            truncated: tokens > 3,
        };
        let good = |label| {
            Ok(Prediction {
                label,
                probabilities: vec![0.5, 0.5],
            })
        };
        let failed = Err(InferError {
            rows: 1,
            width: 3,
            reason: "not a number".into(),
        });
        let outcomes = outcomes(
            items,
            vec![encoded(2), encoded(3), encoded(4)],
            vec![good(0), failed, good(1)],
        );
        let seen: Vec<_> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Scored(scored) => (
                    outcome.raw().origin.offset,
                    format!("{} of {}", scored.prediction.label, scored.tokens),
                ),
                Outcome::Dead(letter) => (outcome.raw().origin.offset, letter.reason.to_string()),
            })
            .collect();
        let expected = [
            (0, "0 of 2"),
            (1, "no_text"),
            (2, "model_failed"),
            (3, "1 of 4"),
        ];
        assert_eq!(
            seen,
            expected.map(|(offset, what)| (offset, what.to_owned()))
        );
    }
}
