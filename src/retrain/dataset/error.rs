//! What can go wrong when data for a training is put together.

use std::io;
use std::path::PathBuf;

/// Why there is nothing to train with.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// No row is left.
    #[error(
        "no labelled message and no base row is left to train on: have messages labelled, or name base data in the recipe; \
         the report says what was left out and why"
    )]
    NothingToTrainOn,
    /// No row validates.
    #[error(
        "no row is left to validate with: have more messages labelled, raise validation in [retrain.dataset], or give the \
         recipe a file with the role \"validation\""
    )]
    NothingToValidateWith,
    /// A class of the settings is none of the model's.
    #[error("[retrain.dataset] class_weights names {name:?}, and the model's labels are {labels}")]
    UnknownClass {
        /// The name.
        name: String,
        /// The labels.
        labels: String,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written ({source}); check the permissions and the free space")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A path cannot stand in a recipe.
    #[error("the recipe cannot be written ({0}); use paths that are valid UTF-8")]
    Recipe(String),
}
