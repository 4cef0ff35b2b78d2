//! Messages as readings: posts that a bundle scores, or what it has scored before.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::exit::BadInput;
use crate::drift::baseline::{Baseline, BaselineError, Identity};
use crate::drift::counts::Shape;
use crate::drift::measured::Answer;
use crate::drift::null::NullSettings;
use crate::drift::reading::{Described, Reading};
use crate::labels::canonical;
use crate::model::config::ModelConfig;
use crate::model::manifest::{Bundle, TOKENIZER_FILE};
use crate::model::scorer::Scorer;
use crate::model::tokenizer::Tokenizer;
use crate::posts::Post;
use crate::record::{Encoded, Prediction};

/// Texts tokenised and scored together.
const BLOCK: usize = 512;
/// Tokens in a batch, padding included.
const BATCH_TOKENS: usize = 2048;

/// A bundle, as far as its readings need it.
pub(in crate::cli) struct Opened {
    pub bundle: Bundle,
    pub tokenizer: Arc<Tokenizer>,
}

/// A reading, and the index of the label that people gave to its message, where there is one.
pub(in crate::cli) type Labelled = (Reading, Option<usize>);

impl Opened {
    /// Opens the bundle in a folder, without its model.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let bundle = Bundle::open(folder).map_err(BadInput::from)?;
        let tokenizer = Tokenizer::open(&bundle).map_err(BadInput::from)?;
        Ok(Self {
            bundle,
            tokenizer: Arc::new(tokenizer),
        })
    }

    /// What its readings' counts look like.
    fn shape(&self) -> Shape {
        Shape {
            vocabulary: self.tokenizer.vocabulary(),
            labels: self.labels().len(),
            max_tokens: self.tokenizer.max_tokens(),
        }
    }

    /// What a baseline of its readings belongs to.
    fn identity(&self) -> Identity {
        let manifest = &self.bundle.manifest;
        Identity::new(manifest.model_sha256(), manifest.sha256(TOKENIZER_FILE))
            .adjusted(manifest.adjustment.clone())
    }

    /// What is normal by these messages.
    pub fn baseline(
        &self,
        readings: Vec<Labelled>,
        settings: &NullSettings,
    ) -> Result<Baseline, BaselineError> {
        Baseline::build(
            readings,
            self.labels().to_vec(),
            self.tokenizer.unknown_token(),
            self.shape(),
            self.identity(),
            settings,
        )
    }

    pub fn labels(&self) -> &[String] {
        &self.bundle.manifest.labels
    }

    /// The index of a label by its name, whatever its case.
    pub fn label(&self, name: &str) -> Option<usize> {
        let name = canonical(self.labels(), name)?;
        self.labels().iter().position(|label| label == name)
    }

    /// Scores the posts with the bundle's model. A post that cannot be scored is left out, and so is a label that is none of the
    /// model's, which is told. Unless all have a time they are taken to be a second apart, in their order: a few without would
    /// stand in 1970.
    pub fn score(&self, posts: Vec<Post>, config: &ModelConfig) -> anyhow::Result<Vec<Labelled>> {
        let scorer = Scorer::open(&self.bundle.dir, config).map_err(BadInput::from)?;
        let (tokenizer, mut inference) = scorer.split();
        let special = tokenizer.special_tokens();
        let bar = bar(posts.len());
        let dated = posts.iter().all(|post| post.event_time.is_some());
        let mut readings = Vec::with_capacity(posts.len());
        let mut posts = posts.into_iter().peekable();
        let (mut second, mut strange) = (0, 0);
        while posts.peek().is_some() {
            let block: Vec<Post> = posts.by_ref().take(BLOCK).collect();
            let encoded: Vec<Encoded> = block
                .iter()
                .map(|post| tokenizer.encode(&post.text))
                .collect();
            let predictions = inference
                .infer(&encoded, BATCH_TOKENS, || false)
                .map_err(anyhow::Error::msg)?;
            bar.inc(block.len() as u64);
            for ((post, encoded), prediction) in block.into_iter().zip(&encoded).zip(predictions) {
                second += 1;
                let Ok(prediction) = prediction else { continue };
                let time = match post.event_time {
                    Some(time) if dated => time.timestamp_millis(),
                    _ => second * 1_000,
                };
                let truth = post.label.as_deref().map(|label| self.label(label));
                strange += u64::from(truth == Some(None));
                let reading = Reading::of(described(&post, time), encoded, &prediction, &special);
                readings.push((reading, truth.flatten()));
            }
        }
        bar.finish_and_clear();
        if strange > 0 {
            eprintln!(
                "tidewatch: {strange} labels are none of the model's ({}) and were passed over",
                self.labels().join(", ")
            );
        }
        Ok(readings)
    }

    /// A post as it is, without asking the model.
    pub fn unscored(&self, post: &Post) -> Reading {
        let time = post.event_time.map_or(0, |time| time.timestamp_millis());
        let nothing = Prediction {
            label: 0,
            probabilities: Vec::new(),
        };
        let untokenised = Encoded {
            ids: Vec::new(),
            truncated: false,
        };
        Reading::of(described(post, time), &untokenised, &nothing, &[])
    }
}

fn described(post: &Post, time: i64) -> Described<'_> {
    Described {
        text: &post.text,
        time,
        author: post.author.as_deref(),
        source: post.source.as_deref(),
        subject: post.subject.as_deref(),
    }
}

/// Whether the model was right of a message with this label.
pub(in crate::cli) fn answer((reading, truth): &Labelled) -> Option<Answer> {
    let right = (*truth)? == reading.label;
    let confidence = reading.probabilities.get(reading.label).copied();
    Some(Answer {
        confidence: confidence.unwrap_or(0.0),
        right,
    })
}

fn bar(posts: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{bar:30} {pos} of {len} posts scored, {eta} left";
    ProgressBar::new(posts as u64)
        .with_style(ProgressStyle::with_template(style).expect("the template is well-formed"))
}
