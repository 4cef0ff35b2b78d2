//! How a bundle was made, as far as its trainer has said: the export, and how far it agrees with what was trained.

use serde::Deserialize;

use super::error::CompareError;
use crate::model::ensemble::Members;
use crate::model::manifest::{Bundle, REPORT_FILE};
use crate::train::export::{ExportOptions, Storage};
use crate::train::parity::Parity;

/// What is read of the trainer's report.
#[derive(Debug, Deserialize)]
struct Report {
    exported: Exported,
}

#[derive(Debug, Deserialize)]
struct Exported {
    options: ExportOptions,
    parity: Parity,
}

/// What is known of the export.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Made {
    /// Largest difference of a probability between the exported model and the trainer.
    pub parity: Option<f64>,
    storage: Option<Storage>,
}

impl Made {
    /// Reads the report of a bundle whose files are verified, or those of all members of an ensemble; a bundle without one
    /// says nothing.
    pub fn of(bundle: &Bundle) -> Result<Self, CompareError> {
        let Some(members) = &bundle.manifest.ensemble else {
            return Self::read(bundle, REPORT_FILE);
        };
        let made: Vec<Self> = (0..members.members.len())
            .map(|member| Self::read(bundle, &Members::report(member)))
            .collect::<Result<_, _>>()?;
        let first = made.first().and_then(|made| made.storage);
        Ok(Self {
            // A mean of probabilities is no further from what was trained than the furthest of them; one of logits hardly.
            parity: made
                .iter()
                .map(|made| made.parity)
                .collect::<Option<Vec<f64>>>()
                .map(|all| all.into_iter().fold(0.0, further)),
            storage: first.filter(|_| made.iter().all(|made| made.storage == first)),
        })
    }

    fn read(bundle: &Bundle, name: &str) -> Result<Self, CompareError> {
        if !bundle.manifest.files.contains_key(name) {
            return Ok(Self::default());
        }
        let path = bundle.file(name);
        let read = std::fs::read(&path).map_err(|error| error.to_string());
        let parsed = read.and_then(|bytes| {
            serde_json::from_slice::<Report>(&bytes).map_err(|error| error.to_string())
        });
        let exported = parsed
            .map_err(|reason| CompareError::Report { path, reason })?
            .exported;
        Ok(Self {
            parity: Some(largest(&exported.parity)),
            storage: Some(exported.options.weights),
        })
    }

    /// How the weights are stored, in words. Arithmetic on a CPU is in 32-bit floats whatever that is.
    fn weights(&self) -> &'static str {
        match self.storage {
            Some(Storage::Float32) => "float32",
            Some(Storage::Int8) => "int8",
            None => "unknown",
        }
    }

    /// The precision at which both ran, in words.
    pub fn precision(champion: &Self, candidate: &Self) -> String {
        let (one, other) = (champion.weights(), candidate.weights());
        if one == other {
            format!("{one} weights")
        } else {
            format!("{other} weights beside {one} ones")
        }
    }
}

/// Alone or in batches.
fn largest(parity: &Parity) -> f64 {
    further(f64::from(parity.alone), f64::from(parity.batched))
}

/// The larger one; a NaN stays one.
fn further(one: f64, other: f64) -> f64 {
    if one >= other || one.is_nan() {
        one
    } else {
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_difference_counts_and_one_that_is_no_number_is_kept() {
        let parity = |alone, batched| Parity {
            texts: 1,
            shortest: 3,
            longest: 3,
            alone,
            batched,
        };
        assert_eq!(largest(&parity(0.5, 0.25)), 0.5);
        assert_eq!(largest(&parity(0.25, 0.5)), 0.5);
        assert!(largest(&parity(f32::NAN, 0.5)).is_nan());
        assert!(largest(&parity(0.5, f32::NAN)).is_nan());
    }

    #[test]
    fn weights_of_two_kinds_are_both_named() {
        let of = |storage| Made {
            storage,
            ..Made::default()
        };
        let (int8, float) = (of(Some(Storage::Int8)), of(Some(Storage::Float32)));
        assert_eq!(Made::precision(&int8, &int8), "int8 weights");
        assert_eq!(
            Made::precision(&int8, &float),
            "float32 weights beside int8 ones"
        );
    }
}
