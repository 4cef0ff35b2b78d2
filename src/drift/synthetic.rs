//! Made-up feeds whose distributions are known, for tests.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::counts::{Counts, Shape};
use super::reading::{Fingerprint, Reading};

/// The shape of what a [`Feed`] makes.
pub const SHAPE: Shape = Shape {
    vocabulary: 1000,
    labels: 3,
    max_tokens: 32,
};

/// The token that stands for an unknown one.
pub const UNKNOWN: u32 = 0;

/// A source of readings: tokens by Zipf's law, labels by their shares, lengths evenly between 5 and 25.
#[derive(Debug, Clone, Copy)]
pub struct Feed {
    /// How often each label is predicted.
    pub labels: [f64; 3],
    /// Added to each token's id, modulo the vocabulary.
    pub turned: u32,
    /// Added to each message's number of tokens.
    pub longer: usize,
    /// Readings in a row that share their label, number of tokens and half of their tokens.
    pub run: usize,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            labels: [0.2, 0.5, 0.3],
            turned: 0,
            longer: 0,
            run: 1,
        }
    }
}

impl Feed {
    /// Readings one second apart, all texts different. The same seed gives the same ones.
    pub fn readings(&self, count: usize, seed: u64) -> Vec<Reading> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut made: Vec<Reading> = Vec::with_capacity(count);
        for index in 0..count {
            let mut reading = self.draw(&mut rng);
            if !index.is_multiple_of(self.run.max(1)) {
                let first = made[index - index % self.run].clone();
                let (half, whole) = (first.tokens.len() / 2, first.tokens.len());
                reading.tokens = (0..whole)
                    .map(|at| {
                        if at < half {
                            first.tokens[at]
                        } else {
                            self.token(&mut rng)
                        }
                    })
                    .collect();
                reading.words = first.words;
                reading.label = first.label;
                reading.probabilities = first.probabilities;
            }
            reading.time = index as i64 * 1000;
            made.push(reading);
        }
        made
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Reading {
        let at: f64 = rng.random();
        let label = match at {
            at if at < self.labels[0] => 0,
            at if at < self.labels[0] + self.labels[1] => 1,
            _ => 2,
        };
        let sure: f32 = rng.random_range(0.4..1.0);
        let mut probabilities = vec![(1.0 - sure) / 2.0; 3];
        probabilities[label] = sure;
        let length = self.longer + rng.random_range(5..25);
        Reading {
            time: 0,
            print: Fingerprint {
                exact: rng.random(),
                near: rng.random(),
            },
            author: None,
            source: "x".into(),
            subject: "".into(),
            label,
            probabilities,
            tokens: (0..length).map(|_| self.token(rng)).collect(),
            words: length as u32 - rng.random_range(0..4),
            truncated: false,
        }
    }

    /// The inverse of the distribution function of a density that falls as one over the rank.
    fn token(&self, rng: &mut ChaCha8Rng) -> u32 {
        let size = SHAPE.vocabulary as f64;
        let rank = size.powf(rng.random::<f64>()) - 1.0;
        (rank as u32 + self.turned) % SHAPE.vocabulary as u32
    }
}

/// Counts some readings.
pub fn count<'a>(readings: impl IntoIterator<Item = &'a Reading>) -> Counts {
    let mut counts = Counts::new(SHAPE);
    readings.into_iter().for_each(|reading| counts.add(reading));
    counts
}
