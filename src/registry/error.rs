//! Why the registry refuses something. Each message is one sentence that says what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::model::manifest::BundleError;
use crate::store::StoreError;

/// A failure of the registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The configuration names no place, or none that can be used.
    #[error("{0}")]
    Config(String),
    /// What is to be imported, or stands in the depot, is no whole bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle is another than the one that was meant.
    #[error(
        "{folder} holds the model {is}, and {expected} was expected: its manifest was changed, so get the bundle again"
    )]
    OtherVersion {
        folder: PathBuf,
        is: String,
        expected: String,
    },
    /// It gives other labels than the champion, or in another order.
    #[error(
        "the model {version} gives the labels {meaning}, and the champion {champion} gives {expected}: results would change \
         their meaning, so train it on the same labels in the same order"
    )]
    OtherLabels {
        version: String,
        meaning: Box<Meaning>,
        champion: String,
        expected: Box<Meaning>,
    },
    /// It failed in the process that tried it.
    #[error("the model {version} was tried in a process of its own and {what}; it is not imported")]
    Probe { version: String, what: String },
    /// The process that tries bundles cannot be started.
    #[error(
        "no process can be started to try the bundle ({0}); see what limits this machine's processes"
    )]
    Start(io::Error),
    /// The depot, or the cache, cannot be read or written.
    #[error("{path} cannot be {done} ({source}); check the permissions and the free space")]
    Folder {
        path: PathBuf,
        done: &'static str,
        source: io::Error,
    },
    /// The bucket does not do what is asked.
    #[error("{place}: {problem}")]
    Bucket { place: String, problem: String },
    /// There is no such bundle in the depot.
    #[error("{depot} holds no whole bundle {version}: import it again from where it was written")]
    Missing { depot: String, version: String },
    /// A file in the depot is not the one the manifest was written for.
    #[error(
        "{place} was changed: its sha256 is {is}, the manifest says {expected}; import the bundle again"
    )]
    Changed {
        place: String,
        is: String,
        expected: String,
    },
    /// The manifest in the depot cannot be used.
    #[error("{place} is not a usable manifest: {reason}; import the bundle again")]
    Manifest { place: String, reason: String },
    /// What was given names no model, or several.
    #[error("{0}")]
    Unknown(String),
    /// An alias cannot be changed so.
    #[error("{0}")]
    Refused(String),
    /// Somebody else imports or removes bundles.
    #[error("bundles are being {doing} elsewhere; try again when that has ended")]
    Busy { doing: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistryError {
    /// Whether the bundle, or what was asked, is to blame: trying again would change nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Bundle(_)
            | Self::OtherVersion { .. }
            | Self::OtherLabels { .. }
            | Self::Probe { .. }
            | Self::Unknown(_)
            | Self::Refused(_) => true,
            Self::Start(_)
            | Self::Folder { .. }
            | Self::Bucket { .. }
            | Self::Missing { .. }
            | Self::Changed { .. }
            | Self::Manifest { .. }
            | Self::Busy { .. } => false,
            Self::Store(error) => !error.is_retryable(),
        }
    }
}

/// What a model's outputs mean.
#[derive(Debug)]
pub struct Meaning {
    pub(super) labels: Vec<String>,
    /// Whether one of them holds or several may, in words.
    pub(super) problem: &'static str,
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({})", self.labels, self.problem)
    }
}
