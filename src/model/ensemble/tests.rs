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
