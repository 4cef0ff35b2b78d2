//! The model that serves, and how another takes its place while the stream runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::inference::{BatchRun, Inference};
use super::scorer::Scorer;
use super::tokenizer::Tokenizer;
use crate::record::ModelVersion;

/// Between two looks at whether anybody still works with a model.
const LOOK: Duration = Duration::from_millis(10);

/// A model ready to score. Any thread may make tokens with it, one at a time may infer.
pub struct Loaded {
    tokenizer: Arc<Tokenizer>,
    inference: Mutex<Inference>,
    version: Arc<ModelVersion>,
    device: String,
}

impl Loaded {
    /// `observer` is told of every batch that is scored.
    #[must_use]
    pub fn new(scorer: Scorer, observer: impl FnMut(&BatchRun) + Send + 'static) -> Self {
        let (tokenizer, mut inference) = scorer.split();
        inference.observe(observer);
        Self {
            tokenizer,
            version: Arc::clone(inference.version()),
            device: inference.device().to_owned(),
            inference: Mutex::new(inference),
        }
    }

    #[must_use]
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    #[must_use]
    pub fn version(&self) -> &Arc<ModelVersion> {
        &self.version
    }

    /// Where it runs, such as `cpu` or `cuda:0`.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The model, for the caller alone.
    pub fn inference(&self) -> MutexGuard<'_, Inference> {
        // A panic in a call of the model says nothing about the next one.
        self.inference
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The model that serves. A chunk takes it once, and keeps it to the end.
pub struct Live(RwLock<Arc<Loaded>>);

impl Live {
    #[must_use]
    pub fn new(model: Loaded) -> Self {
        Self(RwLock::new(Arc::new(model)))
    }

    /// The model for the next chunk.
    #[must_use]
    pub fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets `next` serve from the next chunk on; what served until now is returned.
    pub fn swap(&self, next: Loaded) -> Arc<Loaded> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, Arc::new(next))
    }
}

/// Unloads a model that has been replaced, once the last chunk that took it is scored; whether that came within `patience`.
/// If not, whoever works with it last unloads it. Blocks.
pub fn unload(mut model: Arc<Loaded>, patience: Duration) -> bool {
    let begun = Instant::now();
    loop {
        match Arc::try_unwrap(model) {
            Ok(_unloaded) => return true,
            Err(_) if begun.elapsed() >= patience => return false,
            Err(shared) => model = shared,
        }
        std::thread::sleep(LOOK);
    }
}
