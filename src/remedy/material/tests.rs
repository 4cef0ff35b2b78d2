use chrono::DateTime;

use super::*;
use crate::adjustment::PriorCorrection;

fn message(offset: i64, version: &str, label: &str) -> AnsweredMessage {
    AnsweredMessage {
        origin: Origin {
            topic: "posts".into(),
            partition: 0,
            offset,
        },
        version: version.into(),
        event_time: DateTime::from_timestamp(100 - offset, 0).unwrap(),
        label: label.into(),
        sampling: Sampling::Random,
        inclusion: None,
        probabilities: vec![0.5, 0.5],
        text: None,
    }
}

fn gathered(messages: &[AnsweredMessage]) -> Material {
    let correction = PriorCorrection {
        source: vec![0.5, 0.5],
        target: vec![0.8, 0.2],
    };
    let derived = Adjustment {
        prior_correction: Some(correction),
        recalibration: None,
    };
    let known = HashMap::from([
        ("original".to_owned(), Some(Adjustment::default())),
        ("derived".to_owned(), Some(derived)),
    ]);
    let labels = ["no", "yes"].map(String::from);
    let mut found = Material::of(messages, &labels, &known);
    found.choose();
    found
}

#[test]
fn what_a_derived_model_said_tells_what_its_original_would_have_and_another_model_tells_nothing() {
    let found = gathered(&[
        message(1, "original", "Yes"),
        message(2, "derived", "no"),
        message(3, "another", "no"),
        message(4, "original", "maybe"),
    ]);
    // In the order of their times.
    let truths: Vec<usize> = found.rows.iter().map(|row| row.truth).collect();
    assert_eq!(truths, [0, 1]);
    assert!((found.rows[0].original[0] - 0.2).abs() < 1e-6, "{found:?}");
    assert_eq!(found.rows[1].original, [0.5, 0.5]);
    assert_eq!(
        (found.left_out.other_model, found.left_out.other_label),
        (1, 1)
    );
}

#[test]
fn chances_that_are_known_weigh_and_are_not_mixed_with_others() {
    let with = |offset, chance: Option<f64>, sampling| AnsweredMessage {
        inclusion: chance,
        sampling,
        ..message(offset, "original", "no")
    };
    let few = gathered(&[
        with(1, Some(0.5), Sampling::Random),
        with(2, Some(0.1), Sampling::Uncertain),
        with(3, None, Sampling::Random),
        with(4, None, Sampling::Uncertain),
    ]);
    let weights: Vec<f64> = few.rows.iter().map(|row| row.weight).collect();
    // Ten to two, scaled to a mean of one, in the order of their times.
    assert_eq!(weights.len(), 2);
    assert!((weights[0] - 10.0 / 6.0).abs() < 1e-12 && (weights[1] - 2.0 / 6.0).abs() < 1e-12);
    assert_eq!(few.left_out.unknown_chance, 2);
    assert_eq!(few.effective(), 1);
    let more: Vec<AnsweredMessage> = (1..6)
        .map(|offset| with(offset, None, Sampling::Random))
        .collect();
    let plain = gathered(&[more, vec![with(9, Some(0.2), Sampling::Random)]].concat());
    assert_eq!((plain.effective(), plain.left_out.unknown_chance), (5, 1));
    assert!(
        plain
            .rows
            .iter()
            .all(|row| (row.weight - 1.0).abs() < 1e-12)
    );
    assert_eq!(gathered(&[]).effective(), 0);
}
