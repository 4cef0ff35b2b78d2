//! Tests of [`Null`](super::Null).

use super::super::synthetic::{Feed, SHAPE, UNKNOWN, count};
use super::*;

fn null(readings: &[Reading], settings: &NullSettings) -> Null {
    let readings: Vec<&Reading> = readings.iter().collect();
    Null::of(&readings, SHAPE, Some(UNKNOWN), settings)
}

fn few(sizes: &[usize]) -> NullSettings {
    NullSettings {
        sizes: sizes.to_vec(),
        resamples: 400,
        block: 1,
        seed: 9,
    }
}

#[test]
fn the_same_seed_gives_the_same_null_on_one_thread_and_on_several() {
    let readings = Feed::default().readings(600, 1);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| null(&readings, &few(&[100, 200])))
    };
    let one = on(1);
    assert_eq!(one, on(3));
    let other = NullSettings {
        seed: 10,
        ..few(&[100, 200])
    };
    assert_ne!(one, null(&readings, &other));
}

#[test]
fn sizes_beyond_half_of_the_readings_are_left_out_and_below_the_smallest_nothing_is_known() {
    let readings = Feed::default().readings(450, 2);
    let null = null(&readings, &few(&[500, 200, 100, 200]));
    let sizes: Vec<usize> = null.sizes.iter().map(|null| null.size).collect();
    assert_eq!(sizes, [100, 200]);
    assert!(null.is_complete());
    assert_eq!(null.p_value(Statistic::Scores, 0.1, 99), None);
    assert!(null.p_value(Statistic::Scores, 0.1, 100).is_some());
}

/// The Kolmogorov distribution's quantiles, and those of a chi-squared variable with two degrees of freedom.
#[test]
fn of_independent_readings_the_null_agrees_with_the_asymptotic_distributions() {
    let readings = Feed::default().readings(3000, 3);
    let settings = NullSettings {
        resamples: 3000,
        ..few(&[500])
    };
    let null = null(&readings, &settings);
    let statistics = &null.sizes[0].statistics;
    let scale = (1.0 / 500.0 + 1.0 / 2500.0_f64).sqrt();
    let entropy = &statistics[&Statistic::Entropy].upper;
    let classes = &statistics[&Statistic::Classes].upper;
    // Places of the tails 0.5, 0.1 and 0.01.
    for (place, kolmogorov, chi) in [(4, 0.828, 1.386), (8, 1.224, 4.605), (11, 1.628, 9.210)] {
        let off = entropy[place] / scale / kolmogorov - 1.0;
        assert!(off.abs() < 0.1, "{kolmogorov}: {off}");
        let off = classes[place] / chi - 1.0;
        assert!(off.abs() < 0.15, "{chi}: {off}");
    }
}

#[test]
fn blocks_widen_the_null_of_readings_that_depend_on_their_neighbours() {
    let runs = Feed {
        run: 8,
        ..Feed::default()
    };
    // Too few for windows in a row to be looked at.
    let readings = runs.readings(1500, 4);
    let median = |block: usize| {
        let settings = NullSettings {
            block,
            ..few(&[200])
        };
        null(&readings, &settings).sizes[0].statistics[&Statistic::Lengths].median()
    };
    let (alone, together) = (median(1), median(0));
    assert!(together > 1.8 * alone, "{alone} {together}");
}

/// The share of negative messages is 10 % and 30 % by turns, for 150 messages each time.
#[test]
fn movements_that_the_held_out_data_know_are_no_drift_and_larger_ones_are() {
    let tide = |count: usize, seed: u64| {
        let of = |labels| Feed {
            labels,
            ..Feed::default()
        };
        let (low, high) = (of([0.1, 0.6, 0.3]), of([0.3, 0.4, 0.3]));
        let mut readings: Vec<Reading> = Vec::new();
        for turn in 0..(count / 150) as u64 {
            let feed = if turn % 2 == 0 { low } else { high };
            readings.extend(feed.readings(150, seed + turn));
        }
        readings
    };
    let readings = tide(6000, 100);
    let counts = count(&readings);
    let reference = Reference::new(&counts, Some(UNKNOWN));
    // A third size of whose windows there are too few.
    let known = null(&readings, &few(&[100, 200, 800]));
    assert!(
        known
            .sizes
            .iter()
            .all(|size| size.statistics[&Statistic::Classes].dispersion > 2.0)
    );
    let movement = known.movement(readings.len()).unwrap();
    assert!(movement.is_large(), "{movement:?}");
    let small = tide(15_000, 900)
        .chunks(150)
        .filter(|window| {
            let g = reference.measure(&count(*window))[Statistic::Classes];
            known.p_value(Statistic::Classes, g, 150).unwrap() < 0.002
        })
        .count();
    assert!(small <= 2, "{small} of 100");
    let flood = Feed {
        labels: [0.6, 0.2, 0.2],
        ..Feed::default()
    };
    let g = reference.measure(&count(&flood.readings(150, 7)))[Statistic::Classes];
    assert!(known.p_value(Statistic::Classes, g, 150).unwrap() < 1e-4);
}

#[test]
fn of_independent_readings_no_movement_is_told_and_of_few_none_is_known() {
    let readings = Feed::default().readings(2500, 11);
    let null = null(&readings, &few(&[100, 200, 1000]));
    let movement = null.movement(2500).unwrap();
    assert!(!movement.is_large(), "{movement:?}");
    assert_eq!(null.movement(999), None);
}

/// Fresh data against a fixed reference, as in use; all statistics at once and a size between two of the grid's.
#[test]
fn p_values_of_unchanged_data_are_small_no_more_often_than_they_say() {
    let feed = Feed::default();
    let readings = feed.readings(2500, 5);
    let settings = NullSettings {
        resamples: 1000,
        ..few(&[100, 200, 500])
    };
    let null = null(&readings, &settings);
    let counts = count(&readings);
    let reference = Reference::new(&counts, Some(UNKNOWN));
    let fresh = feed.readings(1000 * 150, 6);
    for statistic in Statistic::ALL {
        let small = fresh.chunks(150).filter(|window| {
            let value = reference.measure(&count(*window))[statistic];
            null.p_value(statistic, value, 150).unwrap() < 0.05
        });
        let small = small.count();
        assert!((15..90).contains(&small), "{statistic:?}: {small} of 1000");
    }
}
