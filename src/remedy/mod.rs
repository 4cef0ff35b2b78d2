//! Light remedies: a model that is made good without training it, by other class shares or another temperature.
//!
//! A remedy is a bundle derived from the model that it corrects: the same files, and a manifest that says by what its
//! probabilities are adjusted. So it is versioned, promoted, compared and rolled back like any model, and every row names
//! it. It is always made of the original, whichever derived model serves: what was corrected before is reckoned anew, not
//! corrected once more.
//!
//! [`prior_correction`] weighs probabilities by the class shares of the feed, [`recalibration`] fits the temperature on
//! labelled messages; both check on labels that the negative log likelihood gets no worse, and refuse what changes next to
//! nothing. What was found is a [`Report`], which is also kept in the bundle.

mod check;
mod error;
mod material;
mod original;
mod report;
mod shares;
mod temperature;

pub use check::Checked;
pub use error::RemedyError;
pub use material::LeftOut;
pub use report::{Kind, Report, WatchedShares};
pub use shares::{Shares, prior_correction};
pub use temperature::recalibration;

use crate::model::config::ModelConfig;
use crate::registry::Registry;
use crate::store::Store;

/// Name of the report in the bundle of a remedy.
pub const REMEDY_FILE: &str = "remedy.json";

/// Least points (total variation) by which class shares must differ from those that are corrected to already.
pub const LEAST_POINTS: f64 = 1.0;
/// Least part by which a temperature must differ from the one that is applied already.
pub const LEAST_TEMPERATURE: f64 = 0.02;
/// Labelled messages (their effective number) from which a correction of class shares is checked on them.
pub const LEAST_CHECKED: u32 = 50;

/// What a remedy is made with.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    pub registry: &'a Registry,
    pub store: &'a Store,
    /// Where a model runs, should one have to score texts; its path is not asked.
    pub model: &'a ModelConfig,
    /// Most tokens of a batch, padding included.
    pub batch_tokens: usize,
    /// Who does it, for the history.
    pub by: &'a str,
    /// Nothing is taken into the registry.
    pub dry_run: bool,
}

/// A remedy that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Remedied {
    /// The version of the model that was taken into the registry; none where nothing was to be.
    pub version: Option<String>,
    pub report: Report,
}
