//! Posts scored by a bundle, as readings.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use super::posts::Post;
use crate::cli::exit::BadInput;
use crate::drift::baseline::Identity;
use crate::drift::counts::Shape;
use crate::drift::measured::Answer;
use crate::drift::reading::{Described, Reading};
use crate::labels::canonical;
use crate::model::config::ModelConfig;
use crate::model::inference::Inference;
use crate::model::manifest::{Bundle, MODEL_FILE, TOKENIZER_FILE};
use crate::model::scorer::Scorer;
use crate::model::tokenizer::Tokenizer;
use crate::record::Encoded;

/// Texts tokenised and scored together.
const BLOCK: usize = 512;
/// Tokens in a batch, padding included.
const BATCH_TOKENS: usize = 2048;

/// A bundle, opened to make readings.
pub(in crate::cli) struct Reader {
    pub bundle: Bundle,
    pub tokenizer: std::sync::Arc<Tokenizer>,
    inference: Inference,
}

impl Reader {
    pub fn open(folder: &Path, config: &ModelConfig) -> anyhow::Result<Self> {
        let bundle = Bundle::open(folder).map_err(BadInput::from)?;
        let scorer = Scorer::open(folder, config).map_err(BadInput::from)?;
        let (tokenizer, inference) = scorer.split();
        Ok(Self {
            bundle,
            tokenizer,
            inference,
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

    /// What a baseline of its readings belongs to.
    pub fn identity(&self) -> Identity {
        identity(&self.bundle)
    }

    /// Scores the posts; each reading stands beside its post. A post that cannot be scored is left out. Unless all have a time
    /// they are taken to be a second apart, in their order: a few without would stand in 1970.
    pub fn read(&mut self, posts: Vec<Post>) -> anyhow::Result<Vec<(Reading, Post)>> {
        let special = self.tokenizer.special_tokens();
        let bar = bar(posts.len());
        let dated = posts.iter().all(|post| post.event_time.is_some());
        let mut readings = Vec::with_capacity(posts.len());
        let mut posts = posts.into_iter().peekable();
        let mut second = 0;
        while posts.peek().is_some() {
            let block: Vec<Post> = posts.by_ref().take(BLOCK).collect();
            let encoded: Vec<Encoded> = block
                .iter()
                .map(|post| self.tokenizer.encode(&post.text))
                .collect();
            let predictions = self
                .inference
                .infer(&encoded, BATCH_TOKENS, || false)
                .map_err(anyhow::Error::msg)?;
            bar.inc(block.len() as u64);
            for ((post, encoded), prediction) in block.into_iter().zip(&encoded).zip(predictions) {
                second += 1;
                let Ok(prediction) = prediction else { continue };
                let described = Described {
                    text: &post.text,
                    time: match post.event_time {
                        Some(time) if dated => time.timestamp_millis(),
                        _ => second * 1_000,
                    },
                    source: post.source.as_deref(),
                    subject: post.subject.as_deref(),
                };
                readings.push((Reading::of(described, encoded, &prediction, &special), post));
            }
        }
        bar.finish_and_clear();
        Ok(readings)
    }

    /// The index of a label that a person gave, by its name, whatever its case.
    pub fn label(&self, name: &str) -> Option<usize> {
        let labels = &self.bundle.manifest.labels;
        let name = canonical(labels, name)?;
        labels.iter().position(|label| label == name)
    }

    /// Whether the model was right of a post to which a person gave a label; none where it is none of the model's.
    pub fn answer(&self, reading: &Reading, label: &str) -> Option<Answer> {
        let truth = self.label(label)?;
        Some(Answer {
            confidence: reading
                .probabilities
                .get(reading.label)
                .copied()
                .unwrap_or(0.0),
            right: truth == reading.label,
        })
    }
}

/// What a baseline for the bundle belongs to.
pub(in crate::cli) fn identity(bundle: &Bundle) -> Identity {
    let hash = |name: &str| bundle.manifest.files.get(name).cloned().unwrap_or_default();
    Identity {
        model_sha256: hash(MODEL_FILE),
        tokenizer_sha256: hash(TOKENIZER_FILE),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn bar(posts: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{bar:30} {pos} of {len} posts scored, {eta} left";
    ProgressBar::new(posts as u64)
        .with_style(ProgressStyle::with_template(style).expect("the template is well-formed"))
}
