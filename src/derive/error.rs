//! Why a bundle is not derived.

use std::io;
use std::path::PathBuf;

use crate::model::manifest::BundleError;
use crate::registry::RegistryError;
use crate::store::StoreError;

/// A bundle that was not derived. Each message is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// What was asked for makes no bundle.
    #[error("{0}")]
    Refused(String),
    /// The folder of the bundle in the making cannot be written.
    #[error("{path} cannot be written ({source}); check the permissions and the free space")]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeriveError {
    /// Whether what was asked, or a bundle, is to blame: trying again would change nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Bundle(_) => true,
            Self::Write { .. } => false,
            Self::Registry(error) => error.is_refusal(),
            Self::Store(error) => !error.is_retryable(),
        }
    }
}
