//! The model alone: a session, the batches, and nothing else.

use std::time::{Duration, Instant};

use crate::model::batch::{batches, padding_share};
use crate::model::config::ModelConfig;
use crate::model::manifest::Bundle;
use crate::model::scorer;
use crate::model::tokenizer::Tokenizer;
use crate::pipeline::Decoder;
use crate::pipeline::config::{BatchConfig, InputConfig};
use crate::record::{Batch, Decoded, Encoded, Origin, RawMessage};
use crate::replay::Post;

use super::cpu::CpuTime;
use super::error::BenchError;

/// One time of the bare session.
#[derive(Debug, Clone, Copy)]
pub struct Alone {
    pub wall: Duration,
    pub cpu: CpuTime,
}

/// The work of the bare session, prepared: decoded, tokenised and batched as the service would.
pub struct Bare {
    bundle: Bundle,
    config: ModelConfig,
    batches: Vec<Batch>,
    /// Texts in them.
    pub scored: u64,
    /// Tokens in them, padding excluded.
    pub tokens: u64,
    /// The share of what is computed that is padding.
    pub padding: f64,
}

impl Bare {
    /// Prepares what the service would score of these posts: chunks of as many messages as it takes from a backlog, each
    /// in batches of its own.
    ///
    /// # Errors
    ///
    /// The model cannot be opened, or there is nothing to score.
    pub fn prepare(
        posts: &[Post],
        input: &InputConfig,
        batch: &BatchConfig,
        model: &ModelConfig,
    ) -> Result<Self, BenchError> {
        let bundle = Bundle::open(&model.path)?;
        let tokenizer = Tokenizer::open(&bundle)?;
        let decoder = Decoder::new(input, batch.max_bytes);
        let mut prepared = Vec::new();
        let (mut scored, mut tokens) = (0, 0);
        for chunk in posts.chunks(batch.max_messages) {
            let encoded: Vec<Encoded> = chunk
                .iter()
                .filter_map(|post| match decoder.decode(raw(post, &decoder)) {
                    Decoded::Message(message) => Some(tokenizer.encode(&message.text)),
                    Decoded::Dead(_) => None,
                })
                .collect();
            scored += encoded.len() as u64;
            tokens += encoded
                .iter()
                .map(|text| text.ids.len() as u64)
                .sum::<u64>();
            let pad = bundle.manifest.pad_token_id;
            prepared.extend(batches(&encoded, batch.max_tokens, pad));
        }
        if prepared.is_empty() {
            return Err(BenchError::Nothing);
        }
        Ok(Self {
            padding: padding_share(&prepared),
            bundle,
            config: model.clone(),
            batches: prepared,
            scored,
            tokens,
        })
    }

    /// Opens a session and scores everything; opening, and a first batch to warm it, are not in the time returned.
    ///
    /// # Errors
    ///
    /// The session cannot be opened, or fails.
    pub fn run(&self) -> Result<Alone, BenchError> {
        let mut backend = scorer::backend(&self.bundle, &self.config)?;
        if let Some(first) = self.batches.first() {
            backend.infer(first)?;
        }
        let (begun, cpu) = (Instant::now(), CpuTime::now());
        for batch in &self.batches {
            std::hint::black_box(backend.infer(batch)?);
        }
        Ok(Alone {
            wall: begun.elapsed(),
            cpu: CpuTime::now() - cpu,
        })
    }
}

/// The record that a post becomes; where it stands matters to nothing here.
fn raw(post: &Post, decoder: &Decoder) -> RawMessage {
    RawMessage {
        origin: Origin {
            topic: std::sync::Arc::clone(&decoder.topic),
            partition: 0,
            offset: 0,
        },
        kafka_time: chrono::DateTime::UNIX_EPOCH,
        key: None,
        headers: Vec::new(),
        payload: post.value.clone().map(Into::into),
    }
}
