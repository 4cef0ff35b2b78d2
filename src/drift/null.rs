//! How far windows of held-out data are from the rest of it: what a statistic is worth when nothing has changed.
//!
//! Asymptotic distributions hold neither for histograms of correlated messages nor for divergences over a vocabulary of which
//! most tokens were seen once, so the distributions are found by resampling. In each resample a window is drawn from the
//! held-out readings without replacement, in blocks of consecutive ones, and measured against all that were not drawn, so
//! that the errors of both samples are in the result. In use the reference is the whole held-out set of N rather than N - n
//! readings: for windows much smaller than that the difference vanishes, for those of half of it the null's deviations are
//! wider than those in use by a factor of (4/3)^(1/2), which errs on the side of silence.
//!
//! Movements that last longer than a block are then added ([`dispersion`]), for which the readings have to be ten times the
//! smallest size of window.

use std::collections::BTreeMap;

use rand::{SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::blocks;
use super::counts::{Counts, Shape};
use super::dispersion::{self, Estimated, FEWEST_WINDOWS, Movement, SPOKEN_OF};
use super::quantiles::{FEWEST, Quantiles};
use super::reading::Reading;
use super::statistics::{Reference, Statistic, Values};

/// How the null distributions are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NullSettings {
    /// Windows' sizes in readings; those beyond half of the held-out readings are left out.
    pub sizes: Vec<usize>,
    /// Windows drawn; at least [`FEWEST`] are.
    pub resamples: usize,
    /// Consecutive readings in a block; 0 lets the data choose ([`blocks::length`]).
    pub block: usize,
    /// Seed of the draws. The same seed gives the same null on any number of threads.
    pub seed: u64,
}

impl Default for NullSettings {
    fn default() -> Self {
        Self {
            sizes: vec![100, 200, 500, 1000, 2000, 5000],
            resamples: 2000,
            block: 0,
            seed: 0,
        }
    }
}

/// The null distributions of every statistic at several sizes of window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Null {
    /// Windows that were drawn.
    pub resamples: usize,
    /// Consecutive readings in a block.
    pub block: usize,
    /// In ascending order of size.
    pub sizes: Vec<SizeNull>,
}

/// The null distributions at one size of window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SizeNull {
    /// Distinct readings in a window.
    pub size: usize,
    /// The distribution of each statistic.
    pub statistics: BTreeMap<Statistic, Quantiles>,
}

impl Null {
    /// Finds the null distributions of held-out readings, which are distinct and in order of time. There are none where the
    /// readings are fewer than twice the smallest size.
    ///
    /// Readings are drawn once for all sizes: a window of a smaller size is the beginning of a larger one.
    #[must_use]
    pub fn of(
        readings: &[&Reading],
        shape: Shape,
        unknown: Option<u32>,
        settings: &NullSettings,
    ) -> Self {
        let mut sizes = settings.sizes.clone();
        sizes.retain(|&size| size > 0 && size <= readings.len() / 2);
        sizes.sort_unstable();
        sizes.dedup();
        let block = match settings.block {
            0 => blocks::length(readings),
            given => given,
        };
        let mut counts = Counts::new(shape);
        readings.iter().for_each(|reading| counts.add(reading));
        let reference = Reference::new(&counts, unknown);
        let resamples = settings.resamples.max(FEWEST);
        let draws: Vec<Vec<Values>> = (0..resamples as u64)
            .into_par_iter()
            .map(|resample| {
                let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
                rng.set_stream(resample);
                measure(&reference, readings, &sizes, block, &mut rng)
            })
            .collect();
        let mut nulls = Vec::with_capacity(sizes.len());
        let mut estimated: Option<Estimated> = None;
        for (place, &size) in sizes.iter().enumerate() {
            let values = |statistic: Statistic| -> Vec<f64> {
                draws.iter().map(|draw| draw[place][statistic]).collect()
            };
            let resampled = Statistic::ALL.map(|statistic| Quantiles::of(values(statistic)));
            let windows = readings.len() / size;
            let widened = if windows >= FEWEST_WINDOWS {
                let in_a_row = dispersion::consecutive(&reference, readings, size);
                let widened = Statistic::ALL.map(|statistic| {
                    let in_a_row: Vec<f64> = in_a_row.iter().map(|row| row[statistic]).collect();
                    dispersion::widen(&values(statistic), &in_a_row, windows)
                });
                estimated = Some(Estimated {
                    size,
                    resampled,
                    widened: widened.clone(),
                });
                widened
            } else if let Some(estimated) = &estimated {
                let of = |statistic| {
                    let resampled = &resampled[statistic as usize];
                    dispersion::carry(statistic, resampled, size, estimated)
                };
                Statistic::ALL.map(of)
            } else {
                resampled
            };
            let rounded = widened.iter().map(Quantiles::rounded);
            nulls.push(SizeNull {
                size,
                statistics: Statistic::ALL.into_iter().zip(rounded).collect(),
            });
        }
        Self {
            resamples,
            block,
            sizes: nulls,
        }
    }

