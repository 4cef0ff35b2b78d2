//! How many messages of a changed feed pass until the alarm.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use rayon::prelude::*;
use serde_json::{Value, json};
use tidewatch::drift::baseline::Baseline;
use tidewatch::drift::detector::examine;
use tidewatch::drift::null::NullSettings;
use tidewatch::drift::reading::Reading;
use tidewatch::drift::rule::{Change, Rule, Watch};

use super::BUDGET;
use super::prepared::Prepared;
use super::readings::Scored;
use super::streams::{MESSAGES, Scenario, Streams, draw};

/// Messages in a window.
const SIZES: [usize; 2] = [200, 1_000];

/// Lets the detector watch the streams, and writes them into the folder for the other tools: reference.jsonl, before.jsonl
/// and a file for each scenario.
pub fn study(prepared: &Prepared, out: &Path, quick: bool) -> anyhow::Result<Value> {
    let repetitions = if quick { 2 } else { 20 };
    let held_out: Vec<&Scored> = prepared.held_out.iter().collect();
    let baseline = prepared
        .model
        .baseline(&held_out, &NullSettings::default())?;
    let folder = out.join("streams");
    std::fs::create_dir_all(&folder)?;
    export(
        &folder.join("reference.jsonl"),
        [prepared.held_out.as_slice()],
    )?;
    let streams: Vec<Streams> = (0..repetitions)
        .map(|number| draw(prepared, number))
        .collect();
    let before = streams.iter().map(|streams| streams.before.as_slice());
    export(&folder.join("before.jsonl"), before)?;
    let mut scenarios = Vec::new();
    let mut unchanged = Vec::new();
    for size in SIZES {
        let alarms = streams.par_iter().map(|streams| {
            let mut watch = Watch::default();
            watched(&baseline, &streams.before, size, &mut watch).len()
        });
        let windows = streams.len() * (MESSAGES / size);
        unchanged.push(json!({"size": size, "windows": windows, "alarms": alarms.sum::<usize>()}));
    }
    for (place, scenario) in Scenario::ALL.into_iter().enumerate() {
        let after = || {
            streams
                .iter()
                .map(|streams| streams.after[place].as_slice())
        };
        export(&folder.join(format!("{}.jsonl", scenario.name())), after())?;
        let sizes = SIZES.map(|size| {
            let delay = |streams: &Streams| delay(&baseline, streams, place, size);
            let delays: Vec<Option<usize>> = streams.par_iter().map(delay).collect();
            json!({"size": size, "delays": delays})
        });
        let all: Vec<Scored> = after().flatten().cloned().collect();
        scenarios.push(json!({
            "name": scenario.name(), "messages": all.len() / streams.len(), "sizes": sizes,
            "negative": share(&all, |text| text.truth == Some(0)),
            "right": share(&all, |text| text.truth == Some(text.reading.label)),
        }));
        eprintln!("drift_study: {}", scenario.name());
    }
    Ok(json!({
        "reference": prepared.held_out.len(), "repetitions": repetitions, "unchanged": unchanged, "scenarios": scenarios,
        "negative": share(&prepared.held_out, |text| text.truth == Some(0)),
        "right": share(&prepared.held_out, |text| text.truth == Some(text.reading.label)),
    }))
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
        let readings: Vec<Reading> = window.iter().map(|text| text.reading.clone()).collect();
        if watch.observe(&rule, examine(&readings, baseline).p).1 == Change::Opened {
            *watch = Watch::default();
            alarms.push(number);
        }
    }
    alarms
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
