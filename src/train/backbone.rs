//! Finding the pre-trained encoder: a folder in Hugging Face's layout, or a model of the hub.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Repo, RepoType};
use tokenizers::Tokenizer;

use super::bert::BertConfig;
use super::error::TrainError;
use super::recipe::Backbone;

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

/// The files a backbone must have.
const FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// Opens a backbone; relative folders start at `base`.
pub fn open(backbone: &Backbone, base: &Path) -> Result<Encoder, TrainError> {
    match backbone {
        Backbone::Folder(folder) => {
            let folder = base.join(folder);
            if let Some(missing) = FILES.iter().find(|name| !folder.join(name).is_file()) {
                return Err(TrainError::backbone(
                    &folder,
                    format!("has no file {missing}"),
                ));
            }
            open_files(FILES.map(|name| folder.join(name)))
        }
        Backbone::Hub(id) => open_files(fetch(id)?),
    }
}

/// Downloads a model's files to the hub's cache, or finds them there.
fn fetch(id: &str) -> Result<[PathBuf; 3], TrainError> {
    let (name, revision) = id.split_once('@').unwrap_or((id, "main"));
    let refuse = |reason: hf_hub::api::sync::ApiError| {
        let hint = "check the name, the network and HF_ENDPOINT, or give a folder";
        TrainError::backbone(
            Path::new(id),
            format!("could not be fetched from the hub ({reason}); {hint}"),
        )
    };
    let api = ApiBuilder::from_env()
        .with_progress(false)
        .build()
        .map_err(refuse)?;
    let repo = api.repo(Repo::with_revision(
        name.to_owned(),
        RepoType::Model,
        revision.to_owned(),
    ));
    let [config, weights, tokenizer] = FILES;
    Ok([
        repo.get(config).map_err(refuse)?,
        repo.get(weights).map_err(refuse)?,
        repo.get(tokenizer).map_err(refuse)?,
    ])
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