    /// How the held-out data, so many distinct readings, moves most; none where it has too few windows to tell.
    ///
    /// What moves within it counts as normal, so a window has to be further away than that to be called far.
    #[must_use]
    pub fn movement(&self, readings: usize) -> Option<Movement> {
        let looked_at = |null: &&SizeNull| null.size <= SPOKEN_OF.min(readings / FEWEST_WINDOWS);
        let null = self.sizes.iter().rev().find(looked_at)?;
        let all = null.statistics.iter();
        let all = all.map(|(&statistic, held)| Movement::of(statistic, held.dispersion, null.size));
        all.max_by(|one, other| one.times.total_cmp(&other.times))
    }

    /// Fewest distinct readings in a window about which the null says anything.
    #[must_use]
    pub fn smallest(&self) -> Option<usize> {
        self.sizes.first().map(|null| null.size)
    }

    /// The distribution of a statistic of windows of `n` distinct readings; none below the smallest size.
    ///
    /// Between two sizes it is interpolated on logarithmic scales ([`Quantiles::between`]), since distances shrink with a
    /// power of n. Above the largest it is that of the largest: too wide for what shrinks and right for what does not, and for
    /// what grows, where windows in a row are further away than chance explains, it grows as fast as it can.
    #[must_use]
    pub fn quantiles(&self, statistic: Statistic, n: usize) -> Option<Quantiles> {
        let above = self.sizes.partition_point(|null| null.size <= n);
        let below = self.sizes.get(above.checked_sub(1)?)?;
        let low = below.statistics.get(&statistic)?;
        let Some(above) = self.sizes.get(above) else {
            let larger = n as f64 / below.size as f64;
            let grows = low.dispersion > 1.0;
            let by = if grows { statistic.growth(larger) } else { 1.0 };
            return Some(low.scaled(by));
        };
        let high = above.statistics.get(&statistic)?;
        let ln = |size: usize| (size as f64).ln();
        let share = (ln(n) - ln(below.size)) / (ln(above.size) - ln(below.size));
        Some(low.between(high, share))
    }

    /// The p-value of a statistic of a window of `n` distinct readings; none below the smallest size, where the answer is "not
    /// known".
    #[must_use]
    pub fn p_value(&self, statistic: Statistic, value: f64, n: usize) -> Option<f64> {
        Some(self.quantiles(statistic, n)?.p_value(value))
    }

    /// Whether every size is in its place and has all statistics.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let complete = |null: &SizeNull| {
            let held = |statistic| null.statistics.get(statistic);
            let all = Statistic::ALL.iter().map(held);
            null.size > 0 && { all }.all(|held| held.is_some_and(Quantiles::is_complete))
        };
        let ascends = |pair: &[SizeNull]| pair[0].size < pair[1].size;
        !self.sizes.is_empty()
            && self.sizes.iter().all(complete)
            && self.sizes.windows(2).all(ascends)
    }
}

/// Draws one window and measures it at each size.
fn measure(
    reference: &Reference<'_>,
    readings: &[&Reading],
    sizes: &[usize],
    block: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Values> {
    let largest = sizes.last().copied().unwrap_or(0);
    let drawn = blocks::draw(readings.len(), block, largest, rng);
    let mut window = Counts::new(reference.shape());
    let mut counted = 0;
    let mut values = Vec::with_capacity(sizes.len());
    for &size in sizes {
        for &position in &drawn[counted..size] {
            window.add(readings[position]);
        }
        counted = size;
        values.push(reference.measure_part(&window));
    }
    values
}

#[cfg(test)]
mod tests;
