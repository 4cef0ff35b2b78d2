//! How much more windows of consecutive messages differ than chance alone makes them.
//!
//! Topics come and go, and what people write about at noon is not what they write about at night. Such movements last longer
//! than any block that resampling can use, so windows put together from blocks miss them, and every window in use would look
//! like drift. But the held-out data show them: their own consecutive windows, each measured against all the rest, have a
//! larger median and spread than resampled ones. There are too few of these windows to know their tail, so only location and
//! scale come from them, and the shape of the tail from resampling: an empirical null (Efron 2004, "Large-scale simultaneous
//! hypothesis testing: the choice of a null hypothesis").

use rayon::prelude::*;

use super::counts::Counts;
use super::quantiles::Quantiles;
use super::reading::Reading;
use super::statistics::{Reference, Statistic, Values};

/// Fewest windows of a size, side by side, from which a location and a scale are taken.
pub const FEWEST_WINDOWS: usize = 10;

/// Standard errors by which the consecutive windows' mean has to be larger before it counts: the one-sided 5 % level.
const NOTABLE: f64 = 1.645;

/// Measures windows of consecutive readings, each overlapping the next by three quarters, against all other readings.
#[must_use]
pub fn consecutive(reference: &Reference<'_>, readings: &[&Reading], size: usize) -> Vec<Values> {
    let step = size.div_ceil(4).max(1);
    let last = readings.len().saturating_sub(size);
    (0..=last / step)
        .into_par_iter()
        .map(|place| {
            let mut window = Counts::new(reference.shape());
            let held = readings[place * step..].iter().take(size);
            held.for_each(|reading| window.add(reading));
            reference.measure_part(&window)
        })
        .collect()
}

/// The distribution of a statistic of consecutive windows: that of resampled windows, moved and widened to the median and to
/// the mean excess over it of the consecutive ones, as many of which lie side by side as `windows` says.
///
/// It stays as it is where the consecutive windows' mean is not notably larger than that of the resampled ones: chance does
/// that too, and widening by chance would cost power. It is never made narrower.
#[must_use]
pub fn widen(resampled: &[f64], consecutive: &[f64], windows: usize) -> Quantiles {
    let null = Quantiles::of(resampled.to_vec());
    let (mean, deviation) = moments(resampled);
    let (observed, _) = moments(consecutive);
    if windows < FEWEST_WINDOWS
        || (observed - mean) * (windows as f64).sqrt() <= NOTABLE * deviation
    {
        return null;
    }
    let (from, usual) = excess_over_median(resampled);
    let (to, excess) = excess_over_median(consecutive);
    let wider = if usual > 0.0 { excess / usual } else { 1.0 };
    let moved = null.moved(from, to.max(from), wider.max(1.0));
    Quantiles {
        beyond: moved.beyond.min(windows / 2),
        dispersion: if mean > 0.0 { observed / mean } else { 1.0 },
        ..moved
    }
}

/// Readings in the windows of which [`Movement`] speaks, which are as large as `[drift] window_messages` is by default.
pub const SPOKEN_OF: usize = 1_000;

/// From how many times as far on held-out data moves so much that it is worth a word.
const FAR: f64 = 2.0;

/// How much the held-out data moves in the course of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Movement {
    /// By which statistic it moves most.
    pub statistic: Statistic,
    /// How many times as far as by chance windows of [`SPOKEN_OF`] readings are, on average.
    pub times: f64,
}

impl Movement {
    /// The movement by a statistic that has this dispersion in windows of `size` readings. Those of [`SPOKEN_OF`] may be too
    /// few to look at, so theirs follows from components of variance: chance's squared distance shrinks as windows grow, that
    /// of what moves does not.
    #[must_use]
    pub fn of(statistic: Statistic, dispersion: f64, size: usize) -> Self {
        let squared = |value: f64| statistic.squared_distance(value, size);
        let moved = (squared(dispersion) / squared(1.0) - 1.0).max(0.0);
        let larger = SPOKEN_OF as f64 / size as f64;
        Self {
            statistic,
            times: (1.0 + moved * larger).sqrt(),
        }
    }

    /// Whether it is so large that changes which matter may be hidden by it.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.times >= FAR
    }
}

/// The largest size of window for which there are windows enough, and the distributions of each statistic at it, in the order
/// of [`Statistic::ALL`].
#[derive(Debug, Clone)]
pub struct Estimated {
    /// Readings in a window.
    pub size: usize,
    /// Of resampled windows.
    pub resampled: [Quantiles; Statistic::ALL.len()],
    /// Of consecutive ones.
    pub widened: [Quantiles; Statistic::ALL.len()],
}

