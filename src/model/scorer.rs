//! A bundle, opened to score with.

use std::path::Path;
use std::sync::Arc;

use super::backend::{Backend, InferError};
use super::config::ModelConfig;
use super::error::ModelError;
use super::inference::{Inference, Interrupted};
use super::manifest::Bundle;
use super::onnx::OnnxBackend;
use super::pooled::PooledBackend;
use super::tokenizer::Tokenizer;
use crate::record::{Encoded, ModelVersion, Prediction};

/// A text's tokens, and what the model makes of them.
pub type Answer = (Encoded, Result<Prediction, InferError>);

/// Opens the model of a bundle whose files are verified, or all models of an ensemble.
///
/// # Errors
/// [`ModelError`] when one of them cannot be opened.
pub fn backend(bundle: &Bundle, config: &ModelConfig) -> Result<Box<dyn Backend>, ModelError> {
    Ok(match &bundle.manifest.ensemble {
        None => Box::new(OnnxBackend::open(bundle, config)?),
        Some(members) => Box::new(PooledBackend::open(bundle, members, config)?),
    })
}

/// A bundle's tokenizer and model.
pub struct Scorer {
    tokenizer: Arc<Tokenizer>,
    inference: Inference,
}

impl Scorer {
    /// Opens the bundle in `dir`, verifies its files, and opens its tokenizer and its model; `config` says where the model
    /// runs.
    ///
    /// # Errors
    /// [`ModelError`] when any of that cannot be done.
    pub fn open(dir: &Path, config: &ModelConfig) -> Result<Self, ModelError> {
        let bundle = Bundle::open(dir)?;
        bundle.verify()?;
        Self::of(&bundle, config)
    }

    /// Opens the tokenizer and the model of a bundle whose files are verified.
    ///
    /// # Errors
    /// [`ModelError`] when any of that cannot be done.
    pub fn of(bundle: &Bundle, config: &ModelConfig) -> Result<Self, ModelError> {
        let tokenizer = Tokenizer::open(bundle)?;
        let backend = backend(bundle, config)?;
        let version = Arc::new(bundle.model_version());
        Ok(Self {
            tokenizer: Arc::new(tokenizer),
            inference: Inference::new(backend, version, &bundle.manifest),
        })
    }

    /// Scores full batches of at most `max_tokens` padding tokens, from narrow to as wide as the model takes, so that memory and
    /// kernels for every shape are there before the first message.
    ///
    /// # Errors
    /// [`Interrupted::Broken`] when the model cannot do it.
    pub fn warm(&mut self, max_tokens: usize) -> Result<(), Interrupted> {
        self.inference.warm(max_tokens)
    }

    /// The bundle's version.
    #[must_use]
    pub fn version(&self) -> Arc<ModelVersion> {
        Arc::clone(self.inference.version())
    }

    /// Where the model runs, such as `cpu` or `cuda:0`.
    #[must_use]
    pub fn device(&self) -> &str {
        self.inference.device()
    }

    /// The bundle's tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> Arc<Tokenizer> {
        Arc::clone(&self.tokenizer)
    }

    /// The tokenizer, which many threads may share, and the model, which one thread owns.
    #[must_use]
    pub fn split(self) -> (Arc<Tokenizer>, Inference) {
        (self.tokenizer, self.inference)
    }

    /// Scores texts on this thread, in batches of at most `max_tokens` tokens.
    ///
    /// # Errors
    /// [`Interrupted::Broken`] when the model does not work any more.
    pub fn score(&mut self, texts: &[&str], max_tokens: usize) -> Result<Vec<Answer>, Interrupted> {
        let encoded: Vec<Encoded> = texts
            .iter()
            .map(|text| self.tokenizer.encode(text))
            .collect();
        let results = self.inference.infer(&encoded, max_tokens, || false)?;
        Ok(encoded.into_iter().zip(results).collect())
    }
}
