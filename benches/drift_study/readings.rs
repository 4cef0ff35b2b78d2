//! Texts scored once, and what the detector keeps of them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tidewatch::drift::baseline::Identity;
use tidewatch::drift::counts::Shape;
use tidewatch::drift::reading::{Described, Reading};
use tidewatch::model::config::{Device, ModelConfig};
use tidewatch::model::inference::Inference;
use tidewatch::model::manifest::{Bundle, MODEL_FILE, TOKENIZER_FILE};
use tidewatch::model::probability::largest;
use tidewatch::model::scorer::Scorer;
use tidewatch::model::tokenizer::Tokenizer;
use tidewatch::record::{Encoded, Prediction};

use super::data::Text;

/// Texts scored together.
const BLOCK: usize = 2_048;
/// Tokens in a batch, padding included.
const BATCH_TOKENS: usize = 2_048;

/// A text and what the detector keeps of it.
#[derive(Debug, Clone)]
pub struct Scored {
    pub reading: Reading,
    pub truth: Option<usize>,
    pub text: String,
}

/// A model, opened, and the scores that it has given before.
pub struct Reader {
    pub bundle: Bundle,
    tokenizer: std::sync::Arc<Tokenizer>,
    inference: Inference,
    cache: PathBuf,
    /// Probabilities by the text's hash.
    known: HashMap<u64, Vec<f32>>,
}

impl Reader {
    pub fn open(folder: &Path, work: &Path) -> anyhow::Result<Self> {
        let config = ModelConfig {
            path: folder.to_owned(),
            device: Device::Cpu,
            device_number: 0,
            threads: 0,
        };
        let bundle = Bundle::open(folder)?;
        let (tokenizer, inference) = Scorer::open(folder, &config)?.split();
        let labels = bundle.manifest.labels.len();
        ensure!(
            bundle.manifest.labels == super::data::LABELS,
            "the model has other labels than the data"
        );
        let cache = work.join(format!("scores-{}.bin", &identity(&bundle).model_sha256));
        let known = fs::read(&cache).unwrap_or_default();
        let known = known.chunks_exact(8 + 4 * labels).map(|record| {
            let (head, row) = record.split_at(8);
            let number = |bytes: &[u8]| bytes.try_into().map_or(0.0, f32::from_le_bytes);
            let hash = head.try_into().map_or(0, u64::from_le_bytes);
            (hash, row.chunks_exact(4).map(number).collect())
        });
        Ok(Self {
            known: known.collect(),
            bundle,
            tokenizer,
            inference,
            cache,
        })
    }

    /// What its readings' counts look like.
    pub fn shape(&self) -> Shape {
        Shape {
            vocabulary: self.tokenizer.vocabulary(),
            labels: self.bundle.manifest.labels.len(),
            max_tokens: self.tokenizer.max_tokens(),
        }
    }

    pub fn unknown(&self) -> Option<u32> {
        self.tokenizer.unknown_token()
    }

    /// What a baseline of its readings belongs to.
    pub fn identity(&self) -> Identity {
        identity(&self.bundle)
    }

    /// The texts' readings, in their order. Texts that the model cannot take are left out.
    pub fn read(&mut self, texts: Vec<Text>) -> anyhow::Result<Vec<Scored>> {
        let special = self.tokenizer.special_tokens();
        let mut scored = Vec::with_capacity(texts.len());
        let all = texts.len();
        let mut texts = texts.into_iter().peekable();
        while texts.peek().is_some() {
            let block: Vec<Text> = texts.by_ref().take(BLOCK).collect();
            let encoded: Vec<Encoded> = block
                .iter()
                .map(|t| self.tokenizer.encode(&t.text))
                .collect();
            self.score(&block, &encoded)?;
            for (text, encoded) in block.into_iter().zip(&encoded) {
                let Some(probabilities) = self.known.get(&hash(&text.text)) else {
                    continue;
                };
                let reading = self.reading(&text, encoded, probabilities.clone(), &special);
                scored.push(Scored {
                    reading,
                    truth: text.truth,
                    text: text.text,
                });
            }
        }
        eprintln!("drift_study: {} of {all} texts scored", scored.len());
        Ok(scored)
    }

    /// The reading of a text whose scores are given, as where words are changed and nothing else.
    pub fn reworded(&self, scored: &Scored, text: String) -> Scored {
        let encoded = self.tokenizer.encode(&text);
        let special = self.tokenizer.special_tokens();
        let made = Text {
            text,
            truth: scored.truth,
            time: scored.reading.time,
            id: String::new(),
        };
        let probabilities = scored.reading.probabilities.clone();
        Scored {
            reading: self.reading(&made, &encoded, probabilities, &special),
            truth: made.truth,
            text: made.text,
        }
    }

    fn reading(
        &self,
        text: &Text,
        encoded: &Encoded,
        probabilities: Vec<f32>,
        special: &[u32],
    ) -> Reading {
        let described = Described {
            author: None,
            text: &text.text,
            time: text.time,
            source: None,
            subject: None,
        };
        let prediction = Prediction {
            label: largest(&probabilities),
            probabilities,
        };
        Reading::of(described, encoded, &prediction, special)
    }

    /// Scores what is not known yet, and keeps it.
    fn score(&mut self, texts: &[Text], encoded: &[Encoded]) -> anyhow::Result<()> {
        let new = texts.iter().zip(encoded);
        let new = new.filter(|(text, _)| !self.known.contains_key(&hash(&text.text)));
        let (hashes, encoded): (Vec<u64>, Vec<Encoded>) = new
            .map(|(text, encoded)| (hash(&text.text), encoded.clone()))
            .unzip();
        if hashes.is_empty() {
            return Ok(());
        }
        let answers = self
            .inference
            .infer(&encoded, BATCH_TOKENS, || false)
            .map_err(anyhow::Error::msg)?;
        let mut bytes = Vec::new();
        for (hash, answer) in hashes.into_iter().zip(answers) {
            let Ok(prediction) = answer else { continue };
            bytes.extend(hash.to_le_bytes());
            for p in &prediction.probabilities {
                bytes.extend(p.to_le_bytes());
            }
            self.known.insert(hash, prediction.probabilities);
        }
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.cache)?;
        std::io::Write::write_all(&mut file, &bytes)
            .with_context(|| format!("{} cannot be written", self.cache.display()))
    }
}

fn identity(bundle: &Bundle) -> Identity {
    let hash = |name: &str| bundle.manifest.files.get(name).cloned().unwrap_or_default();
    Identity {
        model_sha256: hash(MODEL_FILE),
        tokenizer_sha256: hash(TOKENIZER_FILE),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        adjustment: None,
    }
}

fn hash(text: &str) -> u64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(text.as_bytes());
    digest[..8]
        .iter()
        .fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}
