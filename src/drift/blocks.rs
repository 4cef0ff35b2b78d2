//! Blocks of consecutive readings, which is how windows are drawn from data that depend on their neighbours.
//!
//! Drawing readings one by one would destroy the dependence, and the statistics of windows so drawn would spread less than
//! those of live ones (Künsch 1989; Lahiri, "Resampling Methods for Dependent Data", 2003).

use std::collections::HashMap;

use rand::{RngExt, rngs::ChaCha8Rng};

use super::counts::entropy_share;
use super::reading::Reading;

/// Longest block that is chosen by the data.
pub const LONGEST: usize = 50;

/// A length of block for these readings, in order of time: between 1 and [`LONGEST`].
///
/// It is Carlstein's (1986, "The use of subseries values", section 4) for a series whose lag-one correlation is r:
/// (2r / (1 - r^2))^(2/3) N^(1/3), with the largest r among the labels' probabilities, their entropy, the number of tokens and
/// the tokens themselves. Correlations that are no larger than chance makes them (two standard errors) count as none, which
/// gives blocks of one.
#[must_use]
pub fn length(readings: &[&Reading]) -> usize {
    if readings.len() < 3 {
        return 1;
    }
    let count = readings.len() as f64;
    let labels = readings[0].probabilities.len();
    let probability = |label: usize| {
        let of = move |reading: &&Reading| {
            f64::from(reading.probabilities.get(label).copied().unwrap_or(0.0))
        };
        correlation(readings.iter().map(of))
    };
    let lengths = correlation(readings.iter().map(|reading| reading.tokens.len() as f64));
    let entropy = correlation(
        readings
            .iter()
            .map(|reading| entropy_share(&reading.probabilities)),
    );
    let largest = (0..labels)
        .map(probability)
        .chain([lengths, entropy, token_correlation(readings)])
        .fold(0.0, f64::max);
    if largest < 2.0 / count.sqrt() {
        return 1;
    }
    let largest = largest.min(0.99);
    let chosen = (2.0 * largest / (1.0 - largest * largest)).powf(2.0 / 3.0) * count.cbrt();
    (chosen.ceil() as usize).clamp(1, LONGEST)
}

/// Lag-one correlation of a series; 0 for a constant one.
fn correlation(series: impl Iterator<Item = f64> + Clone) -> f64 {
    let (sum, count) = series
        .clone()
        .fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    let mean = sum / count;
    let centred = series.map(|value| value - mean);
    let variance: f64 = centred.clone().map(|value| value * value).sum();
    let next = centred.clone().skip(1);
    let covariance: f64 = centred.zip(next).map(|(one, other)| one * other).sum();
    if variance > 0.0 {
        covariance / variance
    } else {
        0.0
    }
}

/// Lag-one correlation of the messages' token shares, taken as vectors: the trace of the covariance with the next message,
/// divided by the trace of the covariance with itself. Messages about one thing follow each other, which no single number of
/// a message shows.
fn token_correlation(readings: &[&Reading]) -> f64 {
    let shares = |reading: &Reading| {
        let mut shares: HashMap<u32, f64> = HashMap::new();
        for &token in &reading.tokens {
            *shares.entry(token).or_default() += 1.0 / reading.tokens.len() as f64;
        }
        shares
    };
    let mut mean: HashMap<u32, f64> = HashMap::new();
    let (mut with_itself, mut with_next) = (0.0, 0.0);
    let mut previous: HashMap<u32, f64> = HashMap::new();
    for reading in readings {
        let current = shares(reading);
        // Sorted, because sums of floats depend on their order and a hash map has none.
        let mut entries: Vec<(u32, f64)> = current.iter().map(|(&t, &share)| (t, share)).collect();
        entries.sort_unstable_by_key(|entry| entry.0);
        for (token, share) in entries {
            *mean.entry(token).or_default() += share / readings.len() as f64;
            with_itself += share * share;
            with_next += share * previous.get(&token).copied().unwrap_or(0.0);
        }
        previous = current;
    }
    let mut squares: Vec<f64> = mean.values().map(|share| share * share).collect();
    squares.sort_unstable_by(f64::total_cmp);
    let square: f64 = squares.iter().sum();
    let count = readings.len() as f64;
    let variance = with_itself / count - square;
    if variance > 0.0 {
        (with_next / (count - 1.0) - square) / variance
    } else {
        0.0
    }
}

/// The first `wanted` of `count` positions, shuffled in blocks of consecutive ones: the series is closed to a circle (Politis
/// and Romano 1992), which is cut at a random place and from there after every `block` positions, and blocks are taken in
/// random order without replacement. The last block taken is cut short. All positions are equally likely to be drawn.
#[must_use]
pub fn draw(count: usize, block: usize, wanted: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut drawn = Vec::with_capacity(wanted.min(count));
    if count == 0 {
        return drawn;
    }
    let block = block.clamp(1, count);
    let start = rng.random_range(0..count);
    let mut order: Vec<usize> = (0..count.div_ceil(block)).collect();
    for taken in 0..order.len() {
        if drawn.len() >= wanted {
            break;
        }
        let swap = rng.random_range(taken..order.len());
        order.swap(taken, swap);
        let first = order[taken] * block;
        let piece = first..(first + block).min(count);
        let positions = piece.map(|position| (start + position) % count);
        drawn.extend(positions.take(wanted - drawn.len()));
    }
    drawn
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::super::synthetic::Feed;
    use super::*;

    proptest! {
        #[test]
        fn nothing_is_drawn_twice_and_all_when_all_is_wanted(
            count in 1_usize..200, block in 1_usize..60, wanted in 0_usize..200, seed: u64,
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut drawn = draw(count, block, wanted, &mut rng);
            prop_assert_eq!(drawn.len(), wanted.min(count));
            drawn.sort_unstable();
            drawn.dedup();
            prop_assert_eq!(drawn.len(), wanted.min(count));
            prop_assert!(drawn.iter().all(|&position| position < count));
        }

        #[test]
        fn neighbours_stay_together_within_blocks(seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let drawn = draw(1000, 20, 400, &mut rng);
            let breaks = drawn.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
            prop_assert!(breaks <= 22, "{breaks} breaks among 400 positions in blocks of 20");
        }
    }

    #[test]
    fn every_position_is_drawn_equally_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut times = [0_u32; 53];
        for _ in 0..20_000 {
            for position in draw(53, 10, 20, &mut rng) {
                times[position] += 1;
            }
        }
        let expected = 20_000.0 * 20.0 / 53.0;
        for (position, &count) in times.iter().enumerate() {
            let off = f64::from(count) / expected - 1.0;
            assert!(off.abs() < 0.06, "position {position}: {off}");
        }
    }

    #[test]
    fn independent_readings_give_blocks_of_one_or_hardly_more() {
        let readings = Feed::default().readings(2000, 5);
        let chosen = length(&readings.iter().collect::<Vec<_>>());
        assert!(chosen <= 3, "{chosen}");
    }

    #[test]
    fn readings_in_runs_give_blocks_longer_than_a_run() {
        let runs = Feed {
            run: 8,
            ..Feed::default()
        };
        let readings = runs.readings(2000, 5);
        let chosen = length(&readings.iter().collect::<Vec<_>>());
        assert!((8..=LONGEST).contains(&chosen), "{chosen}");
    }
}
