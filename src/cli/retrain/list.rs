//! `tidewatch retrain list`.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::cli::model::registry::{short, time, with_store};
use crate::http;
use crate::store::TrainingRun;

/// List the trainings, the latest first
///
/// A training that is said to run although nothing runs has lost its process: `tidewatch retrain run --resume RUN` goes on
/// with it.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A JSON line for each training
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<End> {
    let runs = with_store(&args.config, async |_, store| Ok(store.trainings().await?))?;
    let mut out = std::io::stdout().lock();
    for run in &runs {
        if args.json {
            writeln!(out, "{}", http::training(run))?;
        } else {
            writeln!(out, "{}", describe(run))?;
        }
    }
    if runs.is_empty() && !args.json {
        writeln!(
            out,
            "there were no trainings: `tidewatch retrain run` begins one"
        )?;
    }
    Ok(End::Done)
}

/// A training in a few lines.
pub(super) fn describe(run: &TrainingRun) -> String {
    let mut first = format!("{}  {}  {}", run.id, run.state.as_str(), time(run.started));
    if let Some(ended) = run.ended {
        first = format!("{first} to {}", time(ended));
    }
    if let Some(candidate) = &run.candidate {
        first = format!("{first}  {}", short(candidate));
    }
    if let Some(verdict) = &run.verdict {
        first = format!("{first}  gate: {verdict}");
    }
    let mut lines = vec![first];
    let reasons = run.reasons.as_array().into_iter().flatten();
    lines.extend(reasons.filter_map(Value::as_str).map(str::to_owned));
    let count = |name: &str| run.progress.get(name).and_then(Value::as_u64);
    if let (Some(step), Some(steps)) = (count("step"), count("steps")) {
        lines.push(format!("step {step} of {steps}, heard {}", time(run.heard)));
    }
    let outcome = run.outcome.as_ref();
    let said = |name: &str| outcome.and_then(|outcome| outcome.get(name));
    if let Some(reason) = said("reason").and_then(Value::as_str) {
        lines.push(reason.to_owned());
    }
    let words = said("last_words").and_then(Value::as_array);
    if let Some(last) = words.and_then(|words| words.last()?.as_str()) {
        lines.push(last.to_owned());
    }
    lines.join("\n    ")
}
