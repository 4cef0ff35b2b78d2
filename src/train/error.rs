//! What can go wrong in a fine-tuning run, and the exit code each kind ends with.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::bundle::WriteError;
use crate::model::backend::InferError;
use crate::model::error::ModelError;

/// A failure of a fine-tuning run. Each message is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recipe is not a valid one.
    #[error("the recipe {path} cannot be used: {reason}")]
    Recipe {
        /// The recipe file.
        path: PathBuf,
        /// What to change.
        reason: String,
    },
    /// The data cannot be trained on.
    #[error("the data cannot be used: {0}")]
    Data(String),
    /// The backbone is no encoder that can be trained here.
    #[error("the backbone {path} cannot be used: it {reason}")]
    Backbone {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence.
        reason: String,
    },
    /// The hub did not give a backbone.
    #[error("the backbone {id} cannot be fetched: the hub {reason}")]
    Hub {
        /// The model's id.
        id: String,
        /// What went wrong, as the rest of a sentence, and what to do.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read ({reason}); check that it exists and may be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written ({reason}); check the permissions and the free space")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// Training went wrong by itself.
    #[error("training failed at step {step}: {reason}")]
    Diverged {
        /// The step at which it was seen.
        step: usize,
        /// What to change.
        reason: String,
    },
    /// There is no going on from what is kept of a training.
    #[error("the training state {path} cannot be resumed: it {reason}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence, and what to do.
        reason: String,
    },
    /// Another process works on the same training.
    #[error("another run is at work on {0}; wait for its end, or name another folder with --out")]
    Busy(PathBuf),
    /// The finished model is not good enough to be used.
    #[error("the gate is not met: {0}")]
    Gate(String),
    /// ONNX Runtime cannot be had, or not with what the exported model needs.
    #[error(transparent)]
    Runtime(#[from] ModelError),
    /// ONNX Runtime failed on the exported model.
    #[error("the exported model cannot be checked: {0}")]
    Infer(#[from] InferError),
    /// The bundle was not written.
    #[error(transparent)]
    Bundle(#[from] WriteError),
    /// Someone asked the run to stop.
    #[error("stopped by request; --resume goes on from the last step")]
    Stopped,
}

impl TrainError {
    /// A read failure of `path`.
    pub fn read(path: &Path, reason: impl Display) -> Self {
        Self::Read {
            path: path.into(),
            reason: reason.to_string(),
        }
    }

    /// A write failure of `path`.
    pub fn write(path: &Path, reason: impl Display) -> Self {
        Self::Write {
            path: path.into(),
            reason: reason.to_string(),
        }
    }

    /// A state that cannot be gone on from.
    pub fn state(path: &Path, reason: impl Into<String>) -> Self {
        Self::State {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// A backbone that cannot be used.
    pub fn backbone(path: &Path, reason: impl Into<String>) -> Self {
        Self::Backbone {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// The exit code documented for `tidewatch-finetune`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Recipe { .. }
            | Self::Data(_)
            | Self::Backbone { .. }
            | Self::Hub { .. }
            | Self::Read { .. }
            | Self::State { .. }
            | Self::Busy(_)
            | Self::Bundle(WriteError::Exists(_)) => 2,
            Self::Gate(_) | Self::Diverged { .. } => 3,
            Self::Write { .. } | Self::Runtime(_) | Self::Infer(_) | Self::Bundle(_) => 4,
            Self::Stopped => 130,
        }
    }
}
