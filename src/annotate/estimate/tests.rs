//! Estimates of small examples by hand, and of made-up messages a thousand times over.

use proptest::prelude::*;

use super::*;
use crate::annotate::config::AnnotateConfig;
use crate::annotate::synthetic::{CLASSES, accuracy, labelled, macro_recall, messages, picked};

fn label(truth: usize, predicted: usize, inclusion: f64) -> Labelled {
    Labelled {
        truth,
        predicted,
        inclusion,
    }
}

/// Weights 2, 2, 4 and 1; of 10 messages.
#[test]
fn a_small_example_agrees_with_pencil_and_paper() {
    let labels = [
        label(0, 0, 0.5),
        label(1, 1, 0.5),
        label(1, 0, 0.25),
        label(0, 0, 1.0),
    ];
    let found = estimate(&labels, 2, Some(10)).unwrap();
    assert!((found.accuracy.value - 5.0 / 9.0).abs() < 1e-12);
    assert!((found.horvitz_thompson.unwrap().value - 0.5).abs() < 1e-12);
    assert!((found.effective - 81.0 / 25.0).abs() < 1e-12);
    assert_eq!(found.uncorrected, 0.75);
    let expected = [[3.0 / 9.0, 0.0], [4.0 / 9.0, 2.0 / 9.0]];
    for (row, expected) in found.confusion.iter().zip(expected) {
        assert!(
            row.iter()
                .zip(expected)
                .all(|(share, expected)| (share - expected).abs() < 1e-12)
        );
    }
    // 0.5 (2 * 4/9)^2 twice and 0.75 (4 * 5/9)^2, over 9^2, by 4/3 for the fitted mean.
    let variance: f64 =
        (2.0 * 0.5 * (8.0_f64 / 9.0).powi(2) + 0.75 * (20.0_f64 / 9.0).powi(2)) / 81.0 * 4.0 / 3.0;
    assert!((found.accuracy.standard_error - variance.sqrt()).abs() < 1e-12);
    let of_sum: f64 = (0.5 / 0.25 + 0.5 / 0.25) / 100.0;
    assert!((found.horvitz_thompson.unwrap().standard_error - of_sum.sqrt()).abs() < 1e-12);
    let recall: Vec<f64> = found
        .recall
        .iter()
        .map(|recall| recall.unwrap().value)
        .collect();
    assert!((recall[0] - 1.0).abs() < 1e-12 && (recall[1] - 1.0 / 3.0).abs() < 1e-12);
    assert!((found.macro_recall.unwrap().value - 2.0 / 3.0).abs() < 1e-12);
}

#[test]
fn what_cannot_be_told_is_not_told() {
    assert_eq!(estimate(&[], 3, None), None);
    let broken = [
        label(0, 0, 0.0),
        label(0, 0, f64::NAN),
        label(0, 0, 1.5),
        label(3, 0, 0.5),
        label(0, 3, 0.5),
    ];
    assert_eq!(estimate(&broken, 3, None), None);
    let one_class = estimate(&[label(0, 0, 0.5)], 3, None).unwrap();
    assert_eq!(
        (
            one_class.macro_recall,
            one_class.recall[1],
            one_class.horvitz_thompson
        ),
        (None, None, None)
    );
    assert!(one_class.accuracy.low < 0.5, "one label is no proof");
}

#[test]
fn labels_of_all_messages_are_the_truth_without_an_error() {
    let made = messages(400, 3);
    let labels: Vec<Labelled> = made
        .iter()
        .map(|one| label(one.truth, one.predicted, 1.0))
        .collect();
    let found = estimate(&labels, CLASSES, Some(400)).unwrap();
    for found in [found.accuracy, found.horvitz_thompson.unwrap()] {
        assert!((found.value - accuracy(&made)).abs() < 1e-12);
        assert!(found.standard_error == 0.0);
    }
    assert!((found.macro_recall.unwrap().value - macro_recall(&made)).abs() < 1e-12);
    assert!((found.effective - 400.0).abs() < 1e-6);
}

/// 600 samples of one crowd: a random slice of about 100 and 100 that the model was not sure of.
#[test]
fn the_correction_is_right_on_average_where_the_plain_share_is_off_and_intervals_hold_what_they_say()
 {
    const ROUNDS: usize = 600;
    let made = messages(5_000, 11);
    let (truth, recall) = (accuracy(&made), macro_recall(&made));
    let mut found = Vec::new();
    for round in 0..ROUNDS {
        let config = AnnotateConfig {
            salt: format!("round {round}"),
            ..AnnotateConfig::default()
        };
        let picks = picked(&made, &config, 0.02, 100);
        let all = labelled(&made, &picks, true);
        found.push(estimate(&all, CLASSES, Some(5_000)).unwrap());
    }
    let mean =
        |value: &dyn Fn(&Estimates) -> f64| found.iter().map(value).sum::<f64>() / ROUNDS as f64;
    let holds = |estimate: &dyn Fn(&Estimates) -> Estimate, truth: f64| {
        let within =
            |found: &&Estimates| (estimate(found).low..=estimate(found).high).contains(&truth);
        found.iter().filter(within).count() as f64 / ROUNDS as f64
    };
    // The standard error of a mean of 600 is 0.1 points or so.
    assert!((mean(&|found| found.accuracy.value) - truth).abs() < 0.005);
    assert!((mean(&|found| found.horvitz_thompson.unwrap().value) - truth).abs() < 0.005);
    assert!((mean(&|found| found.macro_recall.unwrap().value) - recall).abs() < 0.012);
    assert!(
        mean(&|found| found.uncorrected) < truth - 0.04,
        "the plain share is off by more than four points"
    );
    // Of 600, 95 % have a standard error of 0.9 %.
    for held in [
        holds(&|found| found.accuracy, truth),
        holds(&|found| found.macro_recall.unwrap(), recall),
    ] {
        assert!((0.91..=0.985).contains(&held), "{held}");
    }
}

proptest! {
    #[test]
    fn every_estimate_lies_within_its_interval_and_between_zero_and_one(
        labels in prop::collection::vec((0_usize..4, 0_usize..4, 0.0001_f64..=1.0), 1..80), messages in 1_u64..100_000,
    ) {
        let labels: Vec<Labelled> = labels.into_iter().map(|(truth, predicted, inclusion)| label(truth, predicted, inclusion)).collect();
        let found = estimate(&labels, 4, Some(messages)).unwrap();
        let all = [Some(found.accuracy), found.horvitz_thompson, found.macro_recall];
        for one in all.into_iter().chain(found.recall.clone()).flatten() {
            prop_assert!(0.0 <= one.low && one.low <= one.value && one.value <= one.high && one.high <= 1.0, "{:?}", one);
        }
        let whole: f64 = found.confusion.iter().flatten().sum();
        prop_assert!((whole - 1.0).abs() < 1e-9);
        prop_assert!(found.effective >= 1.0 - 1e-9 && found.effective <= labels.len() as f64 + 1e-9);
    }

    #[test]
    fn with_one_probability_for_all_the_weights_change_nothing(
        labels in prop::collection::vec((0_usize..3, 0_usize..3), 1..60), inclusion in 0.001_f64..1.0,
    ) {
        let labels: Vec<Labelled> = labels.into_iter().map(|(truth, predicted)| label(truth, predicted, inclusion)).collect();
        let found = estimate(&labels, 3, None).unwrap();
        prop_assert!((found.accuracy.value - found.uncorrected).abs() < 1e-9);
        prop_assert!((found.effective - labels.len() as f64).abs() < 1e-6);
    }
}
