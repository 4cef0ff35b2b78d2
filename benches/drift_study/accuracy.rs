//! How often the interval of the estimated accuracy holds the true one.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde_json::{Value, json};
use tidewatch::drift::baseline::Baseline;
use tidewatch::drift::judge::{Evidence, Judge};
use tidewatch::drift::null::NullSettings;
use tidewatch::drift::reading::Reading;
use tidewatch::drift::rule::Watch;

use super::BUDGET;
use super::null::SIZES;
use super::prepared::Prepared;
use super::readings::Scored;
use super::streams::{MESSAGES, Scenario, draw};

/// Baselines that windows like them are judged by.
const SPLITS: u64 = 200;
/// Windows of each size to a baseline.
const WINDOWS: usize = 10;

/// One window.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    estimated: f64,
    half_width: f64,
    right: f64,
    held: bool,
}

/// Windows like the baseline, by many baselines, and windows of each change, by one.
pub fn study(prepared: &Prepared, quick: bool) -> anyhow::Result<Value> {
    // The estimates do not look at the null, so it may be a rough one.
    let rough = NullSettings {
        sizes: vec![100],
        resamples: 100,
        ..NullSettings::default()
    };
    let texts = prepared.not_trained_on();
    let splits: Vec<u64> = (0..if quick { 5 } else { SPLITS }).collect();
    let mut alike: Vec<Vec<Outcome>> = vec![Vec::new(); SIZES.len()];
    for seed in splits {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<&Scored> = texts.iter().collect();
        order.shuffle(&mut rng);
        let (known, pool) = order.split_at_mut(texts.len() / 2);
        let baseline = prepared.model.baseline(known, &rough)?;
        for (size, outcomes) in SIZES.into_iter().zip(&mut alike) {
            if pool.len() < size {
                continue;
            }
            let windows: Vec<Vec<&Scored>> = (0..WINDOWS)
                .map(|_| pool.partial_shuffle(&mut rng, size).0.to_vec())
                .collect();
            outcomes.par_extend(
                windows
                    .par_iter()
                    .filter_map(|window| outcome(window, &baseline)),
            );
        }
    }
    let alike = SIZES.into_iter().zip(&alike);
    let alike: Vec<Value> = alike.map(|(size, found)| summary(size, found)).collect();

    let held_out: Vec<&Scored> = prepared.held_out.iter().collect();
    let baseline = prepared.model.baseline(&held_out, &rough)?;
    let repetitions = if quick { 2 } else { 20 };
    let streams: Vec<_> = (0..repetitions)
        .map(|number| draw(prepared, &prepared.unseen, number))
        .collect();
    let mut changed = Vec::new();
    for (place, scenario) in Scenario::ALL.into_iter().enumerate() {
        for size in SIZES.into_iter().filter(|&size| size <= MESSAGES) {
            let windows = streams
                .iter()
                .flat_map(|streams| streams.after[place].chunks_exact(size));
            let windows: Vec<Vec<&Scored>> =
                windows.map(|window| window.iter().collect()).collect();
            let outcomes = windows
                .par_iter()
                .filter_map(|window| outcome(window, &baseline));
            let mut found = summary(size, &outcomes.collect::<Vec<_>>());
            found["name"] = json!(scenario.name());
            changed.push(found);
        }
    }
    Ok(json!({"alike": alike, "changed": changed}))
}

fn outcome(window: &[&Scored], baseline: &Baseline) -> Option<Outcome> {
    let readings: Vec<Reading> = window.iter().map(|text| text.reading.clone()).collect();
    // With an alarm open already none is explained, which would take its time.
    let mut watch = Watch {
        open: true,
        ..Watch::default()
    };
    let estimates = Judge::new(baseline, BUDGET)
        .judge(&readings, Evidence::default(), &mut watch)
        .estimates;
    let estimated = estimates.accuracy?;
    let right = window
        .iter()
        .filter(|text| text.truth == Some(text.reading.label))
        .count();
    let right = right as f64 / window.len() as f64;
    Some(Outcome {
        estimated: estimated.value,
        half_width: (estimated.high - estimated.low) / 2.0,
        right,
        held: (estimated.low..=estimated.high).contains(&right),
    })
}

fn summary(size: usize, outcomes: &[Outcome]) -> Value {
    let mean = |of: &dyn Fn(&Outcome) -> f64| {
        outcomes.iter().map(of).sum::<f64>() / outcomes.len().max(1) as f64
    };
    json!({
        "size": size, "windows": outcomes.len(),
        "coverage": mean(&|outcome| f64::from(u8::from(outcome.held))),
        "estimated": mean(&|outcome| outcome.estimated),
        "right": mean(&|outcome| outcome.right),
        "half_width": mean(&|outcome| outcome.half_width),
        "mean_absolute_error": mean(&|outcome| (outcome.estimated - outcome.right).abs()),
    })
}
