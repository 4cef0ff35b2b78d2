//! Tests of the statistics.

use proptest::prelude::*;

use super::super::counts::Shape;
use super::super::reading::Reading;
use super::super::synthetic::{Feed, SHAPE, UNKNOWN, count};
use super::*;

fn measure(window: &[Reading], reference: &[Reading]) -> Values {
    Reference::new(&count(reference), Some(UNKNOWN)).measure(&count(window))
}

/// Counts of four tokens only.
fn tokens(tokens: [u64; 4]) -> Counts {
    let shape = Shape {
        vocabulary: 4,
        ..SHAPE
    };
    let mut counts = Counts::new(shape);
    counts.tokens = tokens.to_vec();
    counts
}

/// p = (3/4, 1/4, 0, 0) and q = (0, 1/4, 1/2, 1/4), by hand.
#[test]
fn the_divergence_of_a_small_example_is_the_one_worked_out_by_hand() {
    let (window, reference) = (tokens([3, 1, 0, 0]), tokens([0, 2, 4, 2]));
    let values = Reference::new(&reference, None).measure(&window);
    let expected = 0.5 * (0.75 * LN_2 + 0.75 * LN_2);
    assert!((values[Statistic::Vocabulary] - expected).abs() < 1e-12);
}

/// Smoothed by one half: (0.5, 2.5, 4.5, 2.5)/10; with one occurrence left out, (., 1.5, 3.5, 1.5)/9.
#[test]
fn the_surprise_of_a_small_example_is_the_one_worked_out_by_hand() {
    let (window, reference) = (tokens([3, 1, 0, 0]), tokens([0, 2, 4, 2]));
    let values = Reference::new(&reference, None).measure(&window);
    let cross = -(3.0 * 0.05_f64.ln() + 0.25_f64.ln()) / 4.0;
    let own = -(4.0 * (1.5 / 9.0_f64).ln() + 4.0 * (3.5 / 9.0_f64).ln()) / 8.0;
    assert!((values[Statistic::Surprise] - (cross - own).abs()).abs() < 1e-12);
}

#[test]
fn the_likelihood_ratio_of_a_small_example_is_the_one_worked_out_by_hand() {
    let (window, reference) = (Counts::new(SHAPE), Counts::new(SHAPE));
    let (mut window, mut reference) = (window, reference);
    window.classes = vec![10, 20, 0];
    reference.classes = vec![30, 30, 0];
    let values = Reference::new(&reference, None).measure(&window);
    let (low, high) = (10.0 / (40.0 / 3.0), 20.0 / (50.0 / 3.0));
    let (left, right) = (30.0 / (80.0 / 3.0), 30.0 / (100.0 / 3.0));
    let sum: f64 =
        10.0 * f64::ln(low) + 20.0 * f64::ln(high) + 30.0 * f64::ln(left) + 30.0 * f64::ln(right);
    assert!((values[Statistic::Classes] - 2.0 * sum).abs() < 1e-9);
}

#[test]
fn a_handful_of_unknown_tokens_is_not_compared_and_a_flood_is() {
    let share = |unknown| {
        let mut window = Counts::new(SHAPE);
        window.tokens[UNKNOWN as usize] = unknown;
        window.tokens[5] = 2000 - unknown;
        let mut reference = Counts::new(SHAPE);
        reference.tokens[5] = 50_000;
        Reference::new(&reference, Some(UNKNOWN)).measure(&window)[Statistic::Unknown]
    };
    assert_eq!(share(9), 0.0);
    assert!(share(10) > 3.0 && share(200) > 2.0 * share(10));
}

#[test]
fn names_are_those_in_files() {
    for statistic in Statistic::ALL {
        let written = serde_json::to_value(statistic).unwrap();
        assert_eq!(written, statistic.name());
        assert_eq!(Values([0.0; 8])[statistic], 0.0);
    }
}

