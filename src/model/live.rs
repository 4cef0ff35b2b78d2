//! The model that serves, the one that is tried beside it, and how others take their places while the stream runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::inference::{BatchRun, Inference};
use super::scorer::Scorer;
use super::tokenizer::Tokenizer;
use crate::record::ModelVersion;
use crate::rollout::share::Division;

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
        Self::of(tokenizer, inference)
    }

    /// A tokenizer and what scores its tokens.
    #[must_use]
    pub fn of(tokenizer: Arc<Tokenizer>, inference: Inference) -> Self {
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

/// The model beside the champion, while a rollout is under way.
pub struct Arm {
    model: Arc<Loaded>,
    rollout: i64,
    division: Division,
    broken: AtomicBool,
}

impl Arm {
    /// `rollout` is the number of the rollout, `division` says which messages it scores.
    #[must_use]
    pub fn new(model: Arc<Loaded>, rollout: i64, division: Division) -> Self {
        Self {
            model,
            rollout,
            division,
            broken: AtomicBool::new(false),
        }
    }

    #[must_use]
    pub fn model(&self) -> &Arc<Loaded> {
        &self.model
    }

    #[must_use]
    pub fn rollout(&self) -> i64 {
        self.rollout
    }

    #[must_use]
    pub fn division(&self) -> &Division {
        &self.division
    }

    /// It does not work any more, and the next chunk does without it; whether that is news.
    pub fn give_up(&self) -> bool {
        !self.broken.swap(true, Ordering::AcqRel)
    }

    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

/// The models of a moment. A chunk takes them once, and keeps them to its end.
#[derive(Clone)]
pub struct Serving {
    pub champion: Arc<Loaded>,
    pub arm: Option<Arc<Arm>>,
}

/// The models that serve.
pub struct Live(RwLock<Serving>);

impl Live {
    #[must_use]
    pub fn new(model: Loaded) -> Self {
        Self(RwLock::new(Serving {
            champion: Arc::new(model),
            arm: None,
        }))
    }

    /// The champion.
    #[must_use]
    pub fn current(&self) -> Arc<Loaded> {
        let serving = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&serving.champion)
    }

    /// The models for the next chunk; an arm that was given up is still among them.
    #[must_use]
    pub fn serving(&self) -> Serving {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Lets these serve from the next chunk on; what served until now is returned.
    pub fn replace(&self, next: Serving) -> Serving {
        let mut serving = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *serving, next)
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
