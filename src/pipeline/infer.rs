//! The thread that infers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::arms::{Answer, Said, Second, Voice, fallen, join, with_fallen};
use super::error::PipelineError;
use super::flight::Flight;
use super::panes;
use super::tokenize::Taken;
use crate::fault;
use crate::metrics::{Abandoned, ArmRole, Metrics, Stage};
use crate::model::backend::InferError;
use crate::model::inference::{BatchRun, Interrupted};
use crate::model::live::{Arm, Loaded};
use crate::record::{
    DeadLetter, DeadReason, Decoded, Encoded, EncodedChunk, ModelVersion, Outcome, Prediction,
    Scored, ScoredChunk, ShadowPrediction,
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

/// What the model beside the champion is in a chunk.
struct Beside<'a> {
    model: &'a Arc<ModelVersion>,
    rollout: i64,
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
        while let Some(taken) = chunks.blocking_recv() {
            let begun = Instant::now();
            let scored = match self.score(taken, begun) {
                Ok(scored) => scored,
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
            if out.blocking_send(scored).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Has the models of a chunk score it.
    fn score(&self, taken: Taken, begun: Instant) -> Result<ScoredChunk, Interrupted> {
        let Taken {
            chunk: EncodedChunk { chunk, encoded },
            champion,
            second,
        } = taken;
        let void = || !self.flight.is_current(chunk.assignment);
        let (answers, arm): (Vec<Answer>, _) = match second {
            None => {
                let said = champion
                    .inference()
                    .infer(&encoded, self.max_tokens, void)?;
                let alone = encoded.into_iter().zip(said).map(|(encoded, said)| Answer {
                    by: Voice::Champion,
                    encoded,
                    said,
                    shadow: None,
                });
                (alone.collect(), None)
            }
            Some(second) => {
                let arm = Arc::clone(&second.arm);
                let answers = self.both(&champion, &chunk.items, encoded, second, void)?;
                (answers, Some(arm))
            }
        };
        self.metrics
            .stage_seconds
            .of(Stage::Infer)
            .observe(begun.elapsed().as_secs_f64());
        fault::point("inferred");
        self.count(&answers);
        let special = |model: &Loaded| {
            (
                Arc::clone(model.version()),
                model.tokenizer().special_tokens(),
            )
        };
        let panes = if self.watched {
            let second = arm.as_ref().map(|arm| special(arm.model()));
            panes::of(
                &chunk.items,
                &answers,
                &chunk.offsets,
                special(&champion),
                second,
            )
        } else {
            Vec::new()
        };
        let beside = arm.as_ref().map(|arm| Beside {
            model: arm.model().version(),
            rollout: arm.rollout(),
        });
        Ok(ScoredChunk {
            panes,
            outcomes: outcomes(chunk.items, answers, champion.version(), beside),
            offsets: chunk.offsets,
            assignment: chunk.assignment,
            started: chunk.started,
        })
    }

    /// Both models, the one beside the champion first: whom it fails, the champion serves.
    fn both(
        &self,
        champion: &Loaded,
        items: &[Decoded],
        encoded: Vec<Encoded>,
        second: Second<Arc<Arm>>,
        void: impl Fn() -> bool,
    ) -> Result<Vec<Answer>, Interrupted> {
        let Second {
            arm,
            places,
            encoded: theirs,
        } = second;
        let said = self.second(&arm, &theirs, &void)?;
        let failed = said.iter().filter(|said| said.is_err()).count();
        self.metrics.arm_failures.inc_by(failed as u64);
        let fell = fallen(&places, &said);
        let texts: Vec<&str> = if fell.is_empty() {
            Vec::new()
        } else {
            let texts = items.iter().filter_map(|item| match item {
                Decoded::Message(message) => Some(&*message.text),
                Decoded::Dead(_) => None,
            });
            texts.collect()
        };
        let again = fell.iter().map(|&message| {
            let text = texts.get(message).copied().unwrap_or_default();
            (message, champion.tokenizer().encode(text))
        });
        let encoded = with_fallen(&places, encoded, again.collect());
        let own = champion
            .inference()
            .infer(&encoded, self.max_tokens, void)?;
        let own: Vec<Said> = encoded.into_iter().zip(own).collect();
        Ok(join(
            &places,
            &fell,
            own,
            theirs.into_iter().zip(said).collect(),
        ))
    }

    /// What the model beside the champion says. Where it does not work any more it is given up, and has failed on everything: it
    /// must not end the stream.
    fn second(
        &self,
        arm: &Arm,
        encoded: &[Encoded],
        void: impl Fn() -> bool,
    ) -> Result<Vec<Result<Prediction, InferError>>, Interrupted> {
        let infer = || {
            arm.model()
                .inference()
                .infer(encoded, self.max_tokens, void)
        };
        let reason = match catch_unwind(AssertUnwindSafe(infer)) {
            Ok(Err(Interrupted::Broken(error))) => error.to_string(),
            Ok(said) => return said,
            Err(_) => "it panicked".to_owned(),
        };
        if arm.give_up() {
            self.metrics.arms_given_up.inc();
            tracing::error!(
                version = arm.model().version().version,
                rollout = arm.rollout(),
                "the model beside the champion does not work here any more, and the champion serves: {reason}"
            );
        }
        let failed = encoded.iter().map(|encoded| {
            Err(InferError {
                rows: 1,
                width: encoded.ids.len(),
                reason: reason.clone(),
            })
        });
        Ok(failed.collect())
    }

    fn count(&self, answers: &[Answer]) {
        let candidate = answers
            .iter()
            .filter(|answer| answer.by == Voice::Second)
            .count();
        let shadow = answers
            .iter()
            .filter(|answer| answer.shadow.is_some())
            .count();
        for (role, messages) in [
            (ArmRole::Champion, answers.len() - candidate),
            (ArmRole::Candidate, candidate),
            (ArmRole::Shadow, shadow),
        ] {
            self.metrics.arm_messages.of(role).inc_by(messages as u64);
        }
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
    answers: Vec<Answer>,
    champion: &Arc<ModelVersion>,
    beside: Option<Beside<'_>>,
) -> Vec<Outcome> {
    let mut answers = answers.into_iter();
    let outcome = |item| match item {
        Decoded::Dead(letter) => Outcome::Dead(letter),
        Decoded::Message(message) => match answers.next() {
            Some(Answer {
                by,
                encoded,
                said: Ok(prediction),
                shadow,
            }) => Outcome::Scored(Scored {
                tokens: u32::try_from(encoded.ids.len()).unwrap_or(u32::MAX),
                truncated: encoded.truncated,
                message,
                model: Arc::clone(match (by, &beside) {
                    (Voice::Second, Some(beside)) => beside.model,
                    _ => champion,
                }),
                prediction,
                shadow: shadow.zip(beside.as_ref()).map(|(prediction, beside)| {
                    Box::new(ShadowPrediction {
                        model: Arc::clone(beside.model),
                        rollout: beside.rollout,
                        prediction,
                    })
                }),
            }),
            failed => Outcome::Dead(DeadLetter {
                raw: message.raw,
                reason: DeadReason::ModelFailed,
                detail: match failed {
                    Some(Answer {
                        said: Err(error), ..
                    }) => error.to_string(),
                    _ => "the model gave no answer".to_owned(),
                },
            }),
        },
    };
    items.into_iter().map(outcome).collect()
}

#[cfg(test)]
mod tests;
