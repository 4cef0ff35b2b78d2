//! Tests of the label-shift estimate on messages whose posteriors are known exactly.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;

const PRIORS: [f64; 3] = [0.3, 0.45, 0.25];

/// Messages with the class shares given. Each class is a bell curve around its own corner of a triangle, so the exact
/// probabilities under `PRIORS` can be written down; `apart` is the distance of the corners in standard deviations.
fn messages(count: usize, shares: [f64; 3], apart: f64, rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    let corners = [(0.0, 0.0), (apart, 0.0), (apart / 2.0, apart * 0.866)];
    (0..count)
        .map(|_| {
            let draw: f64 = rng.random();
            let class = usize::from(draw > shares[0]) + usize::from(draw > shares[0] + shares[1]);
            let (radius, angle): (f64, f64) = (rng.random(), rng.random());
            let radius = (-2.0 * (1.0 - radius).ln()).sqrt();
            let (sin, cos) = (angle * std::f64::consts::TAU).sin_cos();
            let (x, y) = (
                corners[class].0 + radius * cos,
                corners[class].1 + radius * sin,
            );
            let density = |k: usize| {
                let (dx, dy) = (x - corners[k].0, y - corners[k].1);
                PRIORS[k] * (-(dx * dx + dy * dy) / 2.0).exp()
            };
            let total: f64 = (0..3).map(density).sum();
            (0..3).map(|k| (density(k) / total) as f32).collect()
        })
        .collect()
}

fn estimated(rows: &[Vec<f32>]) -> LabelShift {
    estimate(rows.iter().map(Vec::as_slice), &PRIORS).unwrap()
}

#[test]
fn known_shares_are_found_and_the_intervals_hold_them_about_as_often_as_they_say() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let truth = [0.55, 0.3, 0.15];
    let (mut inside, mut sums) = ([0; 3], [0.0; 3]);
    let runs = 300;
    for _ in 0..runs {
        let shift = estimated(&messages(500, truth, 2.0, &mut rng));
        assert!(shift.converged, "{shift:?}");
        for (class, (low, high)) in shift.intervals.iter().enumerate() {
            inside[class] += u32::from((*low..=*high).contains(&truth[class]));
            sums[class] += shift.shares[class] / f64::from(runs);
        }
    }
    for class in 0..3 {
        let coverage = f64::from(inside[class]) / f64::from(runs);
        // Four standard errors of a coverage of 95 % over so many runs are 5 points.
        assert!((0.90..=0.99).contains(&coverage), "{class}: {coverage}");
        assert!((sums[class] - truth[class]).abs() < 0.01, "{sums:?}");
    }
}

#[test]
fn a_class_that_is_gone_is_found_gone() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let shift = estimated(&messages(2000, [0.4, 0.6, 0.0], 3.0, &mut rng));
    assert!(shift.shares[2] < 0.02, "{shift:?}");
    let (low, high) = shift.intervals[2];
    assert!(low == 0.0 && high < 0.05, "{shift:?}");
    assert!(
        shift.is_significant(&PRIORS) && shift.condition < 3.0,
        "{shift:?}"
    );
    assert!((shift.points_from(&PRIORS) - 25.0).abs() < 3.0);
}

#[test]
fn the_condition_is_one_for_certain_probabilities_and_grows_as_the_classes_close_in() {
    let certain: Vec<Vec<f32>> = (0..90)
        .map(|i| (0..3).map(|k| f32::from(u8::from(i % 3 == k))).collect())
        .collect();
    let shift = estimated(&certain);
    assert!((shift.condition - 1.0).abs() < 1e-9, "{shift:?}");
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let conditions: Vec<f64> = [3.0, 2.0, 1.0, 0.3]
        .map(|apart| estimated(&messages(4000, PRIORS, apart, &mut rng)).condition)
        .to_vec();
    assert!(conditions.is_sorted(), "{conditions:?}");
    assert!(
        conditions[0] < 2.0 && conditions[3] > 20.0,
        "{conditions:?}"
    );
}

#[test]
fn the_condition_hardly_depends_on_the_class_shares_of_the_window() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let usual = estimated(&messages(20_000, PRIORS, 1.5, &mut rng)).condition;
    let moved = estimated(&messages(20_000, [0.04, 0.04, 0.92], 1.5, &mut rng)).condition;
    assert!((moved / usual - 1.0).abs() < 0.15, "{usual} {moved}");
}

