//! How far the estimated shares of the classes are from the true ones.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rayon::prelude::*;
use serde_json::{Value, json};
use tidewatch::drift::labelled::Labelled;
use tidewatch::drift::reading::Reading;
use tidewatch::drift::shift;

use super::data::LABELS;
use super::prepared::Prepared;
use super::readings::Scored;

/// Messages in a window.
const SIZES: [usize; 2] = [200, 1_000];
/// Class shares are all that are multiples of one in so many, none of them 0.
const STEPS: usize = 10;
/// A model that is surer than it is right: the default model is, by this temperature, before its calibration.
const SHARPENED: f64 = 1.3;
/// What stands for the true shares.
const METHODS: [&str; 5] = [
    "predicted",
    "mean_probability",
    "em",
    "uncalibrated_em",
    "sharpened_em",
];
const CLASSES: usize = LABELS.len();

/// Shares of the classes.
type Shares = [f64; CLASSES];

/// How far it is off.
#[derive(Debug, Clone, Default)]
struct Errors {
    /// Absolute errors of a class's share, summed.
    sum: f64,
    /// Classes whose interval holds the true share.
    held: u64,
    /// Windows times classes.
    count: u64,
}

/// A model's probabilities on the texts it is calibrated on and on those of windows.
struct Calibration {
    priors: Vec<f64>,
    texts: Vec<Reading>,
}

/// Windows of each combination of class shares, drawn from tweets that the model has not seen.
pub fn study(prepared: &Prepared, quick: bool) -> anyhow::Result<Value> {
    let repetitions = if quick { 2 } else { 50 };
    let temperature = prepared.model.temperature;
    let calibrations =
        [1.0, temperature, SHARPENED].map(|power| Calibration::with(prepared, power));
    let mut by_class: [Vec<usize>; CLASSES] = Default::default();
    let unseen = prepared.unseen.as_slice();
    for (place, text) in unseen.iter().enumerate() {
        if let Some(truth) = text.truth {
            by_class[truth].push(place);
        }
    }
    let old = &calibrations[0].priors;
    let mut results = Vec::new();
    for size in SIZES {
        for (name, from, to) in [("near", 0.0, 20.0), ("far", 20.0, 101.0)] {
            let grid: Vec<Shares> = grid()
                .into_iter()
                .filter(|shares| (from..to).contains(&distance(shares, old)))
                .collect();
            let windows: Vec<(Shares, u64)> = grid
                .iter()
                .flat_map(|&shares| (0..repetitions).map(move |number| (shares, number)))
                .collect();
            let errors = windows
                .par_iter()
                .map(|(shares, seed)| {
                    let window = draw(&by_class, shares, size, *seed);
                    errors_of(&window, unseen, &calibrations)
                })
                .reduce(Default::default, |mut all, one: [Errors; METHODS.len()]| {
                    all.iter_mut().zip(&one).for_each(|(all, one)| all.add(one));
                    all
                });
            let methods: serde_json::Map<String, Value> = METHODS
                .iter()
                .zip(&errors)
                .map(|(&name, errors)| (name.to_owned(), errors.to_json()))
                .collect();
            results.push(json!({
                "size": size, "distance": name, "shares": grid.len(), "windows": windows.len(), "methods": methods,
            }));
        }
    }
    Ok(json!({
        "temperature": temperature, "priors": old, "uncalibrated_priors": calibrations[1].priors, "results": results,
    }))
}

impl Calibration {
    /// Probabilities to the power, made to sum to one again: the temperature undoes what it did.
    fn with(prepared: &Prepared, power: f64) -> Self {
        let all = |texts: &[Scored]| -> Vec<Reading> {
            texts
                .iter()
                .map(|text| raised(&text.reading, power))
                .collect()
        };
        let held_out = all(&prepared.held_out);
        let truths = prepared
            .held_out
            .iter()
            .map(|text| text.truth.unwrap_or(CLASSES));
        let labelled = Labelled::of(held_out.iter().zip(truths), CLASSES);
        Self {
            priors: labelled.map_or_else(Vec::new, |labelled| labelled.priors),
            texts: all(&prepared.unseen),
        }
    }
}

