//! A labelled message with both models' answers, and a set of them that has been looked over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Problem;

/// More would make the resampling long; a random part of them says the same.
pub const MOST_EXAMPLES: usize = 100_000;

/// How far from one a row of probabilities may sum.
const ROUNDING: f32 = 1e-3;

/// Why two models cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GateError {
    /// Several labels may hold at once.
    #[error(
        "the gate compares models that give each text one label, and the bundle is multi-label; promote it by hand"
    )]
    MultiLabel,
    /// One label cannot be confused with another.
    #[error("the gate needs two labels or more, and the models have {0}")]
    TooFewLabels(usize),
    /// The candidate answers with other labels.
    #[error(
        "the champion's labels are {champion}, and the candidate's {candidate}; train the candidate on the same labels, in the same order"
    )]
    Labels { champion: String, candidate: String },
    /// Too many examples.
    #[error("{0} examples are too many to compare; draw {MOST_EXAMPLES} of them at random")]
    TooMany(usize),
    /// An example's label is none of the models'.
    #[error("example {index} has label number {truth}, and the models have {labels} labels")]
    UnknownLabel {
        index: usize,
        truth: usize,
        labels: usize,
    },
    /// Probabilities that are none.
    #[error(
        "example {index}: the {model}'s answer is no distribution over {labels} labels; score it again with the bundle"
    )]
    NoDistribution {
        index: usize,
        model: &'static str,
        labels: usize,
    },
    /// A weight that is none.
    #[error("example {index} has weight {weight}; a weight must be a number above 0")]
    Weight { index: usize, weight: f64 },
    /// Runs that were measured wrongly.
    #[error(
        "runs of the {0} hold no value or one that is not above 0; measure both models again, in turns"
    )]
    Runs(&'static str),
    /// There is nothing to compare on.
    #[error("the fixed held-out set has no examples; name one that both models can be scored on")]
    NothingHeldOut,
    /// A setting that makes no sense.
    #[error("{0}")]
    Setting(String),
}

/// How long a text is, in the champion's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthClass {
    /// Up to 16.
    Short,
    /// Up to 48.
    Medium,
    /// More.
    Long,
}

impl LengthClass {
    /// The class of a text of so many tokens, special ones included.
    #[must_use]
    pub fn of(tokens: u32) -> Self {
        match tokens {
            0..=16 => Self::Short,
            17..=48 => Self::Medium,
            _ => Self::Long,
        }
    }

    /// As it stands in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Medium => "medium",
            Self::Long => "long",
        }
    }
}

/// A labelled message with the probabilities that both models give it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Index of the right label.
    pub truth: usize,
    /// The champion's probabilities, in the labels' order.
    pub champion: Vec<f32>,
    /// The candidate's.
    pub candidate: Vec<f32>,
    pub source: Option<String>,
    pub subject: Option<String>,
    pub length: Option<LengthClass>,
    /// How many messages it stands for: 1 in a plain sample, else one over the chance with which it was chosen.
    pub weight: f64,
}

/// By what examples are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceKind {
    Source,
    Subject,
    Length,
}

/// The part of the examples that have a property.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slice {
    pub kind: SliceKind,
    pub value: String,
}

/// Examples on which two models can be compared.
#[derive(Debug, Clone, Copy)]
pub struct Set<'a> {
    /// The labels' names, the same for both models.
    pub labels: &'a [String],
    pub examples: &'a [Example],
}

impl<'a> Set<'a> {
    /// Looks the examples over.
    ///
    /// # Errors
    /// [`GateError`] about the first of them that cannot be compared.
    pub fn new(
        labels: &'a [String],
        problem: Problem,
        examples: &'a [Example],
    ) -> Result<Self, GateError> {
        if problem == Problem::MultiLabel {
            return Err(GateError::MultiLabel);
        }
        let count = labels.len();
        if count < 2 {
            return Err(GateError::TooFewLabels(count));
        }
        if examples.len() > MOST_EXAMPLES {
            return Err(GateError::TooMany(examples.len()));
        }
        for (index, example) in examples.iter().enumerate() {
            example.check(index, count)?;
        }
        Ok(Self { labels, examples })
    }

