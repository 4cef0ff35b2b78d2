//! Finding the pre-trained encoder: a folder in Hugging Face's layout, or a model of the hub.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Repo, RepoType};
use tokenizers::Tokenizer;

use super::bert::BertConfig;
use super::error::TrainError;
use super::recipe::Backbone;
use crate::model::manifest::Bundle;

/// A pre-trained encoder's files, opened.
pub struct Encoder {
    /// The sizes of the model.
    pub config: BertConfig,
    /// All of `config.json`, to be passed on.
    pub raw_config: serde_json::Map<String, serde_json::Value>,
    /// Its tokenizer, with padding and truncation switched off.
    pub tokenizer: Tokenizer,
    /// The weights' file.
    pub weights: PathBuf,
}

/// Name of the configuration, in a backbone and in a bundle.
pub const CONFIG: &str = "config.json";
/// Name of the trained weights in a bundle, which can so be a backbone again.
pub const BUNDLE_WEIGHTS: &str = "weights.safetensors";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: [&str; 2] = ["model.safetensors", BUNDLE_WEIGHTS];

/// Opens a backbone; relative folders start at `base`.
pub fn open(backbone: &Backbone, base: &Path) -> Result<Encoder, TrainError> {
    match backbone {
        Backbone::Folder(folder) => open_files(find(&base.join(folder))?),
        Backbone::Hub(id) => open_files(fetch(id)?),
    }
}

/// The version of the bundle that this backbone is, if it is one.
pub fn parent(backbone: &Backbone, base: &Path) -> Option<String> {
    match backbone {
        Backbone::Folder(folder) => Some(Bundle::open(base.join(folder)).ok()?.version),
        Backbone::Hub(_) => None,
    }
}

/// Configuration, weights and tokenizer of a folder.
fn find(folder: &Path) -> Result<[PathBuf; 3], TrainError> {
    let existing = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let lacks = |name: &str| TrainError::backbone(folder, format!("has no file {name}"));
    Ok([
        existing(CONFIG).ok_or_else(|| lacks(CONFIG))?,
        WEIGHTS
            .iter()
            .find_map(|name| existing(name))
            .ok_or_else(|| lacks(&WEIGHTS.join(" or ")))?,
        existing(TOKENIZER).ok_or_else(|| lacks(TOKENIZER))?,
    ])
}

/// Downloads a model's files to the hub's cache, or finds them there.
fn fetch(id: &str) -> Result<[PathBuf; 3], TrainError> {
    let (name, revision) = id.split_once('@').unwrap_or((id, "main"));
    let refuse = |what: &str, reason: ApiError| {
        let reason = format!(
            "gave no {what} ({reason}); check the id, the network and HF_ENDPOINT, \
             or name a folder with --backbone"
        );
        TrainError::Hub {
            id: id.into(),
            reason,
        }
    };
    let api = ApiBuilder::from_env()
        .with_progress(false)
        .build()
        .map_err(|error| refuse("connection", error))?;
    let repo = Repo::with_revision(name.to_owned(), RepoType::Model, revision.to_owned());
    let repo = api.repo(repo);
    let get = |file: &str| repo.get(file).map_err(|error| refuse(file, error));
    Ok([get(CONFIG)?, get(WEIGHTS[0])?, get(TOKENIZER)?])
}

fn open_files([config, weights, tokenizer]: [PathBuf; 3]) -> Result<Encoder, TrainError> {
    let text =
        std::fs::read_to_string(&config).map_err(|error| TrainError::read(&config, error))?;
    let unusable = |error: serde_json::Error| {
        TrainError::backbone(&config, format!("does not parse ({error})"))
    };
    let raw_config = serde_json::from_str(&text).map_err(unusable)?;
    let parsed: BertConfig = serde_json::from_str(&text).map_err(unusable)?;
    if let Some(reason) = parsed.refusal() {
        return Err(TrainError::backbone(
            &config,
            format!("cannot be trained: {reason}"),
        ));
    }
    let mut opened = Tokenizer::from_file(&tokenizer)
        .map_err(|error| TrainError::backbone(&tokenizer, format!("does not parse ({error})")))?;
    opened
        .with_padding(None)
        .with_truncation(None)
        .map_err(|error| TrainError::backbone(&tokenizer, format!("cannot be set up ({error})")))?;
    Ok(Encoder {
        config: parsed,
        raw_config,
        tokenizer: opened,
        weights,
    })
}
