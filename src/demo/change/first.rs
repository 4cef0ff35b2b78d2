//! The model that serves at first: small, drawn at random and trained within a minute on posts of the feed as it is before it
//! changes.
//!
//! The model that ships holds no weights that could be trained further, so the loop has nothing to begin with there. This
//! one does: its bundle holds them, and the retraining starts from it.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::Utc;
use serde_json::{Value, json};

use super::super::error::DemoError;
use super::super::feed::{Feed, Mood, Scene, Written};
use crate::drift::reading::Fingerprint;
use crate::model::manifest::TOKENIZER_FILE;
use crate::retrain::runner::{End, Event, Progress, RunnerConfig, Task, persist};
use crate::train::backbone::CONFIG;
use crate::train::bert::BertConfig;
use crate::train::layout::Layout;
use crate::train::weights::Weights;

/// How it is trained, and how its successor is but for the data.
const RECIPE: &str = include_str!("../../../recipes/demo.toml");
const RECIPE_FILE: &str = "recipe.toml";
const BUNDLE: &str = "model";
/// What the recipe calls the folder it starts from.
const BACKBONE: &str = "backbone";

/// Posts of each file. The validating ones become the baseline, the held-out ones the gate's fixed set.
const TRAIN: usize = 4_000;
const VALIDATION: usize = 1_000;
const HELD_OUT: usize = 600;
/// Added to the seed, so that the posts are others than those that are sent.
const OTHER_SEED: u64 = 0xf125;

/// The sizes of the model, beside the vocabulary of the shipped one.
const SIZES: [(&str, u64); 5] = [
    ("hidden_size", 64),
    ("intermediate_size", 256),
    ("num_hidden_layers", 2),
    ("num_attention_heads", 4),
    ("max_position_embeddings", 128),
];

/// Everything that the first training leaves behind.
#[derive(Debug)]
pub(super) struct First {
    pub recipe: PathBuf,
    pub bundle: PathBuf,
    /// The fixed set of labelled posts.
    pub held_out: PathBuf,
    /// Texts that it was trained on.
    pub known: HashSet<u64>,
}

/// A labelled post of a file.
struct Line {
    near: u64,
    json: Value,
}

impl First {
    /// Writes posts and a model that knows nothing into the folder, and the recipe.
    ///
    /// # Errors
    ///
    /// The shipped model's tokenizer cannot be read, or the folder not be written.
    pub(super) fn prepare(folder: &Path, shipped: &Path, seed: u64) -> Result<Self, DemoError> {
        let files = |what| {
            move |source: io::Error| DemoError::Files {
                what,
                path: folder.to_owned(),
                source,
            }
        };
        let write = files("write into");
        blank(&folder.join(BACKBONE), shipped, seed)?;
        let mut known = HashSet::new();
        let lines = lines(seed, TRAIN + VALIDATION + HELD_OUT);
        let (train, rest) = lines.split_at(TRAIN);
        let (validation, held_out) = rest.split_at(VALIDATION);
        known.extend(train.iter().map(|line| line.near));
        let fresh: Vec<&Line> = held_out
            .iter()
            .filter(|line| !known.contains(&line.near))
            .collect();
        put(&folder.join("train.jsonl"), train).map_err(write)?;
        put(&folder.join("validation.jsonl"), validation).map_err(write)?;
        let place = folder.join("held-out.jsonl");
        put(&place, fresh).map_err(write)?;
        fs::write(folder.join(RECIPE_FILE), RECIPE).map_err(write)?;
        Ok(Self {
            recipe: folder.join(RECIPE_FILE),
            bundle: folder.join(BUNDLE),
            held_out: place,
            known,
        })
    }

    /// Trains it in a process of its own, and tells how far it is; until `stop` says so.
    ///
    /// # Errors
    ///
    /// There is no model, for whatever reason.
    pub(super) fn train(
        &self,
        tell: &dyn Fn(String),
        stop: &dyn Fn() -> bool,
    ) -> Result<(), DemoError> {
        let folder = self.recipe.parent().unwrap_or(Path::new(".")).to_owned();
        let job = RunnerConfig {
            nice: 0,
            ..RunnerConfig::default()
        }
        .job(&Task {
            recipe: self.recipe.clone(),
            bundle: self.bundle.clone(),
            folder,
        });
        let mut steps = 0;
        let began = Instant::now();
        let mut hear = |event: &Event| match event {
            Event::Told(Progress::Start { steps: all, .. }) => steps = *all,
            Event::Told(Progress::Step { place, loss, .. }) => {
                tell(format!("step {} of {steps}, loss {loss:.2}", place.step));
            }
            Event::Told(Progress::Validation {
                epoch,
                macro_recall,
                ..
            }) => tell(format!(
                "after pass {epoch}: macro recall {macro_recall:.3}"
            )),
            Event::Told(_) | Event::Started { .. } => {}
        };
        match persist(&job, 1, &mut hear, stop) {
            End::Done { .. } => {
                tell(format!("trained in {:.0} s", began.elapsed().as_secs_f64()));
                Ok(())
            }
            end => Err(DemoError::Untrained {
                detail: json!(end).to_string(),
            }),
        }
    }
}

/// Posts of calm days that have a text, with what their authors feel.
fn lines(seed: u64, count: usize) -> Vec<Line> {
    let mut feed = Feed::new(seed.wrapping_add(OTHER_SEED));
    feed.set_scene(Scene::Calm);
    let now = Utc::now();
    std::iter::repeat_with(|| feed.next_written(now))
        .filter_map(|Written { post, mood, .. }| {
            let object: Value = serde_json::from_slice(&post.value?).ok()?;
            let text = object["text"]
                .as_str()
                .filter(|text| !text.trim().is_empty())?;
            Some(Line {
                near: Fingerprint::of(text).near,
                json: json!({
                    "id": object["id"], "text": text, "label": mood.label(),
                    "source": object["source"], "subject": object["subject"],
                }),
            })
        })
        .take(count)
        .collect()
}

fn put<'a>(path: &Path, lines: impl IntoIterator<Item = &'a Line>) -> io::Result<()> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    for line in lines {
        writeln!(file, "{}", line.json)?;
    }
    file.flush()
}

/// A small encoder that knows nothing, with the shipped model's tokenizer.
fn blank(folder: &Path, shipped: &Path, seed: u64) -> Result<(), DemoError> {
    let files = |what, path: PathBuf| move |source| DemoError::Files { what, path, source };
    fs::create_dir_all(folder).map_err(files("make the folder", folder.to_owned()))?;
    let read = shipped.join(CONFIG);
    let text = fs::read_to_string(&read).map_err(files("read", read.clone()))?;
    let unfit = |detail: String| DemoError::Untrained { detail };
    let mut config: Value = serde_json::from_str(&text)
        .map_err(|error| unfit(format!("{}: {error}", read.display())))?;
    for (name, size) in SIZES {
        config[name] = json!(size);
    }
    let sizes: BertConfig = serde_json::from_value(config.clone())
        .map_err(|error| unfit(format!("{}: {error}", read.display())))?;
    let tokenizer = shipped.join(TOKENIZER_FILE);
    fs::copy(&tokenizer, folder.join(TOKENIZER_FILE)).map_err(files("read", tokenizer.clone()))?;
    fs::write(folder.join(CONFIG), config.to_string())
        .map_err(files("write into", folder.to_owned()))?;
    let layout = Layout::new(&sizes, Mood::ALL.len());
    Weights::drawn(&layout, seed)
        .save(&layout, &folder.join("model.safetensors"))
        .map_err(|error| unfit(error.to_string()))
}
