//! A classifier as a folder in Hugging Face's layout.

use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::encoder::Model;
use super::error::TrainError;

/// What is written beside the weights.
pub struct Card<'a> {
    /// The backbone's `config.json`.
    pub config: &'a Map<String, Value>,
    /// Names of the classes, in the order of their indices.
    pub labels: &'a [String],
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
}

impl Card<'_> {
    /// The bytes of `config.json`.
    pub fn config_json(&self) -> Vec<u8> {
        let text = serde_json::to_string_pretty(&config(self));
        (text.expect("a JSON object has only string keys") + "\n").into_bytes()
    }

    /// The bytes of `tokenizer.json`.
    pub fn tokenizer_json(&self) -> Result<Vec<u8>, tokenizers::Error> {
        Ok(self.tokenizer.to_string(false)?.into_bytes())
    }
}

/// Writes `config.json`, `model.safetensors` and `tokenizer.json`; each file replaces its predecessor
/// only once it is whole.
pub fn write(folder: &Path, card: &Card<'_>, model: Model<'_>) -> Result<(), TrainError> {
    std::fs::create_dir_all(folder).map_err(|error| TrainError::write(folder, error))?;
    replace(&folder.join("config.json"), |file| {
        std::fs::write(file, card.config_json()).map_err(|error| TrainError::write(file, error))
    })?;
    replace(&folder.join("tokenizer.json"), |file| {
        let json = card
            .tokenizer_json()
            .map_err(|error| TrainError::write(file, error))?;
        std::fs::write(file, json).map_err(|error| TrainError::write(file, error))
    })?;
    replace(&folder.join("model.safetensors"), |file| {
        model.weights.save(model.layout, file)
    })
}

/// Writes a file under another name and renames it into place.
fn replace(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let partial = path.with_added_extension("partial");
    write(&partial)?;
    std::fs::rename(&partial, path).map_err(|error| TrainError::write(path, error))
}

fn config(card: &Card<'_>) -> Map<String, Value> {
    let mut config = card.config.clone();
    let numbered = card.labels.iter().enumerate();
    config.insert(
        "architectures".into(),
        json!(["BertForSequenceClassification"]),
    );
    config.insert("problem_type".into(), json!("single_label_classification"));
    config.insert("num_labels".into(), json!(card.labels.len()));
    config.insert(
        "id2label".into(),
        numbered
            .clone()
            .map(|(index, name)| (index.to_string(), json!(name)))
            .collect::<Map<_, _>>()
            .into(),
    );
    config.insert(
        "label2id".into(),
        numbered
            .map(|(index, name)| (name.clone(), json!(index)))
            .collect::<Map<_, _>>()
            .into(),
    );
    config
}
