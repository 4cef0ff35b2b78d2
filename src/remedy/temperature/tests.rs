use chrono::DateTime;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;
use crate::adjustment::PriorCorrection;
use crate::record::Origin;

/// Rows of an original at temperature `from` whose truths are drawn from what an adjustment makes of them.
fn drawn(count: usize, adjustment: &Adjustment, seed: u64) -> Vec<Row> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|index| {
            let raw = [(); 3].map(|()| rng.random_range(-3.0_f64..3.0).exp());
            let total: f64 = raw.iter().sum();
            let original: Vec<f32> = raw.iter().map(|value| (value / total) as f32).collect();
            let p = adjustment.apply(&original);
            let draw: f32 = rng.random();
            Row {
                origin: Origin {
                    topic: "posts".into(),
                    partition: 0,
                    offset: index as i64,
                },
                time: DateTime::from_timestamp(index as i64, 0).unwrap(),
                truth: usize::from(draw > p[0]) + usize::from(draw > p[0] + p[1]),
                original,
                weight: 1.0,
            }
        })
        .collect()
}

fn adjustment(to: f64, target: Option<[f64; 3]>) -> Adjustment {
    Adjustment {
        recalibration: Some(Recalibration {
            from: 1.3,
            to,
            bias: 0.0,
            standard_error: 0.0,
        }),
        prior_correction: target.map(|target| PriorCorrection {
            source: vec![0.2, 0.5, 0.3],
            target: target.to_vec(),
        }),
    }
}

#[test]
fn the_temperature_at_which_truths_were_drawn_is_found_again_also_beside_corrected_shares() {
    for target in [None, Some([0.6, 0.2, 0.2])] {
        let truth = adjustment(2.2, target);
        let rows = drawn(20_000, &truth, 5);
        let rows: Vec<&Row> = rows.iter().collect();
        let found = fitted(&rows, 1.3, &truth);
        assert!((found - 2.2).abs() < 0.1, "{found}");
    }
}

#[test]
fn the_error_of_confidence_is_that_of_pencil_and_paper() {
    let rows = drawn(2, &adjustment(1.3, None), 1);
    let answers = rows.iter().map(|row| {
        let mut certain = vec![0.1_f32; 3];
        certain[row.truth] = 0.8;
        (certain, row)
    });
    let error = weighed_error(answers, 2);
    assert!((error.bias - 0.2).abs() < 1e-6 && error.standard_error < 1e-3);
}
