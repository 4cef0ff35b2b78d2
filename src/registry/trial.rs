//! The trial of a bundle: what the process does that is started for it alone, and what it says at its end.

use std::sync::Arc;
use std::time::Instant;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::fault;
use crate::model::config::ModelConfig;
use crate::model::inference::Inference;
use crate::model::manifest::{Bundle, Manifest};
use crate::model::scorer;
use crate::model::tokenizer::Tokenizer;
use crate::record::{Encoded, Prediction, Problem};

/// What is scored: ordinary texts, one in another script, and one that is hardly a text.
const TEXTS: [&str; 4] = [
    "Is this thing on?",
    "what a lovely day 😀",
    "最悪のアップデートだ",
    "!!!",
];

/// How far the probabilities of one text may be from adding up to one.
const SUM_TOLERANCE: f32 = 1e-3;

/// What a trial is of.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The process that has started it, and with which it ends.
    pub parent: i32,
    /// The bundle's folder, and where the model is to run.
    pub model: ModelConfig,
}

/// How a trial ended, where the process has lived to say so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    Passed(Passed),
    /// Why the bundle is not to be used.
    Failed(String),
}

/// A bundle that loads and scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    pub version: String,
    /// Where it ran, such as `cpu`.
    pub device: String,
    /// How long it took to load and to score.
    pub seconds: f64,
}

impl Trial {
    /// Loads the bundle and scores some texts with it. The process ends when its parent does, in whatever state it is.
    #[must_use]
    pub fn run(&self) -> Finding {
        // Fails on a system that lacks it, where a time limit remains.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        // It may have ended before that.
        if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(self.parent) {
            return Finding::Failed("the process that has started this one has ended".to_owned());
        }
        match self.attempt() {
            Ok(passed) => Finding::Passed(passed),
            Err(reason) => Finding::Failed(reason),
        }
    }

    fn attempt(&self) -> Result<Passed, String> {
        let started = Instant::now();
        let said = |error: &dyn std::error::Error| error.to_string();
        let bundle = Bundle::open(&self.model.path).map_err(|error| said(&error))?;
        bundle.verify().map_err(|error| said(&error))?;
        let tokenizer = Tokenizer::open(&bundle).map_err(|error| said(&error))?;
        fault::point("probe-loading");
        let backend = scorer::backend(&bundle, &self.model).map_err(|error| said(&error))?;
        let version = Arc::new(bundle.model_version());
        let mut inference = Inference::new(backend, version, &bundle.manifest);
        let texts = texts(&tokenizer)?;
        // One at a time: a batch that fails would say less.
        for (what, encoded) in &texts {
            let result = inference
                .infer(std::slice::from_ref(encoded), 1, || false)
                .map_err(|error| said(&error))?
                .pop();
            match result {
                Some(Ok(prediction)) => check(&prediction, &bundle.manifest)
                    .map_err(|fault| format!("of {what} {fault}"))?,
                Some(Err(error)) => return Err(format!("it cannot score {what}: {error}")),
                None => return Err(format!("it says nothing of {what}")),
            }
        }
        let device = inference.device().to_owned();
        Ok(Passed {
            version: bundle.version,
            device,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// What is scored, each with its name.
fn texts(tokenizer: &Tokenizer) -> Result<Vec<(String, Encoded)>, String> {
    let mut texts = Vec::new();
    for text in TEXTS {
        let encoded = tokenizer.encode(text);
        if encoded.ids.is_empty() {
            return Err(format!("its tokenizer makes nothing of {text:?}"));
        }
        texts.push((format!("{text:?}"), encoded));
    }
    // The longest text that the manifest allows, of the last token of the vocabulary: a model with fewer positions or a
    // smaller vocabulary than its tokenizer shows itself.
    let last = u32::try_from(tokenizer.vocabulary().saturating_sub(1)).unwrap_or(u32::MAX);
    texts.push((
        format!(
            "{} tokens {last}, the last of its tokenizer's vocabulary",
            tokenizer.max_tokens()
        ),
        Encoded {
            ids: vec![last; tokenizer.max_tokens()],
            truncated: false,
        },
    ));
    Ok(texts)
}

/// Says what is wrong with a prediction.
fn check(prediction: &Prediction, manifest: &Manifest) -> Result<(), String> {
    let probabilities = &prediction.probabilities;
    let are_probabilities = probabilities
        .iter()
        .all(|probability| (0.0..=1.0).contains(probability));
    let sum: f32 = probabilities.iter().sum();
    let adds_up = manifest.problem == Problem::MultiLabel || (sum - 1.0).abs() <= SUM_TOLERANCE;
    if probabilities.len() == manifest.labels.len() && are_probabilities && adds_up {
        return Ok(());
    }
    Err(format!(
        "it says {probabilities:?}, which are no probabilities of {} labels",
        manifest.labels.len()
    ))
}
