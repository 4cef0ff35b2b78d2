//! Why there is no candidate. Each message is one sentence that says what to do.

use std::io;
use std::path::PathBuf;

use crate::registry::RegistryError;
use crate::retrain::dataset::error::DatasetError;
use crate::store::{StoreError, TrainingState};
use crate::train::error::TrainError;

/// A failure of a renewal.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// Nothing says how to train.
    #[error(
        "nothing says how to train: the champion's bundle tells no recipe ({0}); name one as [retrain.base] recipe, or with --first"
    )]
    NoRecipe(String),
    /// Nothing to start from.
    #[error(
        "there is nothing to start from: {0}, and no backbone is named; set [retrain.base] backbone to what the champion was \
         trained from, or name a recipe with one"
    )]
    NoStart(String),
    /// The champion's weights were asked for.
    #[error(
        "a training cannot start from the champion's weights, since {0}; leave --champion-weights out to start from a backbone"
    )]
    NoWeights(String),
    /// The recipe is for other labels.
    #[error(
        "the recipe's labels are {recipe:?} and the champion's {champion:?}: train on the same labels in the same order"
    )]
    OtherLabels {
        recipe: Vec<String>,
        champion: Vec<String>,
    },
    /// The recipe, or the base data, cannot be used.
    #[error(transparent)]
    Base(#[from] TrainError),
    /// The fixed set cannot be read, and it must not be trained on.
    #[error("the files of [held_out], which must not be trained on, cannot be used: {0}")]
    HeldOut(String),
    /// There are too few labels.
    #[error(
        "there are {rows} labelled messages to train on, and [retrain] min_rows asks for {wanted}: have more messages labelled, \
         or lower it{left_out}"
    )]
    TooFew {
        rows: usize,
        wanted: u32,
        /// How many were left out and why, as the end of the sentence.
        left_out: String,
    },
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The same was trained before.
    #[error(
        "the same training (champion, recipe and rows) was begun before, as run {run}, which is {}: {}",
        state.as_str(),
        match state {
            TrainingState::Done => "have more messages labelled, or change [retrain.dataset]",
            _ => "go on with it by --resume",
        }
    )]
    Repeated { run: i64, state: TrainingState },
    /// Another one is under way.
    #[error(
        "a training is under way already{}: wait for its end, `tidewatch retrain list` shows how far it is",
        run.map_or_else(String::new, |run| format!(" (run {run})"))
    )]
    Busy { run: Option<i64> },
    /// There is no such run, or it is done.
    #[error("run {0} cannot go on: {1}; `tidewatch retrain list` shows what there is")]
    NotResumable(i64, &'static str),
    /// A run's folder is not on this machine.
    #[error(
        "run {run} cannot go on here: {folder} is not there; resume it on the machine and with the [retrain] folder it was begun with"
    )]
    NoFolder { run: i64, folder: PathBuf },
    /// Another instance has the duty.
    #[error("another instance decides on trainings now, so none was begun here")]
    LeaseLost,
    /// Somebody has resumed this training elsewhere.
    #[error("run {0} was taken over by another process, and was stopped here")]
    TakenOver(i64),
    /// The folder cannot be used.
    #[error("{path} cannot be written ({source}); check the permissions and the free space")]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RenewalError {
    /// Whether settings, files or arguments are to blame.
    #[must_use]
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            Self::NoRecipe(_)
                | Self::NoStart(_)
                | Self::NoWeights(_)
                | Self::OtherLabels { .. }
                | Self::Base(_)
                | Self::HeldOut(_)
                | Self::NotResumable(..)
                | Self::Registry(RegistryError::Config(_))
        )
    }
}