#[test]
fn messages_that_say_nothing_leave_the_shares_open() {
    let blank: Vec<f32> = PRIORS.iter().map(|&p| p as f32).collect();
    let shift = estimated(&vec![blank; 50]);
    assert_eq!(shift.intervals, vec![(0.0, 1.0); 3]);
    assert_eq!(shift.condition, f64::INFINITY);
    let json = serde_json::to_string(&shift).unwrap();
    assert_eq!(
        serde_json::from_str::<LabelShift>(&json).unwrap().condition,
        f64::INFINITY
    );
}

#[test]
fn a_model_of_one_label_has_one_share() {
    let rows = [[1.0_f32].as_slice(); 4];
    let shift = estimate(rows, &[1.0]).unwrap();
    assert_eq!(
        (shift.shares, shift.intervals),
        (vec![1.0], vec![(1.0, 1.0)])
    );
}

#[test]
fn what_cannot_be_estimated_is_refused_with_the_reason() {
    assert_eq!(estimate([], &PRIORS), Err(ShiftError::Empty));
    assert_eq!(
        estimate([[0.5_f32, 0.5].as_slice()], &[1.0, 0.0]),
        Err(ShiftError::Priors)
    );
    assert_eq!(estimate([], &[]), Err(ShiftError::Priors));
    for row in [
        &[0.9_f32, 0.9, 0.1][..],
        &[f32::NAN, 0.5, 0.5],
        &[0.5, 0.5],
        &[1.5, -0.5, 0.0],
    ] {
        let refused = estimate([[1.0_f32, 0.0, 0.0].as_slice(), row], &PRIORS);
        assert_eq!(refused, Err(ShiftError::Row { row: 1, classes: 3 }));
    }
}

#[test]
fn a_row_that_the_new_shares_rule_out_stays_as_it_is() {
    assert_eq!(
        correct(&[1.0, 0.0], &[0.5, 0.5], &[0.0, 1.0]),
        vec![1.0, 0.0]
    );
}

prop_compose! {
    fn distribution()(raw in prop::array::uniform3(0.001_f64..1.0)) -> [f64; 3] {
        let total: f64 = raw.iter().sum();
        raw.map(|value| value / total)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn shares_sum_to_one_and_lie_in_their_intervals(rows in prop::collection::vec(distribution(), 1..40), priors in distribution()) {
        let rows: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|&p| p as f32).collect()).collect();
        let shift = estimate(rows.iter().map(Vec::as_slice), &priors).unwrap();
        prop_assert!((shift.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!(shift.condition >= 1.0);
        for (share, (low, high)) in shift.shares.iter().zip(&shift.intervals) {
            prop_assert!(0.0 <= *low && low <= share && share <= high && *high <= 1.0, "{shift:?}");
        }
    }

    #[test]
    fn messages_whose_mean_probabilities_are_the_old_shares_have_not_shifted(rows in prop::collection::vec(distribution(), 1..40)) {
        let mean: Vec<f64> = (0..3).map(|k| rows.iter().map(|row| row[k]).sum::<f64>() / rows.len() as f64).collect();
        let rows: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|&p| p as f32).collect()).collect();
        let shift = estimate(rows.iter().map(Vec::as_slice), &mean).unwrap();
        prop_assert!(shift.points_from(&mean) < 1e-2, "{shift:?} {mean:?}");
    }

    #[test]
    fn correction_for_equal_shares_changes_nothing_and_correcting_back_undoes_it(
        row in distribution(), old in distribution(), new in distribution(),
    ) {
        let row: Vec<f32> = row.iter().map(|&p| p as f32).collect();
        let there = correct(&row, &old, &new);
        prop_assert!((there.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let single: Vec<f32> = there.iter().map(|&p| p as f32).collect();
        let back = correct(&single, &new, &old);
        let same = correct(&row, &old, &old);
        for ((back, same), p) in back.iter().zip(&same).zip(&row) {
            prop_assert!((same - f64::from(*p)).abs() < 1e-6);
            prop_assert!((back - f64::from(*p)).abs() < 1e-3, "{back} {p}");
        }
    }
}
