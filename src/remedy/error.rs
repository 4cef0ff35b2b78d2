//! Why there is no remedy.

use crate::derive::DeriveError;
use crate::model::error::ModelError;
use crate::registry::RegistryError;
use crate::store::StoreError;

/// A remedy that was not made. Each message is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RemedyError {
    /// Its texts may have several labels.
    #[error(
        "the model {0} may give a text several labels, and only one that gives each text one label can be corrected without training"
    )]
    SeveralLabels(String),
    /// It is an ensemble.
    #[error(
        "the model {0} is an ensemble: correct its members one by one and make an ensemble of the corrected ones"
    )]
    Ensemble(String),
    /// It is not known which class shares it was calibrated on.
    #[error(
        "the baseline of the model {0} has no labels, so it is not known which class shares it was calibrated on: give them \
         (--source), or make a baseline of labelled texts (`tidewatch baseline`)"
    )]
    NoSource(String),
    /// Class shares that were given are none.
    #[error("{0:?} are no class shares: give one for each label, 0 or more, which add up to 1")]
    NoShares(Vec<f64>),
    /// The watch has said nothing.
    #[error(
        "the watch has no window of the model {0} with an estimate of the class shares: they need a baseline with labels and \
         a closed window (`tidewatch drift show`)"
    )]
    NoEstimate(String),
    /// The watch's estimate is not sure, or the shares have hardly moved.
    #[error(
        "the class shares of the watch are not corrected to: {0}; give others by hand, or wait for more messages"
    )]
    NotBelieved(String),
    /// It would change next to nothing.
    #[error("nothing would be gained: {0}")]
    NoChange(String),
    /// Labels are too few.
    #[error(
        "there are {have} labelled messages of use (their effective number), and {need} are needed ({left_out}): label more \
         (`tidewatch annotate`), or look further back"
    )]
    TooFewLabels {
        have: u32,
        need: u32,
        left_out: String,
    },
    /// Labels show that it is no remedy.
    #[error("labels speak against it: {0}")]
    Worse(String),
    /// A model that has to score texts cannot.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model that has to score texts does not work any more.
    #[error("the model does not work any more: {0}")]
    Broken(String),
    #[error(transparent)]
    Derive(#[from] DeriveError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RemedyError {
    /// Whether there is no remedy by what is known now: asking again at once would change nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Derive(error) => error.is_refusal(),
            Self::Registry(error) => error.is_refusal(),
            Self::Store(error) => !error.is_retryable(),
            Self::Model(_) | Self::Broken(_) => false,
            _ => true,
        }
    }
}
