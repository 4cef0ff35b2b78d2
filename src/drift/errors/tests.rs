//! Tests of the sequential test on labelled errors.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;

/// Messages until the alarm when each is wrong with the probability given.
fn run(error_rate: f64, test: &mut LabelledTest, rng: &mut ChaCha8Rng) -> u64 {
    for count in 1.. {
        if test.observe(rng.random_bool(error_rate), 0).risen {
            return count;
        }
    }
    unreachable!()
}

#[test]
fn false_alarms_are_no_more_frequent_than_promised() {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let mut test = LabelledTest::new(0.3, 500.0);
    let runs = 400;
    let total: u64 = (0..runs).map(|_| run(0.3, &mut test, &mut rng)).sum();
    let mean = total as f64 / f64::from(runs);
    // The standard error of the mean is about a twentieth of it.
    assert!(mean > 500.0 * 0.85, "{mean}");
}

#[test]
fn ten_points_more_errors_are_seen_within_a_few_hundred_messages() {
    let mut rng = ChaCha8Rng::seed_from_u64(22);
    let delays: Vec<u64> = (0..50)
        .map(|_| run(0.4, &mut LabelledTest::new(0.3, 10_000.0), &mut rng))
        .collect();
    let mean = delays.iter().sum::<u64>() as f64 / 50.0;
    assert!((100.0..450.0).contains(&mean), "{mean}");
}

#[test]
fn a_falling_error_rate_is_no_alarm() {
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    let mut test = LabelledTest::new(0.3, 1000.0);
    let alarms = (0..20_000).filter(|_| test.observe(rng.random_bool(0.2), 0).risen);
    assert_eq!(alarms.count(), 0);
}

#[test]
fn after_an_alarm_the_test_begins_anew() {
    let mut test = LabelledTest::new(0.1, 100.0);
    let alarm = (0..100)
        .map(|_| test.observe(true, 0))
        .find(|v| v.risen)
        .unwrap();
    assert!(alarm.wealth >= alarm.threshold && alarm.errors == alarm.observed);
    let next = test.observe(false, 0);
    assert_eq!((next.observed, next.errors, next.risen), (1, 0, false));
}

#[test]
fn a_baseline_without_errors_can_be_watched() {
    let mut test = LabelledTest::new(0.0, 1e6);
    let wealth = test.observe(false, 0).wealth;
    assert!(wealth.is_finite() && wealth > 0.0);
    assert!((0..20).any(|_| test.observe(true, 0).risen));
}

#[test]
fn the_beginning_of_a_rise_is_found_within_some_messages() {
    let mut rng = ChaCha8Rng::seed_from_u64(24);
    let mut test = LabelledTest::new(0.2, 10_000.0);
    let rate = |at: i64| if at < 1_000 { 0.2 } else { 0.45 };
    let verdict = (0..)
        .map(|at| test.observe(rng.random_bool(rate(at)), at))
        .find(|verdict| verdict.risen)
        .unwrap();
    let Stretch {
        begun,
        observed,
        errors,
        ..
    } = verdict.since;
    assert!((950..1_050).contains(&begun), "{verdict:?}");
    assert!((0.35..0.6).contains(&(errors as f64 / observed as f64)));
}

#[test]
fn one_rise_is_one_alarm_and_its_end_is_noticed() {
    let mut rng = ChaCha8Rng::seed_from_u64(25);
    let mut watch = ErrorWatch::new(0.25, 10_000.0);
    let mut changes = Vec::new();
    for at in 0..6_000 {
        let rate = if (1_000..3_000).contains(&at) {
            0.45
        } else {
            0.22
        };
        match watch.observe(rng.random_bool(rate), at) {
            ErrorChange::None => {}
            ErrorChange::Opened(_) => changes.push((at, true)),
            ErrorChange::Resolved(_) => changes.push((at, false)),
        }
    }
    let [(opened, true), (resolved, false)] = changes[..] else {
        panic!("{changes:?}");
    };
    assert!(
        (1_000..1_300).contains(&opened) && (3_000..3_500).contains(&resolved),
        "{changes:?}"
    );
    assert_eq!((watch.opened(), watch.is_open()), (1, false));
}

#[test]
fn a_rise_that_goes_up_and_down_a_little_is_one_alarm() {
    let mut opened = 0;
    for seed in 0..20 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut watch = ErrorWatch::new(0.25, 10_000.0);
        // Between two of the rises watched for, so the alarm may take it for the larger one.
        for at in 0..5_000 {
            let rate = 0.39 + 0.03 * f64::sin(at as f64 / 200.0);
            watch.observe(rng.random_bool(rate), at);
        }
        opened += watch.opened();
    }
    // One for each, and in these 100,000 labels hardly ever one that was called over by chance.
    assert!((20..=23).contains(&opened), "{opened}");
}

#[test]
fn another_reference_begins_the_test_anew_and_the_same_one_read_back_does_not() {
    let mut watch = ErrorWatch::new(0.1, 1_000.0);
    watch.observe(true, 0);
    let json = serde_json::to_string(&watch).unwrap();
    let read: ErrorWatch = serde_json::from_str(&json).unwrap();
    assert_eq!(read.clone().fitted(0.1, 1_000.0).test.observed, 1);
    assert_eq!(read.fitted(0.2, 1_000.0).test.observed, 0);
}

proptest! {
    #[test]
    fn a_test_that_was_stored_goes_on_as_if_it_had_not_been(errors in prop::collection::vec(any::<bool>(), 1..80), at in 0_usize..80) {
        let mut test = LabelledTest::new(0.25, 50.0);
        let mut stored = test.clone();
        for (index, &error) in errors.iter().enumerate() {
            if index == at {
                stored = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
            }
            let (one, other) = (test.observe(error, 0), stored.observe(error, 0));
            prop_assert_eq!((one.risen, one.errors, one.observed), (other.risen, other.errors, other.observed));
            prop_assert!((one.wealth / other.wealth - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn no_bet_gains_on_average_at_the_baseline_rate(rate in 0.01_f64..0.9, before in 0.0_f64..90.0) {
        let mean = |error: bool| {
            let mut test = LabelledTest::new(rate, 1e12);
            test.wealth = [before; RISES.len()];
            test.observe(error, 0).wealth
        };
        let expected = rate * mean(true) + (1.0 - rate) * mean(false);
        prop_assert!((expected / (before + 1.0) - 1.0).abs() < 1e-9);
    }
}
