//! What can go wrong in a fine-tuning run, and the exit code each kind ends with.

use std::fmt::Display;
use std::path::{Path, PathBuf};

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
    /// The finished model is not good enough to be used.
    #[error("the gate is not met: {0}")]
    Gate(String),
    /// Someone asked the run to stop.
    #[error("stopped by request; the last finished epoch's checkpoint is kept")]
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
            Self::Recipe { .. } | Self::Data(_) | Self::Backbone { .. } | Self::Read { .. } => 2,
            Self::Gate(_) | Self::Diverged { .. } => 3,
            Self::Write { .. } => 4,
            Self::Stopped => 130,
        }
    }
}
