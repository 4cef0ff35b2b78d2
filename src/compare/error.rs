//! Why two bundles cannot be compared.

use std::path::PathBuf;

use crate::gate::equity::EquityError;
use crate::gate::example::GateError;
use crate::model::error::ModelError;
use crate::model::inference::Interrupted;
use crate::model::manifest::BundleError;

/// A comparison that was not made. Each message is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A bundle cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The gate cannot compare them.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The corpus cannot be used.
    #[error(transparent)]
    Equity(#[from] EquityError),
    /// What the trainer has left is no report.
    #[error(
        "{path} is no report of tidewatch-finetune ({reason}); get the bundle again or rebuild it"
    )]
    Report { path: PathBuf, reason: String },
    /// No row can be used.
    #[error(
        "no text of the held-out set has a label of the models ({labels}): {left_out}; say where labels stand with --label-field or [held_out] label_field"
    )]
    NothingLeft { labels: String, left_out: String },
    /// The caller wanted it so.
    #[error("stopped by request")]
    Stopped,
    /// A model does not work any more.
    #[error("the {role} does not work any more: {reason}")]
    Broken { role: &'static str, reason: String },
}

impl CompareError {
    pub(super) fn of(role: &'static str, interrupted: &Interrupted) -> Self {
        match interrupted {
            Interrupted::Stopped => Self::Stopped,
            Interrupted::Broken(error) => Self::Broken {
                role,
                reason: error.to_string(),
            },
        }
    }
}

impl From<BundleError> for CompareError {
    fn from(error: BundleError) -> Self {
        Self::Model(error.into())
    }
}