impl Errors {
    fn of(estimate: &[f64], intervals: Option<&[(f64, f64)]>, truth: &Shares) -> Self {
        let apart = estimate
            .iter()
            .zip(truth)
            .map(|(one, other)| (one - other).abs());
        let held = intervals.unwrap_or_default().iter().zip(truth);
        Self {
            sum: apart.sum(),
            held: held
                .filter(|((low, high), truth)| (low..=high).contains(truth))
                .count() as u64,
            count: CLASSES as u64,
        }
    }

    fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        self.held += other.held;
        self.count += other.count;
    }

    fn to_json(&self) -> Value {
        let count = self.count.max(1) as f64;
        json!({"mean_absolute_error_points": 100.0 * self.sum / count, "coverage": self.held as f64 / count})
    }
}

/// In the order of [`METHODS`].
fn errors_of(
    window: &[usize],
    texts: &[Scored],
    calibrations: &[Calibration; 3],
) -> [Errors; METHODS.len()] {
    let truth = shares(window.iter().filter_map(|&place| texts[place].truth));
    let labels = shares(window.iter().map(|&place| texts[place].reading.label));
    let rows = |calibration: &Calibration| -> Vec<Vec<f32>> {
        let of = |&place: &usize| calibration.texts[place].probabilities.clone();
        window.iter().map(of).collect()
    };
    let [calibrated, raw, sharpened] = calibrations.each_ref().map(rows);
    let em = |rows: &[Vec<f32>], calibration: &Calibration| {
        let estimate = shift::estimate(rows.iter().map(Vec::as_slice), &calibration.priors);
        estimate.map_or_else(
            |_| Errors::default(),
            |found| Errors::of(&found.shares, Some(&found.intervals), &truth),
        )
    };
    [
        Errors::of(&labels, None, &truth),
        Errors::of(&mean(&calibrated), None, &truth),
        em(&calibrated, &calibrations[0]),
        em(&raw, &calibrations[1]),
        em(&sharpened, &calibrations[2]),
    ]
}

fn draw(by_class: &[Vec<usize>; CLASSES], shares: &Shares, size: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let classes = by_class.iter().zip(shares);
    classes
        .flat_map(|(places, share)| {
            let wanted = (share * size as f64).round() as usize;
            places.sample(&mut rng, wanted).copied().collect::<Vec<_>>()
        })
        .collect()
}

fn grid() -> Vec<Shares> {
    let part = |count: usize| count as f64 / STEPS as f64;
    let first = 1..STEPS - 1;
    first
        .flat_map(|one| {
            (1..STEPS - one).map(move |two| [part(one), part(two), part(STEPS - one - two)])
        })
        .collect()
}

/// Half the sum of the differences, in points.
fn distance(one: &Shares, other: &[f64]) -> f64 {
    let apart = one
        .iter()
        .zip(other)
        .map(|(one, other)| (one - other).abs());
    50.0 * apart.sum::<f64>()
}

fn shares(labels: impl Iterator<Item = usize>) -> Shares {
    let mut counts = [0.0; CLASSES];
    labels.for_each(|label| counts[label] += 1.0);
    let total: f64 = counts.iter().sum();
    counts.map(|count| count / total.max(1.0))
}

fn mean(rows: &[Vec<f32>]) -> Shares {
    let mut sums = [0.0; CLASSES];
    for row in rows {
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, &p)| *sum += f64::from(p));
    }
    sums.map(|sum| sum / rows.len().max(1) as f64)
}

fn raised(reading: &Reading, power: f64) -> Reading {
    let raised = reading
        .probabilities
        .iter()
        .map(|&p| f64::from(p).powf(power));
    let raised: Vec<f64> = raised.collect();
    let total: f64 = raised.iter().sum();
    Reading {
        probabilities: raised.iter().map(|p| (p / total) as f32).collect(),
        ..reading.clone()
    }
}