    /// The examples of each slice.
    #[must_use]
    pub fn slices(&self) -> BTreeMap<Slice, Vec<&'a Example>> {
        let mut slices: BTreeMap<Slice, Vec<&Example>> = BTreeMap::new();
        for example in self.examples {
            let length = example.length.map(|length| length.as_str().to_owned());
            for (kind, value) in [
                (SliceKind::Source, example.source.clone()),
                (SliceKind::Subject, example.subject.clone()),
                (SliceKind::Length, length),
            ] {
                if let Some(value) = value {
                    slices
                        .entry(Slice { kind, value })
                        .or_default()
                        .push(example);
                }
            }
        }
        slices
    }
}

impl Example {
    fn check(&self, index: usize, labels: usize) -> Result<(), GateError> {
        if self.truth >= labels {
            return Err(GateError::UnknownLabel {
                index,
                truth: self.truth,
                labels,
            });
        }
        for (model, row) in [("champion", &self.champion), ("candidate", &self.candidate)] {
            let shares = row.iter().all(|p| (0.0..=1.0).contains(p));
            let sum: f32 = row.iter().sum();
            if row.len() != labels || !shares || (sum - 1.0).abs() > ROUNDING {
                return Err(GateError::NoDistribution {
                    index,
                    model,
                    labels,
                });
            }
        }
        if !(self.weight.is_finite() && self.weight > 0.0) {
            return Err(GateError::Weight {
                index,
                weight: self.weight,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(count: usize) -> Vec<String> {
        (0..count).map(|label| format!("label {label}")).collect()
    }

    fn example() -> Example {
        Example {
            truth: 1,
            champion: vec![0.2, 0.8],
            candidate: vec![0.6, 0.4],
            source: Some("twitter".into()),
            subject: None,
            length: Some(LengthClass::of(17)),
            weight: 1.0,
        }
    }

    fn refusal(labels: &[String], problem: Problem, examples: &[Example]) -> GateError {
        Set::new(labels, problem, examples).unwrap_err()
    }

    #[test]
    fn what_cannot_be_compared_is_refused_with_a_reason() {
        let two = labels(2);
        let single = Problem::SingleLabel;
        assert_eq!(
            refusal(&two, Problem::MultiLabel, &[]),
            GateError::MultiLabel
        );
        assert_eq!(refusal(&two[..1], single, &[]), GateError::TooFewLabels(1));
        let altered = |change: fn(&mut Example)| {
            let mut changed = example();
            change(&mut changed);
            refusal(&two, single, &[example(), changed])
        };
        assert!(matches!(
            altered(|e| e.truth = 2),
            GateError::UnknownLabel { index: 1, .. }
        ));
        for wrong in [
            vec![1.0],
            vec![0.5, 0.6],
            vec![f32::NAN, 0.5],
            vec![1.5, -0.5],
        ] {
            let mut changed = example();
            changed.candidate = wrong;
            assert!(matches!(
                refusal(&two, single, &[changed]),
                GateError::NoDistribution {
                    model: "candidate",
                    ..
                }
            ));
        }
        assert!(matches!(
            altered(|e| e.weight = 0.0),
            GateError::Weight { .. }
        ));
    }

    #[test]
    fn an_example_is_in_a_slice_for_each_property_it_has() {
        let (two, examples) = (labels(2), [example(), example()]);
        let set = Set::new(&two, Problem::SingleLabel, &examples).unwrap();
        let slices = set.slices();
        let names: Vec<_> = slices
            .iter()
            .map(|(slice, held)| (slice.kind, slice.value.as_str(), held.len()))
            .collect();
        assert_eq!(
            names,
            [
                (SliceKind::Source, "twitter", 2),
                (SliceKind::Length, "medium", 2)
            ]
        );
    }
}
