//! The recipe: one TOML file that says everything about a fine-tuning run.

mod fault;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub(crate) use fault::are_weights;

use super::batches::BatchSize;
use super::error::TrainError;
use super::escape::Escape;
use super::export::ExportOptions;

/// A fine-tuning run. Unknown keys are refused, so that a typo never passes silently.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What starts every random choice: new heads, order, dropout.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Where the pre-trained encoder comes from.
    pub backbone: Backbone,
    /// The classes, in the order of their indices.
    pub labels: Labels,
    /// The files with labelled text.
    pub data: Vec<Source>,
    /// Which examples validate.
    #[serde(default)]
    pub split: Split,
    /// How the text is prepared.
    #[serde(default)]
    pub text: TextOptions,
    /// Hyper-parameters.
    #[serde(default)]
    pub training: Training,
    /// How the model is written for inference.
    #[serde(default)]
    pub export: ExportOptions,
    /// Where the results go.
    #[serde(default)]
    pub output: Output,
    /// SPDX expressions or sentences, by what they cover (`weights`, `data`, …): passed on in the bundle.
    #[serde(default)]
    pub licences: BTreeMap<String, String>,
}

fn default_seed() -> u64 {
    1
}

/// Where the pre-trained encoder comes from: a folder, or a model of the Hugging Face hub.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Backbone {
    /// A folder with `config.json`, `model.safetensors` and `tokenizer.json`.
    Folder(PathBuf),
    /// `owner/name` on the hub, with `@revision` if not the main one. Honours `HF_ENDPOINT` and the
    /// hub's cache.
    Hub(String),
}

/// The classes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Names, in the order of their indices.
    pub names: Vec<String>,
    /// What stands in the files for a name, where it is not the name itself.
    #[serde(default)]
    pub map: BTreeMap<String, String>,
}

impl Labels {
    /// Index of the class that `raw` stands for.
    pub fn index(&self, raw: &str) -> Option<u32> {
        let raw = raw.trim();
        let name = self.map.get(raw).map_or(raw, String::as_str);
        self.names
            .iter()
            .position(|known| known == name)
            .map(|index| index as u32)
    }
}

/// What the examples of a file are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To learn from; the split may take some of them for validation.
    Train,
    /// To calibrate and to choose by.
    Validation,
    /// To measure with, once.
    Test,
    /// To make the drift baseline of; where no file is for that, it is made of the validation examples.
    Baseline,
}

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Tab-separated, without quoting.
    Tsv,
    /// Comma-separated, quoted as in RFC 4180.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// The ending of such files' names.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Tsv => "tsv",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// A file of labelled text, or a folder of such files.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Relative paths start at `--data`, or else at `TIDEWATCH_DATA`, or else at the recipe's folder.
    /// A folder stands for its files with the format's ending, in the order of their names.
    pub path: PathBuf,
    /// What its examples are for.
    #[serde(default = "train_role")]
    pub role: Role,
    /// Its form.
    pub format: Format,
    /// Whether the first line names the columns (TSV and CSV). Needed for columns given by name.
    #[serde(default)]
    pub header: bool,
    /// Where its fields are.
    pub columns: Columns,
    /// Where an example's time comes from.
    #[serde(default)]
    pub time: TimeSource,
    /// How often each of its training examples occurs in an epoch.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub repeat: usize,
}

fn once() -> usize {
    1
}

fn is_once(repeat: &usize) -> bool {
    *repeat == 1
}

fn train_role() -> Role {
    Role::Train
}

/// Where the fields of an example are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// What identifies an example; of repeated ids the first is kept, but for the baseline.
    #[serde(default)]
    pub id: Option<Column>,
    /// The text.
    pub text: Column,
    /// The label.
    pub label: Column,
    /// The time: RFC 3339, or seconds or milliseconds since 1970.
    #[serde(default)]
    pub time: Option<Column>,
}

/// A column, by its number (from 0) or by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// Number of the column, from 0.
    Number(usize),
    /// Its name in the header, or the key in a JSON object.
    Name(String),
}

/// Which of the training examples validate instead.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Split {
    /// None: files with the role `validation` do.
    #[default]
    Given,
    /// Those from `from` on.
    Time {
        /// The first moment of the validation span.
        from: DateTime<Utc>,
    },
    /// A share of them, chosen by a hash of the id (of the text, where there is none).
    Hash {
        /// Between 0 and 1.
        share: f64,
    },
}

