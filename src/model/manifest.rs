//! `manifest.json`: what a bundle says of itself.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::record::Problem;

/// The contents of `manifest.json`. Its exact bytes, hashed with SHA-256, name the bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this layout; 1.
    pub format: u32,
    /// A name for people, such as `semeval-minilm`.
    pub name: String,
    /// In the order of the model's outputs.
    pub labels: Vec<String>,
    pub problem: Problem,
    /// The longest input in tokens, special tokens included; longer texts are cut.
    pub max_tokens: usize,
    /// The id of the padding token.
    pub pad_token_id: u32,
    /// Logits are divided by this before the softmax (temperature scaling: Guo et al. 2017, section 4.2).
    pub temperature: f64,
    /// Version of the bundle this one was trained from, if it was one.
    pub parent: Option<String>,
    /// Version of the code that wrote the bundle.
    pub code_version: String,
    /// The recipe as it was run, with its seed.
    pub recipe: serde_json::Value,
    /// The files it was trained and validated on.
    pub data: Vec<DataFile>,
    /// SHA-256 of every other file in the bundle, by its name, in hex.
    pub files: BTreeMap<String, String>,
    /// Metrics on the validation split, by name (`macro_recall`, `accuracy`, …).
    pub metrics: BTreeMap<String, Metric>,
    /// SPDX expressions or sentences, by what they cover (`weights`, `data`, …).
    pub licences: BTreeMap<String, String>,
}

/// One input file of a training run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    pub name: String,
    pub sha256: String,
    /// `train`, `validation` or `test`.
    pub role: String,
    /// Examples used from it.
    pub examples: usize,
    /// The earliest and latest event time of those examples, where they have one.
    pub span: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// A metric with its 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub value: f64,
    /// Lower and upper bound.
    pub interval: Option<(f64, f64)>,
}