#[test]
fn the_scale_of_squared_distances_is_left_as_it_was_entered() {
    for statistic in Statistic::ALL {
        let distance = statistic.squared_distance(0.3, 500);
        assert!((statistic.from_squared_distance(distance, 500) - 0.3).abs() < 1e-12);
        let larger = statistic.from_squared_distance(distance, 1000);
        assert!((larger - 0.3 * statistic.growth(2.0)).abs() < 1e-12);
    }
}

#[test]
fn each_change_moves_the_statistic_that_is_named_after_it() {
    let feed = Feed::default();
    let reference = feed.readings(3000, 1);
    let same = measure(&feed.readings(500, 2), &reference);
    let moved = |feed: Feed| measure(&feed.readings(500, 2), &reference);
    let negative = moved(Feed {
        labels: [0.5, 0.3, 0.2],
        ..feed
    });
    let longer = moved(Feed { longer: 6, ..feed });
    let foreign = moved(Feed {
        turned: 400,
        ..feed
    });
    let grows = |values: Values, statistic| values[statistic] > 2.0 * same[statistic];
    assert!(grows(negative, Statistic::Classes) && grows(negative, Statistic::Scores));
    assert!(grows(longer, Statistic::Lengths));
    assert!(grows(foreign, Statistic::Vocabulary) && grows(foreign, Statistic::Surprise));
    assert!(grows(foreign, Statistic::Unknown));

    let mut pieces = feed.readings(500, 2);
    pieces
        .iter_mut()
        .for_each(|r| r.words = r.words.div_ceil(2));
    assert!(grows(
        measure(&pieces, &reference),
        Statistic::PiecesPerWord
    ));
    let mut unsure = feed.readings(500, 2);
    unsure
        .iter_mut()
        .for_each(|r| r.probabilities = vec![0.33, 0.34, 0.33]);
    assert!(grows(measure(&unsure, &reference), Statistic::Entropy));
}

#[test]
fn repetition_of_frequent_tokens_is_a_distance_as_new_tokens_are() {
    let feed = Feed::default();
    let reference = feed.readings(3000, 1);
    let mut repeating = feed.readings(500, 2);
    for reading in &mut repeating {
        reading.tokens.iter_mut().for_each(|token| *token %= 20);
    }
    let same = measure(&feed.readings(500, 3), &reference)[Statistic::Surprise];
    let less = measure(&repeating, &reference)[Statistic::Surprise];
    assert!(less > 10.0 * same, "{same} {less}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_part_measured_within_the_whole_is_measured_against_the_rest(
        size in 10_usize..80, cut in 1_usize..60, seed: u64,
    ) {
        let readings = Feed::default().readings(size, seed);
        let (window, rest) = readings.split_at(cut.min(size - 2));
        let whole = count(&readings);
        let within = Reference::new(&whole, Some(UNKNOWN)).measure_part(&count(window));
        let apart = measure(window, rest);
        for statistic in Statistic::ALL {
            let (one, other) = (within[statistic], apart[statistic]);
            prop_assert!((one - other).abs() < 1e-9 * other.max(1.0), "{statistic:?} {one} {other}");
        }
    }

    #[test]
    fn values_are_finite_and_within_their_ranges(window in 0_usize..40, reference in 0_usize..40, seed: u64) {
        let foreign = Feed { turned: 500, ..Feed::default() };
        let values = measure(&foreign.readings(window, seed), &Feed::default().readings(reference, seed));
        for statistic in Statistic::ALL {
            prop_assert!(values[statistic] >= 0.0 && values[statistic].is_finite(), "{statistic:?}");
        }
        prop_assert!(values[Statistic::Vocabulary] <= LN_2 + 1e-12);
        for distance in [Statistic::Scores, Statistic::Lengths, Statistic::Entropy] {
            prop_assert!(values[distance] <= 1.0);
        }
    }

    #[test]
    fn readings_are_at_no_distance_from_themselves_but_for_surprise(size in 1_usize..40, seed: u64) {
        let readings = Feed::default().readings(size, seed);
        let values = measure(&readings, &readings);
        for statistic in Statistic::ALL.into_iter().filter(|&s| s != Statistic::Surprise) {
            prop_assert!(values[statistic] < 1e-9, "{statistic:?} {}", values[statistic]);
        }
    }
}
