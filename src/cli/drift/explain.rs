//! `tidewatch drift explain`.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::window;
use crate::cli::ConfigArgs;
use crate::cli::exit::{BadInput, End};
use crate::cli::model::log_sparingly;
use crate::model::manifest::Bundle;
use crate::store::{PastReport, Store};

/// Words and groups that are named.
const NAMED: usize = 12;

/// Explain an alarm: what moved, in whose messages, what it means and what to do
///
/// With --window, says of any window what its statistics were, what labels say of it, and which words it uses otherwise than the
/// baseline.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The report's id, as in v_drift_reports [default: the latest alarm]
    id: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// A window's number instead of an alarm, as in v_drift_windows
    #[arg(long, value_name = "N", conflicts_with_all = ["id", "json"])]
    window: Option<i64>,
    /// The whole report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: ExplainArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log_sparingly();
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(number) = args.window {
        let found = runtime.block_on(async {
            let store = Store::connect(&config.postgres).await?;
            store.require_schema().await?;
            store.past_counts(number).await
        })?;
        let Some(found) = found else {
            return Err(BadInput::from(format!(
                "there is no window {number}; `SELECT number FROM v_drift_windows` lists them"
            )));
        };
        let bundle = Bundle::open(&config.model.path).ok();
        let lines = window::words(&found, bundle.as_ref());
        writeln!(std::io::stdout(), "{}", lines.join("\n"))?;
        return Ok(End::Done);
    }
    let found = runtime.block_on(async {
        let store = Store::connect(&config.postgres).await?;
        store.require_schema().await?;
        store.past_report(args.id.as_deref()).await
    })?;
    let Some(found) = found else {
        return match args.id {
            Some(id) => Err(BadInput::from(format!(
                "there is no report {id}; `SELECT id FROM v_drift_reports` lists them"
            ))),
            None => {
                eprintln!("tidewatch: no alarm has been opened yet");
                Ok(End::Done)
            }
        };
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", found.report)?;
    } else {
        out.write_all(words(&found).as_bytes())?;
    }
    Ok(End::Done)
}

/// A report for a person.
fn words(found: &PastReport) -> String {
    let report = &found.report;
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let share = |value: &Value| format!("{:.1} %", 100.0 * value.as_f64().unwrap_or(0.0));
    let mut lines = vec![match report["start"].as_str() {
        Some(start) => format!(
            "{} {}: window {}, {start} to {}; since {}",
            found.id,
            found.change,
            report["window"],
            text(&report["end"]),
            text(&report["since"])
        ),
        None => format!(
            "{} {}: since {}",
            found.id,
            found.change,
            text(&report["since"])
        ),
    }];
    if report["messages"].is_number() {
        lines.push(format!(
            "model {}, {} messages, {} of them distinct, p = {:.1e}, foremost: {}",
            found.model,
            report["messages"],
            report["distinct"],
            report["p"].as_f64().unwrap_or(1.0),
            text(&report["foremost"])
        ));
    } else {
        lines.push(format!("model {}, by what labels say", found.model));
    }
    let alarm = &report["alarm"];
    if alarm.is_object() {
        lines.push(format!(
            "severity {}, proposed: {}. {}",
            text(&alarm["severity"]),
            text(&alarm["remedy"]).replace('_', " "),
            text(&alarm["reason"])
        ));
    }
    for (name, accuracy) in [
        ("estimated accuracy now", &report["estimates"]["accuracy"]),
        (
            "by labels since then right",
            &report["measured"]["accuracy"],
        ),
        ("in the baseline right", &report["baseline"]),
    ] {
        if accuracy.is_object() {
            lines.push(format!(
                "{name}: {} of {} ({} to {})",
                share(&accuracy["value"]),
                accuracy["messages"],
                share(&accuracy["low"]),
                share(&accuracy["high"])
            ));
        }
    }
    if let Some(classes) = report["classes"].as_object() {
        let shares: Vec<String> = classes
            .iter()
            .map(|(label, now)| format!("{label} {}", share(now)))
            .collect();
        lines.push(format!("predicted: {}", shares.join(", ")));
    }
    let explanation = &alarm["explanation"];
    if let Some(shares) = report["estimates"]["shift"]["shares"].as_array() {
        let corrected: Vec<String> = shares.iter().map(share).collect();
        lines.push(format!(
            "corrected for what the model mistakes, in the same order: {}",
            corrected.join(", ")
        ));
    }
    match &explanation["scope"] {
        Value::Null => {}
        Value::String(all) => lines.push(format!("carried by: {all} sources and subjects")),
        named => lines.push(format!("carried by: {named}")),
    }
    let groups = explanation["groups"].as_array().into_iter().flatten();
    for part in groups.filter(|part| part["fall"].is_number()).take(NAMED) {
        lines.push(format!(
            "  {} {}: {} of the messages; without it the distance falls by {:.1} of {:.1}",
            text(&part["group"]["kind"]),
            part["group"]["name"],
            share(&part["share"]),
            part["fall"].as_f64().unwrap_or(0.0),
            explanation["distance"].as_f64().unwrap_or(0.0)
        ));
    }
    for moved in explanation["tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .take(NAMED)
    {
        lines.push(format!(
            "  {:>14}  {:>6} times, {:>8.1} expected   {}",
            text(&moved["text"]),
            moved["count"].to_string(),
            moved["expected"].as_f64().unwrap_or(0.0),
            moved["examples"][0]["text"]
                .as_str()
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        ));
    }
    lines.join("\n") + "\n"
}