/// What the distribution at a larger size would be, of whose windows there are too few: the resampled one with the difference
/// that a smaller size has between widened and resampled windows. Components of variance add, so the difference is one of
/// squared distances; it is kept as large, as if the movements lasted longer than the larger windows.
#[must_use]
pub fn carry(
    statistic: Statistic,
    resampled: &Quantiles,
    size: usize,
    estimated: &Estimated,
) -> Quantiles {
    let small = &estimated.resampled[statistic as usize];
    let widened = &estimated.widened[statistic as usize];
    if widened.dispersion <= 1.0 {
        return resampled.clone();
    }
    let squared = |value: f64| statistic.squared_distance(value, estimated.size);
    let places = resampled.upper.len().min(small.upper.len());
    let mut upper = Vec::with_capacity(places);
    let mut largest = 0.0_f64;
    for place in 0..places {
        let added = squared(widened.upper[place]) - squared(small.upper[place]);
        let whole = statistic.squared_distance(resampled.upper[place], size) + added.max(0.0);
        // The differences need not ascend as quantiles do.
        largest = largest.max(statistic.from_squared_distance(whole, size));
        upper.push(largest);
    }
    let growth = statistic.growth(size as f64 / estimated.size as f64);
    Quantiles {
        upper,
        excess: resampled.excess.max(widened.excess * growth),
        beyond: resampled.beyond.min(widened.beyond),
        dispersion: widened.dispersion,
    }
}

fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

/// The median, and by how much the values above it exceed it on average.
fn excess_over_median(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = &sorted[sorted.len() / 2..];
    let Some(&median) = upper.first() else {
        return (0.0, 0.0);
    };
    let sum: f64 = upper.iter().map(|value| value - median).sum();
    (median, sum / upper.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::super::synthetic::{Feed, SHAPE, count};
    use super::*;

    fn exponential(count: usize, scale: f64) -> Vec<f64> {
        let at = |place: usize| (place as f64 + 0.5) / count as f64;
        (0..count).map(|place| -scale * at(place).ln()).collect()
    }

    fn estimated(resampled: &Quantiles, widened: &Quantiles) -> Estimated {
        let all = |of: &Quantiles| Statistic::ALL.map(|_| of.clone());
        Estimated {
            size: 100,
            resampled: all(resampled),
            widened: all(widened),
        }
    }

    #[test]
    fn consecutive_windows_like_the_resampled_ones_change_nothing() {
        let resampled = exponential(2000, 1.0);
        let widened = widen(&resampled, &exponential(80, 1.05), 20);
        assert_eq!(widened, Quantiles::of(resampled));
    }

    #[test]
    fn too_few_consecutive_windows_change_nothing() {
        let resampled = exponential(2000, 1.0);
        let widened = widen(&resampled, &exponential(36, 9.0), FEWEST_WINDOWS - 1);
        assert_eq!(widened, Quantiles::of(resampled));
    }

    #[test]
    fn consecutive_windows_three_times_as_far_triple_every_quantile() {
        let resampled = exponential(2000, 1.0);
        let widened = widen(&resampled, &exponential(400, 3.0), 100);
        let null = Quantiles::of(resampled);
        for (wide, narrow) in widened.upper.iter().zip(&null.upper) {
            assert!((wide / narrow / 3.0 - 1.0).abs() < 0.03, "{wide} {narrow}");
        }
        assert!((widened.dispersion - 3.0).abs() < 0.1);
        assert!(widened.p_value(15.0) > 0.9 * (-5.0_f64).exp());
    }

    #[test]
    fn a_component_that_lasts_keeps_its_distance_and_outgrows_the_sampling_error() {
        // Distances of 3 by chance and 5 in all leave 4 for what lasts, beside which chance shrinks to 1.5.
        let of = |scale: f64| Quantiles {
            upper: vec![scale; 15],
            excess: 0.1,
            beyond: 39,
            dispersion: 1.0,
        };
        let (small, large) = (of(3.0), of(1.5));
        let widened = Quantiles {
            dispersion: 5.0 / 3.0,
            ..of(5.0)
        };
        let estimated = estimated(&small, &widened);
        let distance = carry(Statistic::Scores, &large, 400, &estimated);
        assert!((distance.median() - (16.0_f64 + 2.25).sqrt()).abs() < 1e-9);
        // G is n times a squared distance, and chance keeps it at 3.
        let ratio = carry(Statistic::Classes, &small, 400, &estimated);
        assert!((ratio.median() - (3.0 + 4.0 * 2.0)).abs() < 1e-9);
    }

    #[test]
    fn where_nothing_was_widened_nothing_is_carried() {
        let small = Quantiles::of(exponential(500, 1.0));
        let large = Quantiles::of(exponential(500, 0.5));
        let carried = carry(Statistic::Classes, &large, 800, &estimated(&small, &small));
        assert_eq!(carried, large);
    }

    #[test]
    fn movement_is_told_of_windows_of_one_size_whichever_was_looked_at() {
        // Three times chance's squared distance, two of them lasting: of windows five times as large, eleven times.
        let of = |statistic, dispersion| Movement::of(statistic, dispersion, 200).times;
        assert!((of(Statistic::Classes, 3.0) - 11.0_f64.sqrt()).abs() < 1e-9);
        assert!((of(Statistic::Scores, 3.0_f64.sqrt()) - 11.0_f64.sqrt()).abs() < 1e-9);
        assert!((of(Statistic::Scores, 1.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn windows_cover_the_readings_from_end_to_end() {
        let readings = Feed::default().readings(100, 1);
        let counts: Counts = count(&readings);
        let reference = Reference::new(&counts, None);
        let readings: Vec<&Reading> = readings.iter().collect();
        assert_eq!(consecutive(&reference, &readings, 20).len(), 17);
        assert_eq!(counts.shape(), SHAPE);
    }
}
