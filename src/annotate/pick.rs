//! A message that people are asked to label.

use serde::{Deserialize, Serialize};

use crate::drift::reading::Fingerprint;
use crate::labels::Sampling;
use crate::record::Origin;

/// A scored message, as far as picking looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub origin: &'a Origin,
    pub print: Fingerprint,
    /// Tells its author from others, as in a [`Reading`](crate::drift::reading::Reading).
    pub author: Option<u64>,
    pub words: u32,
    /// BCP 47 tag, where the message says.
    pub language: Option<&'a str>,
    /// From 0 to 1 ([`margin`](super::margin::margin)).
    pub margin: f64,
}

/// A message that was picked.
#[derive(Debug, Clone, PartialEq)]
pub struct Pick {
    pub origin: Origin,
    pub margin: f64,
    pub chance: Chance,
    /// The coin of the random slice picked it; else its uncertainty did.
    pub sampling: Sampling,
}

/// The probabilities with which a message is picked, as they were when it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// By the coin of the random slice.
    pub random: f64,
    /// For its uncertainty, given all other messages of the period. 0 where it was not to be picked for that.
    pub uncertain: f64,
}

impl Chance {
    /// The probability to be picked in either way: the two are independent.
    #[must_use]
    pub fn inclusion(&self) -> f64 {
        1.0 - (1.0 - self.random) * (1.0 - self.uncertain)
    }
}
