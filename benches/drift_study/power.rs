//! How many messages of a changed feed pass until the alarm.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use tidewatch::drift::baseline::Baseline;
use tidewatch::drift::detector::{Finding, examine};
use tidewatch::drift::null::NullSettings;
use tidewatch::drift::reading::Reading;
use tidewatch::drift::rule::{Change, Rule, Watch};
use tidewatch::drift::statistics::Statistic;

use super::BUDGET;
use super::data::recent;
use super::prepared::Prepared;
use super::readings::Scored;
use super::streams::{Scenario, Streams, draw};

/// Messages in a window.
const SIZES: [usize; 2] = [200, 1_000];

/// Lets the detector watch the streams of tweets of four years, and, with a baseline of the last three months of them, those
/// of tweets of these months. What other tools need is written into the folders streams and streams-recent.
pub fn study(prepared: &Prepared, out: &Path, quick: bool) -> anyhow::Result<Value> {
    let since = recent()?;
    let of_late = |texts: &[Scored]| -> Vec<Scored> {
        let late = |text: &&Scored| text.reading.time >= since;
        texts.iter().filter(late).cloned().collect()
    };
    let (held_out, unseen) = (of_late(&prepared.held_out), of_late(&prepared.unseen));
    let part = |baseline: &[Scored], unchanged: &[Scored], folder| {
        part(prepared, baseline, unchanged, &out.join(folder), quick)
    };
    Ok(json!({
        "all": part(&prepared.held_out, &prepared.unseen, "streams")?,
        "recent": part(&held_out, &unseen, "streams-recent")?,
    }))
}

/// Lets the detector, with a baseline of these held-out texts, watch streams of these unchanged ones, and writes for the other
/// tools reference.jsonl, in-order.jsonl, before.jsonl and a file for each scenario.
fn part(
    prepared: &Prepared,
    held_out: &[Scored],
    unchanged: &[Scored],
    folder: &Path,
    quick: bool,
) -> anyhow::Result<Value> {
    let repetitions = if quick { 2 } else { 20 };
    std::fs::create_dir_all(folder)?;
    export(&folder.join("reference.jsonl"), [held_out])?;
    // A feed as it came, which moves as the held-out texts do.
    export(&folder.join("in-order.jsonl"), [unchanged])?;
    let streams: Vec<Streams> = (0..repetitions)
        .map(|number| draw(prepared, unchanged, number))
        .collect();
    let before = streams.iter().map(|streams| streams.before.as_slice());
    export(&folder.join("before.jsonl"), before)?;
    let mut scenarios = Vec::new();
    for (place, scenario) in Scenario::ALL.into_iter().enumerate() {
        let after = || {
            streams
                .iter()
                .map(|streams| streams.after[place].as_slice())
        };
        export(&folder.join(format!("{}.jsonl", scenario.name())), after())?;
        let all: Vec<Scored> = after().flatten().cloned().collect();
        scenarios.push(described(scenario.name(), &all));
    }
    let mut detectors = Map::new();
    let baselines = [
        ("tidewatch", held_out.to_vec()),
        ("tidewatch_shuffled", mixed_up(held_out)),
    ];
    for (name, texts) in &baselines {
        let texts: Vec<&Scored> = texts.iter().collect();
        let baseline = prepared.model.baseline(&texts, &NullSettings::default())?;
        let mut answers = answers(&baseline, &streams);
        answers["in_order"] = in_order(&baseline, unchanged);
        let movement = baseline.null.movement(texts.len());
        answers["moves"] = json!(movement.map(|movement| (movement.statistic, movement.times)));
        detectors.insert((*name).to_owned(), answers);
        eprintln!("drift_study: {name}");
    }
    Ok(json!({
        "baseline": described("held out", held_out), "repetitions": repetitions,
        "scenarios": scenarios, "detectors": detectors,
    }))
}

fn described(name: &str, texts: &[Scored]) -> Value {
    json!({
        "name": name, "messages": texts.len(), "negative": share(texts, |text| text.truth == Some(0)),
        "right": share(texts, |text| text.truth == Some(text.reading.label)),
    })
}

/// The same texts at times that say nothing of when they were written, so that none of them is like its neighbours.
fn mixed_up(texts: &[Scored]) -> Vec<Scored> {
    let mut shuffled = texts.to_vec();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    for (second, text) in (0..).zip(&mut shuffled) {
        text.reading.time = second * 1_000;
    }
    shuffled
}

