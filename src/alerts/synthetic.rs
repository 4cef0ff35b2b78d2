//! Made-up series: volume and shares with daily and weekly cycles, days and hours that stray, and changes at known times.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{Cell, Count, SeriesKey};

/// Milliseconds in an hour.
pub const HOUR: i64 = 3_600_000;

/// The hour, since the epoch, of the first Monday: made-up series begin there.
pub const MONDAY: i64 = 4 * 24;

/// A change of the first label's share.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub from_hour: i64,
    pub until_hour: i64,
    pub points: f64,
}

/// How a series is made.
#[derive(Debug, Clone)]
pub struct Maker {
    pub key: SeriesKey,
    /// Distinct messages an hour on average.
    pub volume: f64,
    /// The first label's share at the middle of its cycles.
    pub share: f64,
    /// Standard deviations, in logits, of how far days and hours stray.
    pub days_stray: f64,
    pub hours_stray: f64,
    /// Minutes of a cell.
    pub minutes: i64,
    pub change: Option<Step>,
    pub seed: u64,
}

impl Maker {
    /// A series with strays of five and four points of share, and no change.
    pub fn flat(volume: f64, seed: u64) -> Self {
        Self {
            key: SeriesKey::new(None, Some("made up")),
            volume,
            share: 0.4,
            days_stray: 0.2,
            hours_stray: 0.15,
            minutes: 60,
            change: None,
            seed,
        }
    }

    /// The cells of so many hours, from a Monday on.
    pub fn cells(&self, hours: i64) -> Vec<Cell> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let phase: f64 = rng.random::<f64>() * 24.0;
        let (mut day_stray, mut cells) = (0.0, Vec::new());
        for hour in 0..hours {
            if hour % 24 == 0 {
                day_stray = self.days_stray * normal(&mut rng);
            }
            let weekend = hour / 24 % 7 >= 5;
            let cycle = ((hour as f64 - phase) * std::f64::consts::TAU / 24.0).sin();
            let volume = self.volume * (1.0 + 0.6 * cycle) * if weekend { 0.7 } else { 1.1 };
            let logit = (self.share / (1.0 - self.share)).ln()
                + 0.2 * cycle
                + if weekend { 0.15 } else { 0.0 };
            let mut share = logistic(logit + day_stray + self.hours_stray * normal(&mut rng));
            if let Some(step) = self
                .change
                .filter(|step| (step.from_hour..step.until_hour).contains(&hour))
            {
                share = (share + step.points).clamp(0.0, 1.0);
            }
            let steps = 60 / self.minutes;
            for step in 0..steps {
                let texts = poisson(volume / steps as f64, &mut rng);
                if texts == 0 {
                    continue;
                }
                let hits = binomial(texts, share, &mut rng);
                let others = binomial(texts - hits, 0.5, &mut rng);
                let counts = [hits, others, texts - hits - others].map(|texts| Count {
                    messages: texts + texts / 3,
                    texts,
                    authors: texts,
                });
                cells.push(Cell {
                    key: self.key.clone(),
                    start: (MONDAY + hour) * HOUR + step * self.minutes * 60_000,
                    score: counts[2].texts as f64 - hits as f64,
                    counts: counts.to_vec(),
                });
            }
        }
        cells
    }
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// A standard normal variate (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

fn poisson(mean: f64, rng: &mut ChaCha8Rng) -> u64 {
    if mean > 50.0 {
        return (mean + mean.sqrt() * normal(rng)).round().max(0.0) as u64;
    }
    let (limit, mut product, mut count) = ((-mean).exp(), rng.random::<f64>(), 0);
    while product > limit {
        product *= rng.random::<f64>();
        count += 1;
    }
    count
}

fn binomial(trials: u64, share: f64, rng: &mut ChaCha8Rng) -> u64 {
    (0..trials)
        .map(|_| u64::from(rng.random::<f64>() < share))
        .sum()
}