/// Where an example's time comes from: a split by time needs it, and the bundle tells the span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// The time column, where there is one.
    #[default]
    Column,
    /// The id, which is a Twitter snowflake.
    Snowflake,
}

/// How the text is prepared.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextOptions {
    /// Escapes to undo, in this order.
    pub unescape: Vec<Escape>,
}

/// Hyper-parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Passes over the training examples.
    pub epochs: usize,
    /// When a batch is full: `{ sequences = 32 }` or `{ tokens = 1024 }`.
    pub batch: BatchSize,
    /// Share of the steps over which the learning rate rises.
    pub warm_up: f64,
    /// Decoupled weight decay; biases and layer norms are spared.
    pub weight_decay: f64,
    /// Tokens of a text that are read, special tokens included; the rest is cut off.
    pub max_tokens: usize,
    /// Largest norm of the gradient.
    pub clip: f64,
    /// Dropout, where not what the backbone's configuration says.
    pub dropout: Option<f32>,
    /// Parts a batch is cut into, each computed by one thread. Results depend on it only in the order
    /// of additions.
    pub shards: usize,
    /// Seconds of training after which its state is kept, so that a run that dies can be gone on with; 0:
    /// after every step.
    // The result does not depend on it, so it is no part of what a bundle says.
    #[serde(skip_serializing)]
    pub save_every: u64,
    /// How much each class counts in the loss; without it, every example counts the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
}

/// How much each class counts in the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "class_weights must be \"balanced\", or a table with the weight of each class"
)]
pub enum ClassWeights {
    /// By a rule.
    Rule(WeightRule),
    /// As given by name; a class that is not named weighs 1. A class with `w` times the weight is predicted as if it were `w` times
    /// as common (Elkan 2001, "The Foundations of Cost-Sensitive Learning", section 2).
    Given(BTreeMap<String, f64>),
}

/// By what class weights are worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightRule {
    /// All classes the same: an example of a class that has `n` of all `N` training examples, repeats
    /// counted, weighs `N / (classes * n)` (King and Zeng 2001, "Logistic Regression in Rare Events Data").
    Balanced,
}

impl ClassWeights {
    /// All classes the same.
    pub const BALANCED: Self = Self::Rule(WeightRule::Balanced);

    /// The weight of each class, given how many training examples each has. By a rule a class without any weighs 0.
    pub fn of(&self, names: &[String], counts: &[usize]) -> Vec<f32> {
        if let Self::Given(weights) = self {
            let weight = |name| weights.get(name).map_or(1.0, |&weight| weight as f32);
            return names.iter().map(weight).collect();
        }
        let all: usize = counts.iter().sum();
        let share = all as f64 / counts.len() as f64;
        let weight = |count: &usize| match count {
            0 => 0.0,
            count => (share / *count as f64) as f32,
        };
        counts.iter().map(weight).collect()
    }
}

impl Default for Training {
    fn default() -> Self {
        Self {
            learning_rate: 8e-5,
            epochs: 2,
            batch: BatchSize::Sequences(32),
            warm_up: 0.1,
            weight_decay: 0.01,
            max_tokens: 96,
            clip: 1.0,
            dropout: None,
            shards: 2,
            save_every: 300,
            class_weights: None,
        }
    }
}

/// Where the results go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Name of the model.
    pub name: String,
    /// The bundle's folder, which must not exist. The classifier of the last finished epoch is kept
    /// beside it, in a folder whose name ends in `.checkpoint`.
    // Where a bundle lay when it was written is no part of it: the same run elsewhere gives the same one.
    #[serde(skip_serializing)]
    pub folder: PathBuf,
    /// Macro-averaged recall of the exported model on validation under which no bundle is written (exit
    /// code 3).
    pub min_macro_recall: Option<f64>,
    /// Whether the bundle also holds the weights as they were trained, for another run to start from.
    pub training_weights: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            name: "tidewatch".into(),
            folder: "model".into(),
            min_macro_recall: None,
            training_weights: true,
        }
    }
}

impl Recipe {
    /// Reads and checks a recipe.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TrainError::read(path, source))?;
        let refuse = |reason: String| TrainError::Recipe {
            path: path.into(),
            reason,
        };
        Self::parse(&text).map_err(refuse)
    }

    /// Reads and checks the text of a recipe; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let recipe: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        match recipe.fault() {
            Some(reason) => Err(reason),
            None => Ok(recipe),
        }
    }
}
