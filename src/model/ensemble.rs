//! One answer from several models' answers.
//!
//! Which models these are stands in a derived bundle's manifest ([`Members`]); their files are in the bundle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Problem;

/// Most members of an ensemble: each costs as much time and memory as a model.
pub const MOST_MEMBERS: usize = 8;

/// The models of an ensemble and how they are combined, as the manifest of its bundle has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    pub method: Pool,
    /// Two or more, in the order of their files' names.
    pub members: Vec<Member>,
}

/// A model of an ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The hex SHA-256 of its manifest, which is in the ensemble's bundle.
    pub version: String,
    /// Relative to the others'.
    pub weight: f64,
}

impl Members {
    /// The names of a member's manifest and model in the ensemble's bundle; the first member is 0.
    #[must_use]
    pub fn files(member: usize) -> (String, String) {
        let number = member + 1;
        (
            format!("member-{number}.json"),
            format!("member-{number}.onnx"),
        )
    }

    /// The name of what a member's trainer says of it, if its bundle holds that.
    #[must_use]
    pub fn report(member: usize) -> String {
        format!("member-{}.report.json", member + 1)
    }

    /// The weights, in the members' order.
    #[must_use]
    pub fn weights(&self) -> Vec<f64> {
        self.members.iter().map(|member| member.weight).collect()
    }

    /// Says what makes it unusable in a bundle with these files' hashes, if anything does.
    ///
    /// # Errors
    /// A sentence's end: what is wrong with it.
    pub fn check(&self, problem: Problem, files: &BTreeMap<String, String>) -> Result<(), String> {
        if !(2..=MOST_MEMBERS).contains(&self.members.len()) {
            return Err(format!(
                "its ensemble has {} members, and 2 to {MOST_MEMBERS} make one",
                self.members.len()
            ));
        }
        Ensemble::new(self.method, problem, &self.weights()).map_err(|error| error.to_string())?;
        for (index, member) in self.members.iter().enumerate() {
            let (manifest, model) = Self::files(index);
            if files.get(&manifest) != Some(&member.version) {
                return Err(format!(
                    "its {manifest} is not the manifest of the member {}",
                    member.version
                ));
            }
            if !files.contains_key(&model) {
                return Err(format!("it does not name {model}"));
            }
        }
        Ok(())
    }
}

/// Stands in for smaller probabilities, which would forbid a label whatever the other models say.
const SMALLEST: f64 = 1e-6;

/// How probabilities are combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Weighted mean of the probabilities (Stone 1961, "The Opinion Pool"). Of calibrated models that differ the mean is less
    /// sure than it could be (Ranjan and Gneiting 2010, "Combining probability forecasts"), so it may need a temperature.
    #[default]
    Linear,
    /// Weighted mean of the logits, which is the geometric mean of the probabilities made to sum to one (Genest and Zidek 1986,
    /// "Combining Probability Distributions"). A model that is sure that a label is wrong counts for more.
    Logarithmic,
}

/// Why there is no combined answer.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum EnsembleError {
    #[error("an ensemble needs a model or more")]
    NoMembers,
    #[error("the ensemble has {weights} members, and {rows} answers were given")]
    Members { weights: usize, rows: usize },
    #[error("a member's weight is {0}; weights must be 0 or more, and one of them above 0")]
    Weight(f64),
    #[error(
        "members answer with {0} and {1} probabilities; only models with the same labels can be combined"
    )]
    Labels(usize, usize),
}

/// Weights of an ensemble's members, looked over once.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    pool: Pool,
    problem: Problem,
    /// They sum to one.
    weights: Vec<f64>,
}

impl Pool {
    /// As it is written on the command line and in manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Logarithmic => "logarithmic",
        }
    }
}

impl Ensemble {
    /// An ensemble of members with these weights, which are relative to each other.
    ///
    /// # Errors
    /// [`EnsembleError`] where the weights are none.
    pub fn new(pool: Pool, problem: Problem, weights: &[f64]) -> Result<Self, EnsembleError> {
        if weights.is_empty() {
            return Err(EnsembleError::NoMembers);
        }
        if let Some(&wrong) = weights
            .iter()
            .find(|weight| !(weight.is_finite() && **weight >= 0.0))
        {
            return Err(EnsembleError::Weight(wrong));
        }
        let sum: f64 = weights.iter().sum();
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(EnsembleError::Weight(sum));
        }
        Ok(Self {
            pool,
            problem,
            weights: weights.iter().map(|weight| weight / sum).collect(),
        })
    }

    /// The combined probabilities of one text, from one row of each member in the weights' order.
    ///
    /// # Errors
    /// [`EnsembleError`] where rows have different lengths, or there are more or fewer of them than weights.
    pub fn combine(&self, rows: &[&[f32]]) -> Result<Vec<f32>, EnsembleError> {
        if rows.len() != self.weights.len() {
            return Err(EnsembleError::Members {
                weights: self.weights.len(),
                rows: rows.len(),
            });
        }
        let labels = rows[0].len();
        if let Some(other) = rows.iter().find(|row| row.len() != labels) {
            return Err(EnsembleError::Labels(labels, other.len()));
        }
        let mean = |label: usize, of: fn(f64) -> f64| -> f64 {
            let terms = self.weights.iter().zip(rows);
            terms
                .map(|(weight, row)| weight * of(f64::from(row[label])))
                .sum()
        };
        let combined: Vec<f64> = match (self.pool, self.problem) {
            (Pool::Linear, _) => (0..labels).map(|label| mean(label, |p| p)).collect(),
            (Pool::Logarithmic, Problem::SingleLabel) => {
                let shares: Vec<f64> = (0..labels)
                    .map(|label| mean(label, |p| p.max(SMALLEST).ln()).exp())
                    .collect();
                let total: f64 = shares.iter().sum();
                shares.iter().map(|share| share / total).collect()
            }
            (Pool::Logarithmic, Problem::MultiLabel) => (0..labels)
                .map(|label| 1.0 / (1.0 + (-mean(label, logit)).exp()))
                .collect(),
        };
        Ok(combined.into_iter().map(|p| p as f32).collect())
    }
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(SMALLEST, 1.0 - SMALLEST);
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests;