/// False alarms before the changes, and messages from each until the alarm.
fn answers(baseline: &Baseline, streams: &[Streams]) -> Value {
    let unchanged = SIZES.map(|size| {
        let alarms = streams.par_iter().map(|streams| {
            let mut watch = Watch::default();
            watched(baseline, &streams.before, size, &mut watch).len()
        });
        let windows = streams.iter().map(|streams| streams.before.len() / size);
        let windows: usize = windows.sum();
        json!({"size": size, "windows": windows, "alarms": alarms.sum::<usize>()})
    });
    let scenarios = Scenario::ALL
        .into_iter()
        .enumerate()
        .map(|(place, scenario)| {
            let sizes = SIZES.map(|size| {
            let delay = |streams: &Streams| delay(baseline, streams, place, size);
            let delays: Vec<Option<usize>> = streams.par_iter().map(delay).collect();
            let after = || streams.iter().map(|streams| &streams.after[place]);
            json!({"size": size, "delays": delays, "median_p": median_p(baseline, after(), size)})
        });
            json!({"name": scenario.name(), "sizes": sizes})
        });
    json!({"unchanged": unchanged, "scenarios": scenarios.collect::<Vec<_>>()})
}

/// Alarms where nothing has changed and messages come in the order of their times.
fn in_order(baseline: &Baseline, texts: &[Scored]) -> Value {
    let alarms = SIZES.map(|size| {
        let alarms = watched(baseline, texts, size, &mut Watch::default()).len();
        json!({"size": size, "windows": texts.len() / size, "alarms": alarms})
    });
    json!(alarms)
}

/// Each statistic's median p-value, not adjusted, over the windows of the second half of the streams.
fn median_p<'a>(
    baseline: &Baseline,
    streams: impl Iterator<Item = &'a Vec<Scored>>,
    size: usize,
) -> Value {
    let windows: Vec<&[Scored]> = streams
        .flat_map(|stream| stream[stream.len() / 2..].chunks_exact(size))
        .collect();
    let findings: Vec<Finding> = windows
        .par_iter()
        .map(|window| examine(&readings(window), baseline))
        .collect();
    let median = |statistic: Statistic| {
        let of = |finding: &Finding| finding.statistics[statistic as usize].p;
        let mut ps: Vec<f64> = findings.iter().filter_map(of).collect();
        ps.sort_unstable_by(f64::total_cmp);
        (statistic.name().to_owned(), json!(ps.get(ps.len() / 2)))
    };
    Value::Object(Statistic::ALL.map(median).into_iter().collect())
}

/// Messages from the change until the window that alarms is full; none without an alarm.
fn delay(baseline: &Baseline, streams: &Streams, scenario: usize, size: usize) -> Option<usize> {
    let mut watch = Watch::default();
    watched(baseline, &streams.before, size, &mut watch);
    let alarms = watched(baseline, &streams.after[scenario], size, &mut watch);
    alarms.first().map(|window| (window + 1) * size)
}

/// The windows at which an alarm is opened. The rule begins anew after each.
fn watched(baseline: &Baseline, texts: &[Scored], size: usize, watch: &mut Watch) -> Vec<usize> {
    let rule = Rule::for_budget(BUDGET);
    let mut alarms = Vec::new();
    for (number, window) in texts.chunks_exact(size).enumerate() {
        let p = examine(&readings(window), baseline).p;
        if watch.observe(&rule, p).1 == Change::Opened {
            *watch = Watch::default();
            alarms.push(number);
        }
    }
    alarms
}

fn readings(window: &[Scored]) -> Vec<Reading> {
    window.iter().map(|text| text.reading.clone()).collect()
}

fn share(texts: &[Scored], of: impl Fn(&Scored) -> bool) -> f64 {
    let count = texts.iter().filter(|text| of(text)).count();
    count as f64 / texts.len().max(1) as f64
}

/// Writes a line for each stream: a list of `[text, probabilities]`.
fn export<'a>(path: &Path, streams: impl IntoIterator<Item = &'a [Scored]>) -> anyhow::Result<()> {
    let file = std::fs::File::create(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let mut file = BufWriter::new(file);
    for stream in streams {
        let rows = stream
            .iter()
            .map(|text| json!([text.text, text.reading.probabilities]));
        writeln!(file, "{}", Value::Array(rows.collect()))?;
    }
    Ok(file.flush()?)
}
