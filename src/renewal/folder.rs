//! A training's folder: whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::RenewalError;
use super::first::absolute;
use super::plan::Plan;
use crate::durable;
use crate::retrain::dataset::files::HELD_OUT_FILE;
use crate::retrain::dataset::recipe;
use crate::retrain::runner::Task;

const RECIPE_FILE: &str = "recipe.toml";
const BUNDLE_FOLDER: &str = "model";
/// What `tidewatch-finetune` adds to the bundle's name for the folder of its state.
const STATE_ENDING: &str = "checkpoint";
/// So many digits of its fingerprint name a training's folder.
const DIGITS: usize = 16;

/// The folder in which one training works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The one of a fingerprint, whether it is there or not.
    pub(super) fn of(within: &Path, fingerprint: &str) -> Self {
        let name = fingerprint.get(..DIGITS).unwrap_or(fingerprint);
        Self {
            path: absolute(within).join(name),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bundle's place.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        self.path.join(BUNDLE_FOLDER)
    }

    /// The labelled messages that the model was not trained on, if there are any.
    #[must_use]
    pub fn held_out(&self) -> Option<PathBuf> {
        Some(self.path.join(HELD_OUT_FILE)).filter(|file| file.is_file())
    }

    /// Removes the bundle, which the registry has, and what the trainer has kept to go on from; rows, recipe and reports stay.
    pub(super) fn clear(&self) {
        let bundle = self.bundle();
        for folder in [bundle.with_added_extension(STATE_ENDING), bundle] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!(
                    "{} is not needed any more and cannot be removed: {error}",
                    folder.display()
                ),
                _ => {}
            }
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.path.join(RECIPE_FILE).is_file()
    }

    /// What the runner is to do.
    pub(super) fn task(&self) -> Task {
        Task {
            recipe: self.path.join(RECIPE_FILE),
            bundle: self.bundle(),
            folder: self.path.clone(),
        }
    }

    /// Writes rows, recipe and report under another name and renames it. A folder that is there already is of a training
    /// that was never begun, and is replaced.
    pub(super) fn write(&self, plan: &Plan) -> Result<(), RenewalError> {
        let failed = |source: io::Error| RenewalError::Folder {
            path: self.path.clone(),
            source,
        };
        let within = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(within).map_err(failed)?;
        let partial = tempfile::Builder::new()
            .prefix(".partial-")
            .tempdir_in(within)
            .map_err(failed)?;
        let labels = &plan.recipe.labels.names;
        plan.selection.write(partial.path(), labels)?;
        let text = recipe::write(&plan.recipe)?;
        durable::write(&partial.path().join(RECIPE_FILE), text.as_bytes()).map_err(failed)?;
        durable::sync_folder(partial.path()).map_err(failed)?;
        if self.path.exists() {
            fs::remove_dir_all(&self.path).map_err(failed)?;
        }
        fs::rename(partial.path(), &self.path).map_err(failed)?;
        // It has another name now, so nothing is left to be removed.
        let _ = partial.keep();
        durable::sync_folder(within).map_err(failed)
    }
}
