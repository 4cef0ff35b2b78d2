//! Measures the estimates of accuracy and macro recall from labels of picked messages: how far they are off, and how often their
//! intervals hold the truth.
//!
//! `cargo bench --bench annotate -- [rounds]`; a round picks anew from the same made-up messages. It takes minutes: nothing runs it
//! by itself.

// `synthetic` finds the library's parts under the names that they have there.
use tidewatch::{annotate, drift, labels, record};

#[path = "../src/annotate/synthetic.rs"]
mod synthetic;

use annotate::config::AnnotateConfig;
use annotate::estimate::{Estimate, Estimates, Labelled, estimate};
use synthetic::{CLASSES, accuracy, labelled, macro_recall, messages, picked};

const MESSAGES: usize = 20_000;

/// What is measured of one figure over the rounds.
struct Tally {
    truth: f64,
    found: Vec<Estimate>,
}

impl Tally {
    fn of(
        truth: f64,
        rounds: &[Estimates],
        figure: impl Fn(&Estimates) -> Option<Estimate>,
    ) -> Self {
        let found = rounds.iter().filter_map(figure).collect();
        Self { truth, found }
    }

    fn mean(&self, figure: impl Fn(&Estimate) -> f64) -> f64 {
        self.found.iter().map(figure).sum::<f64>() / self.found.len() as f64
    }

    /// Mean, bias and root mean square error in points, mean half width, and how many intervals hold the truth.
    fn row(&self) -> String {
        let mean = self.mean(|one| one.value);
        let error = self.mean(|one| (one.value - self.truth).powi(2)).sqrt();
        let half = self.mean(|one| (one.high - one.low) / 2.0);
        let held = self.mean(|one| f64::from(u8::from((one.low..=one.high).contains(&self.truth))));
        format!(
            "{:.2} | {:+.2} | {:.2} | {:.2} | {:.1} %",
            100.0 * mean,
            100.0 * (mean - self.truth),
            100.0 * error,
            100.0 * half,
            100.0 * held
        )
    }
}

fn main() {
    // Cargo adds an argument of its own.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"));
    let rounds: usize = arguments
        .next()
        .map_or(1_000, |rounds| rounds.parse().expect("rounds are a number"));
    let made = messages(MESSAGES, 1);
    let truths = (accuracy(&made), macro_recall(&made));
    println!(
        "{MESSAGES} messages, {rounds} rounds; accuracy {:.2} %, macro recall {:.2} %\n",
        100.0 * truths.0,
        100.0 * truths.1
    );
    println!(
        "| labels | of | effective | figure | mean, % | bias, points | error, points | interval, ± points | holds the truth |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (random, uncertain) in [
        (25, 0),
        (50, 0),
        (100, 0),
        (200, 0),
        (400, 0),
        (50, 50),
        (100, 100),
        (50, 150),
        (200, 200),
    ] {
        let mut found = Vec::new();
        for round in 0..rounds {
            let config = AnnotateConfig {
                salt: format!("{random}-{uncertain}-{round}"),
                ..AnnotateConfig::default()
            };
            let probability = f64::from(random) / MESSAGES as f64;
            let picks = picked(&made, &config, probability, uncertain);
            let labels: Vec<Labelled> = labelled(&made, &picks, true);
            found.extend(estimate(&labels, CLASSES, Some(MESSAGES as u64)));
        }
        let effective = found.iter().map(|one| one.effective).sum::<f64>() / found.len() as f64;
        let plain = found.iter().map(|one| one.uncorrected).sum::<f64>() / found.len() as f64;
        let start = format!("| {random} by chance, {uncertain} unsure");
        println!(
            "{start} | {} | {effective:.0} | uncorrected share | {:.2} | {:+.2} | | | |",
            found.len(),
            100.0 * plain,
            100.0 * (plain - truths.0)
        );
        for (name, tally) in [
            (
                "accuracy, Hájek",
                Tally::of(truths.0, &found, |one| Some(one.accuracy)),
            ),
            (
                "accuracy, Horvitz-Thompson",
                Tally::of(truths.0, &found, |one| one.horvitz_thompson),
            ),
            (
                "macro recall",
                Tally::of(truths.1, &found, |one| one.macro_recall),
            ),
        ] {
            println!(
                "{start} | {} | {effective:.0} | {name} | {} |",
                tally.found.len(),
                tally.row()
            );
        }
    }
}
