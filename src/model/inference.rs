//! Scoring texts in batches: what the thread that owns a model does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend::{Backend, InferError};
use super::batch::{batches, padded, tokens};
use super::manifest::Manifest;
use super::probability::Calibrated;
use crate::record::{Batch, Encoded, ModelVersion, Prediction};

/// Tokens of the text of padding that shows whether a backend works at all; every bundle takes as many.
const PROBE_TOKENS: usize = 3;
/// Tokens of the narrowest rows for which a model is warmed.
const NARROWEST: usize = 8;

/// A model ready to score, owned by the thread that calls it.
pub struct Inference {
    backend: Box<dyn Backend>,
    version: Arc<ModelVersion>,
    calibrated: Calibrated,
    pad: u32,
    /// Tokens of the longest text that it takes.
    longest: usize,
    observer: Box<dyn FnMut(&BatchRun) + Send>,
}

/// One batch that was scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchRun {
    pub rows: usize,
    /// Tokens of its longest row.
    pub width: usize,
    /// Tokens that are no padding; the rest of `rows * width` is.
    pub tokens: usize,
    /// Time inside the backend.
    pub time: Duration,
}

/// Why texts were not scored to the end.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The caller wanted it so.
    #[error("stopped by request")]
    Stopped,
    /// The backend fails on everything, so no text is to blame.
    #[error("the model does not work any more: {0}")]
    Broken(#[source] InferError),
}

impl Inference {
    /// A backend with what the manifest says of its outputs.
    #[must_use]
    pub fn new(backend: Box<dyn Backend>, version: Arc<ModelVersion>, manifest: &Manifest) -> Self {
        Self {
            backend,
            version,
            calibrated: Calibrated::of(manifest),
            pad: manifest.pad_token_id,
            longest: manifest.max_tokens,
            observer: Box::new(|_| {}),
        }
    }

    /// Has every batch reported that is scored from now on.
    pub fn observe(&mut self, observer: impl FnMut(&BatchRun) + Send + 'static) {
        self.observer = Box::new(observer);
    }

    /// The model's version.
    #[must_use]
    pub fn version(&self) -> &Arc<ModelVersion> {
        &self.version
    }

    /// Where it runs, such as `cpu` or `cuda:0`.
    #[must_use]
    pub fn device(&self) -> &str {
        self.backend.device()
    }

    /// Scores texts in batches of at most `max_tokens` tokens, padding included, and returns what becomes of each, in order.
    ///
    /// Where a batch fails, each of its texts is tried alone, so that only those to blame are errors. `stop` is asked before
    /// each call of the backend.
    ///
    /// # Errors
    /// [`Interrupted`]; then nothing was scored as far as the caller is concerned.
    pub fn infer(
        &mut self,
        encoded: &[Encoded],
        max_tokens: usize,
        mut stop: impl FnMut() -> bool,
    ) -> Result<Vec<Result<Prediction, InferError>>, Interrupted> {
        let mut results: Vec<Option<Result<Prediction, InferError>>> =
            encoded.iter().map(|_| None).collect();
        for batch in batches(encoded, max_tokens, self.pad) {
            if stop() {
                return Err(Interrupted::Stopped);
            }
            let outcome = match self.score(&batch) {
                Err(error) if batch.rows > 1 => {
                    tracing::warn!(%error, "trying the texts of a failed batch one by one");
                    self.one_by_one(encoded, &batch, &mut stop)?
                }
                Err(error) => vec![Err(error)],
                Ok(rows) => rows,
            };
            if outcome.iter().all(Result::is_err) {
                self.probe()?;
            }
            for (&member, result) in batch.members.iter().zip(outcome) {
                results[member] = Some(result);
            }
        }
        Ok(results
            .into_iter()
            .map(|result| result.unwrap_or_else(|| Err(nothing_to_score())))
            .collect())
    }

    /// Scores padding in full batches of at most `max_tokens` tokens, each twice as wide as the one before.
    ///
    /// # Errors
    /// [`Interrupted::Broken`] when the backend fails.
    pub fn warm(&mut self, max_tokens: usize) -> Result<(), Interrupted> {
        let widths = std::iter::successors(Some(NARROWEST), |width| Some(width * 2))
            .take_while(|&width| width < self.longest)
            .chain([self.longest]);
        for width in widths {
            let row = Encoded {
                ids: vec![self.pad; width],
                truncated: false,
            };
            let rows = vec![row; (max_tokens / width).max(1)];
            let members: Vec<usize> = (0..rows.len()).collect();
            let batch = padded(&rows, &members, self.pad);
            self.backend.infer(&batch).map_err(Interrupted::Broken)?;
        }
        Ok(())
    }

    fn one_by_one(
        &mut self,
        encoded: &[Encoded],
        batch: &Batch,
        stop: &mut impl FnMut() -> bool,
    ) -> Result<Vec<Result<Prediction, InferError>>, Interrupted> {
        let mut outcome = Vec::with_capacity(batch.rows);
        for &member in &batch.members {
            if stop() {
                return Err(Interrupted::Stopped);
            }
            let alone = padded(encoded, &[member], self.pad);
            outcome.extend(self.score(&alone).unwrap_or_else(|error| vec![Err(error)]));
        }
        Ok(outcome)
    }

    /// Tells a text that cannot be scored from a backend that cannot score.
    fn probe(&mut self) -> Result<(), Interrupted> {
        let probe = Encoded {
            ids: vec![self.pad; PROBE_TOKENS],
            truncated: false,
        };
        self.backend
            .infer(&padded(&[probe], &[0], self.pad))
            .map(drop)
            .map_err(Interrupted::Broken)
    }

    /// One prediction a row. A row whose logits are no numbers fails by itself.
    fn score(&mut self, batch: &Batch) -> Result<Vec<Result<Prediction, InferError>>, InferError> {
        let started = Instant::now();
        let logits = self.backend.infer(batch)?;
        (self.observer)(&BatchRun {
            rows: batch.rows,
            width: batch.width,
            tokens: tokens(batch),
            time: started.elapsed(),
        });
        let labels = self.version.labels.len();
        let failed = |reason| InferError {
            rows: batch.rows,
            width: batch.width,
            reason,
        };
        if logits.len() != batch.rows * labels {
            return Err(failed(format!(
                "it gave {} logits for {} rows of {labels} labels",
                logits.len(),
                batch.rows
            )));
        }
        let rows = logits.chunks_exact(labels).map(|row| {
            if row.iter().all(|logit| logit.is_finite()) {
                return Ok(self.calibrated.predict(row));
            }
            Err(InferError {
                rows: 1,
                ..failed(format!("its logits are {row:?}"))
            })
        });
        Ok(rows.collect())
    }
}

fn nothing_to_score() -> InferError {
    InferError {
        rows: 1,
        width: 0,
        reason: "the tokenizer made no tokens of the text".to_owned(),
    }
}

#[cfg(test)]
mod tests;
