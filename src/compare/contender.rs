//! One of the two bundles, opened: its answers to texts.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rayon::prelude::*;

use super::Watch;
use super::error::CompareError;
use super::made::Made;
use crate::model::backend::InferError;
use crate::model::config::ModelConfig;
use crate::model::inference::Inference;
use crate::model::manifest::{BASELINE_ROLE, Bundle};
use crate::model::scorer::Scorer;
use crate::model::tokenizer::Tokenizer;
use crate::record::{Encoded, Prediction};

/// Texts tokenised and scored between two looks at whether to go on.
const BLOCK: usize = 512;

/// What a model makes of a text.
pub(super) struct Answer {
    /// In the order of the labels.
    pub probabilities: Vec<f32>,
    /// Special ones included.
    pub tokens: u32,
}

pub(super) struct Contender {
    /// `champion` or `candidate`.
    role: &'static str,
    bundle: Bundle,
    tokenizer: Arc<Tokenizer>,
    inference: Inference,
    max_tokens: usize,
    made: Made,
}

impl Contender {
    /// Verifies the bundle's files and opens them; batches hold at most `max_tokens` tokens.
    pub fn open(
        role: &'static str,
        bundle: Bundle,
        config: &ModelConfig,
        max_tokens: usize,
    ) -> Result<Self, CompareError> {
        bundle.verify()?;
        let made = Made::of(&bundle)?;
        let (tokenizer, inference) = Scorer::of(&bundle, config)?.split();
        Ok(Self {
            role,
            bundle,
            tokenizer,
            inference,
            max_tokens,
            made,
        })
    }

    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    pub fn made(&self) -> &Made {
        &self.made
    }

    pub fn device(&self) -> &str {
        self.inference.device()
    }

    /// When the newest text was written that it was trained or validated on, where its manifest knows.
    pub fn trained(&self) -> Option<DateTime<Utc>> {
        let data = self.bundle.manifest.data.iter();
        // What its baseline is made of may be what it is compared on: it was not trained on that.
        let data = data.filter(|file| file.role != BASELINE_ROLE);
        data.filter_map(|file| Some(file.span?.1)).max()
    }

    pub fn encode(&self, texts: &[&str]) -> Vec<Encoded> {
        // The model's session cannot be shared between threads, but its tokenizer can.
        let tokenizer = &self.tokenizer;
        texts
            .par_iter()
            .map(|text| tokenizer.encode(text))
            .collect()
    }

    pub fn infer(
        &mut self,
        encoded: &[Encoded],
        watch: &Watch<'_>,
    ) -> Result<Vec<Result<Prediction, InferError>>, CompareError> {
        self.inference
            .infer(encoded, self.max_tokens, || (watch.stop)())
            .map_err(|interrupted| CompareError::of(self.role, &interrupted))
    }

    /// What it makes of each text; none of one that it cannot score, which is told to the log.
    pub fn answers(
        &mut self,
        texts: &[&str],
        watch: &Watch<'_>,
    ) -> Result<Vec<Option<Answer>>, CompareError> {
        let mut answers = Vec::with_capacity(texts.len());
        for block in texts.chunks(BLOCK) {
            let encoded = self.encode(block);
            let results = self.infer(&encoded, watch)?;
            for (text, result) in encoded.iter().zip(results) {
                let number = answers.len() + 1;
                let answer = match result {
                    Ok(prediction) => Some(Answer {
                        probabilities: prediction.probabilities,
                        tokens: u32::try_from(text.ids.len()).unwrap_or(u32::MAX),
                    }),
                    Err(error) => {
                        tracing::warn!(%error, "the {} cannot score text {number}", self.role);
                        None
                    }
                };
                answers.push(answer);
            }
            (watch.scored)(block.len() as u64);
        }
        Ok(answers)
    }
}
