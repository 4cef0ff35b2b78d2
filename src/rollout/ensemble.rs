//! One answer from several models' answers.

use serde::{Deserialize, Serialize};

use crate::record::Problem;

/// Stands in for smaller probabilities, which would forbid a label whatever the other models say.
const SMALLEST: f64 = 1e-6;

/// How probabilities are combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::probability::probabilities;

    fn combine(pool: Pool, problem: Problem, weights: &[f64], rows: &[&[f32]]) -> Vec<f32> {
        let ensemble = Ensemble::new(pool, problem, weights).unwrap();
        ensemble.combine(rows).unwrap()
    }

    #[test]
    fn two_answers_combine_as_worked_out_by_hand() {
        let rows: [&[f32]; 2] = [&[0.8, 0.2], &[0.5, 0.5]];
        let linear = combine(Pool::Linear, Problem::SingleLabel, &[2.0, 1.0], &rows);
        assert!((linear[0] - 0.7).abs() < 1e-6);
        // The mean logit is ln 4 / 2 = ln 2.
        let logarithmic = combine(Pool::Logarithmic, Problem::SingleLabel, &[1.0, 1.0], &rows);
        assert!((logarithmic[0] - 2.0 / 3.0).abs() < 1e-6);
        let several = combine(Pool::Logarithmic, Problem::MultiLabel, &[1.0, 1.0], &rows);
        assert!((several[0] - 2.0 / 3.0).abs() < 1e-6 && (several[1] - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn what_cannot_be_combined_is_refused() {
        let new = |weights: &[f64]| Ensemble::new(Pool::Linear, Problem::SingleLabel, weights);
        assert_eq!(new(&[]), Err(EnsembleError::NoMembers));
        assert_eq!(new(&[1.0, -1.0]), Err(EnsembleError::Weight(-1.0)));
        assert_eq!(new(&[0.0]), Err(EnsembleError::Weight(0.0)));
        let two = new(&[1.0, 1.0]).unwrap();
        let (weights, rows) = (2, 1);
        assert_eq!(
            two.combine(&[&[1.0]]),
            Err(EnsembleError::Members { weights, rows })
        );
        assert_eq!(
            two.combine(&[&[1.0], &[0.5, 0.5]]),
            Err(EnsembleError::Labels(1, 2))
        );
    }

    #[test]
    fn a_model_that_rules_a_label_out_does_not_make_the_rest_impossible() {
        let rows: [&[f32]; 2] = [&[1.0, 0.0], &[0.0, 1.0]];
        let combined = combine(Pool::Logarithmic, Problem::SingleLabel, &[1.0, 1.0], &rows);
        assert!((combined[0] - 0.5).abs() < 1e-6, "{combined:?}");
    }

    fn row(logits: &[f32], problem: Problem) -> Vec<f32> {
        probabilities(logits, 1.0, problem)
    }

    proptest! {
        #[test]
        fn a_combination_is_a_distribution_between_its_members(
            one in prop::collection::vec(-5.0_f32..5.0, 3), other in prop::collection::vec(-5.0_f32..5.0, 3),
            weight in 0.0_f64..1.0,
        ) {
            let (one, other) = (row(&one, Problem::SingleLabel), row(&other, Problem::SingleLabel));
            for pool in [Pool::Linear, Pool::Logarithmic] {
                let combined = combine(pool, Problem::SingleLabel, &[weight, 1.0 - weight], &[&one, &other]);
                prop_assert!((combined.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                if pool == Pool::Linear {
                    for (p, (a, b)) in combined.iter().zip(one.iter().zip(&other)) {
                        prop_assert!(*p >= a.min(*b) - 1e-6 && *p <= a.max(*b) + 1e-6);
                    }
                }
            }
        }

        #[test]
        fn models_that_agree_are_not_changed_by_combining_them(
            logits in prop::collection::vec(-5.0_f32..5.0, 2..5), weights in prop::collection::vec(0.1_f64..3.0, 1..4),
        ) {
            for problem in [Problem::SingleLabel, Problem::MultiLabel] {
                let row = row(&logits, problem);
                let rows: Vec<&[f32]> = weights.iter().map(|_| row.as_slice()).collect();
                for pool in [Pool::Linear, Pool::Logarithmic] {
                    for (p, q) in combine(pool, problem, &weights, &rows).iter().zip(&row) {
                        prop_assert!((p - q).abs() < 1e-5);
                    }
                }
            }
        }
    }
}
