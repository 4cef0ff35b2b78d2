//! `tidewatch drift show`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::window;
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::cli::model::log_sparingly;
use crate::drift::rule::{Rule, Verdict};
use crate::drift::timeline::{Legend, Point, svg, terminal};
use crate::store::{PastWindow, Store};

/// Columns of the picture.
const WIDTH: usize = 100;
/// Windows of which it is said what labels say, the latest first.
const SAID: usize = 5;

/// Show what the watch over the feed has found lately
///
/// Draws the latest windows of the live feed, out of Postgres: how far each was from the model's baseline, the shares of the
/// predicted labels, the alarms, the sources of the latest window, and what labels given by people say of the latest windows that have some.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How many windows
    #[arg(long, value_name = "N", default_value = "200")]
    limit: u32,
    /// A JSON line for each window
    #[arg(long)]
    json: bool,
    /// Write the timeline as a picture, too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(super) fn run(args: ShowArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log_sparingly();
    let runtime = tokio::runtime::Runtime::new()?;
    let windows = runtime.block_on(async {
        let store = Store::connect(&config.postgres).await?;
        store.require_schema().await?;
        store.past_windows(args.limit).await
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for window in &windows {
            let mut line = json!({
                "model": window.model, "window": window.number, "start": window.started, "end": window.ended,
            });
            if let (Some(line), Some(detail)) = (line.as_object_mut(), window.detail.as_object()) {
                line.extend(detail.clone());
                line.insert("messages".to_owned(), json!(window.messages));
                line.insert("verdict".to_owned(), json!(window.verdict));
                line.insert("labels".to_owned(), labels_of(window));
            }
            writeln!(out, "{line}")?;
        }
        return Ok(End::Done);
    }
    let labels = labels(&windows);
    let points: Vec<Point> = windows
        .iter()
        .map(|window| point(window, &labels))
        .collect();
    let legend = Legend {
        title: "Drift of the live feed",
        labels: &labels,
        alarm: Rule::for_budget(config.drift.windows_per_false_alarm).single,
    };
    if let Some(path) = args.svg {
        std::fs::write(&path, svg::draw(&points, &legend))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let colour = std::io::stdout().is_terminal();
    for line in terminal::draw(&points, &legend, WIDTH, colour) {
        writeln!(out, "{line}")?;
    }
    if let Some(line) = windows.last().and_then(window::sources) {
        writeln!(out, "{line}")?;
    }
    for line in windows.iter().rev().filter_map(window::labels).take(SAID) {
        writeln!(out, "{line}")?;
    }
    if let Some(reason) = windows
        .last()
        .and_then(|window| window.detail["reason"].as_str())
    {
        writeln!(out, "{reason}")?;
    }
    Ok(End::Done)
}

/// What labels say of a window, for programs; null without any.
fn labels_of(window: &PastWindow) -> Value {
    match window.labelled {
        0 => Value::Null,
        labelled => json!({
            "labelled": labelled, "correct": window.correct, "low": window.accuracy_low, "high": window.accuracy_high,
            "agreement": window.agreement,
        }),
    }
}

/// The labels of the latest window that was compared.
fn labels(windows: &[PastWindow]) -> Vec<String> {
    let classes = windows
        .iter()
        .rev()
        .find_map(|window| window.detail["classes"].as_object());
    classes.map_or_else(Vec::new, |classes| classes.keys().cloned().collect())
}

fn point(window: &PastWindow, labels: &[String]) -> Point {
    let share = |label: &String| window.detail["classes"][label].as_f64().unwrap_or(0.0);
    Point {
        start: window.started.timestamp_millis(),
        end: window.ended.timestamp_millis(),
        messages: window.messages.unsigned_abs(),
        p: window.p,
        verdict: Verdict::named(&window.verdict),
        shares: labels.iter().map(share).collect(),
        alarm_opened: window.detail["change"] == "opened",
    }
}
