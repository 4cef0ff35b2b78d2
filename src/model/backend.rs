//! The one seam behind which inference engines differ.

use crate::record::Batch;

/// Scores padded batches. An implementation owns its session; the thread that calls it owns the implementation.
pub trait Backend: Send {
    /// Scores one batch and returns the raw logits, row-major `[batch.rows, labels]`.
    ///
    /// Row `r` must depend only on row `r` of the batch (within float tolerance), never on its neighbours.
    ///
    /// # Errors
    /// [`InferError`] when the engine fails on this batch; the backend stays usable for the next.
    fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, InferError>;

    /// Number of labels, the width of a row of logits.
    fn labels(&self) -> usize;

    /// Where it runs, such as `cpu` or `cuda:0`.
    fn device(&self) -> &str;
}

/// The engine failed on a batch.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model failed on a batch of {rows} x {width} tokens: {reason}")]
pub struct InferError {
    pub rows: usize,
    pub width: usize,
    pub reason: String,
}
