//! How a model is trained on the chosen rows: a recipe for `tidewatch-finetune`.

use std::collections::BTreeMap;
use std::path::Path;

use super::Selection;
use super::config::DatasetConfig;
use super::error::DatasetError;
use super::files::{BASE_FILE, BASELINE_FILE, FEEDBACK_FILE, VALIDATION_FILE};
use crate::train::recipe::{
    Backbone, ClassWeights, Column, Columns, Format, Labels, Recipe, Role, Source, Split,
    TextOptions, TimeSource,
};

/// The recipe that trains on the files of a selection, with the folder they lie in as `--data` and the bundle's place as
/// `--out`.
///
/// It is the `first` recipe, by which the data's base was chosen, but for what it starts from and what it reads: it starts
/// from the champion's bundle with its classification head, where the bundle holds its weights (`output.training_weights`),
/// and else from what the first recipe starts from. Texts stand in the files as they are to be read, so nothing is
/// unescaped. No score is asked for, since another set validates: whether the model is good enough the gate says.
#[must_use]
pub fn retraining(
    first: &Recipe,
    champion: Option<&Path>,
    config: &DatasetConfig,
    selection: &Selection,
) -> Recipe {
    let mut recipe = first.clone();
    recipe.seed = config.seed;
    if let Some(folder) = champion {
        recipe.backbone = Backbone::Folder(folder.to_owned());
    }
    recipe.labels = Labels {
        names: first.labels.names.clone(),
        map: BTreeMap::new(),
    };
    let files = [
        (FEEDBACK_FILE, Role::Train, &selection.feedback),
        (BASE_FILE, Role::Train, &selection.base),
        (VALIDATION_FILE, Role::Validation, &selection.validation),
        (BASELINE_FILE, Role::Baseline, &selection.baseline),
    ];
    recipe.data = files
        .into_iter()
        .filter(|(_, _, rows)| !rows.is_empty())
        .map(|(name, role, _)| source(name, role))
        .collect();
    recipe.split = Split::Given;
    recipe.text = TextOptions::default();
    recipe.training.learning_rate = config.learning_rate.unwrap_or(first.training.learning_rate);
    if config.balance_classes {
        recipe.training.class_weights = Some(ClassWeights::BALANCED);
    } else if !config.class_weights.is_empty() {
        recipe.training.class_weights = Some(ClassWeights::Given(config.class_weights.clone()));
    }
    recipe.training.epochs = config.epochs.unwrap_or(first.training.epochs);
    recipe.output.min_macro_recall = None;
    recipe.output.training_weights = true;
    recipe
}

/// The text of a recipe.
///
/// # Errors
/// A path in it is not valid UTF-8.
pub fn write(recipe: &Recipe) -> Result<String, DatasetError> {
    toml::to_string(recipe).map_err(|error| DatasetError::Recipe(error.to_string()))
}

fn source(name: &str, role: Role) -> Source {
    let column = |name: &str| Column::Name(name.to_owned());
    Source {
        path: name.into(),
        role,
        format: Format::Jsonl,
        header: false,
        columns: Columns {
            id: Some(column("id")),
            text: column("text"),
            label: column("label"),
            time: Some(column("time")),
        },
        time: TimeSource::Column,
        // Rows differ in how often they occur, so the files repeat them.
        repeat: 1,
    }
}
