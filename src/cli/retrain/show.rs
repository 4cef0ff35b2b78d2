//! `tidewatch retrain show`.

use std::io::{IsTerminal, Write};

use clap::Args;
use serde_json::Value;

use super::list::describe;
use crate::cli::ConfigArgs;
use crate::cli::exit::{BadInput, End};
use crate::cli::model::compare::page;
use crate::cli::model::registry::with_store;
use crate::compare::Compared;
use crate::http;

/// Show a training, and what the gate has compared of its candidate
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Its number, as `tidewatch retrain list` shows it
    run: i64,
    /// Everything, as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ShowArgs) -> anyhow::Result<End> {
    let id = args.run;
    let (run, gate) = with_store(&args.config, async |_, store| {
        Ok((store.training(id).await?, store.gate_of(id).await?))
    })?;
    let Some(run) = run else {
        return Err(BadInput::from(format!(
            "there is no training {id}: `tidewatch retrain list` shows which there are"
        )));
    };
    let stdout = std::io::stdout();
    let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut out = stdout.lock();
    if args.json {
        let mut shown = http::training(&run);
        shown["gate"] = gate.unwrap_or_default();
        writeln!(out, "{shown}")?;
        return Ok(End::Done);
    }
    writeln!(out, "{}", describe(&run))?;
    for line in gate
        .as_ref()
        .map_or_else(Vec::new, |gate| compared(gate, colour))
    {
        writeln!(out, "{line}")?;
    }
    Ok(End::Done)
}

/// The table of what was compared; where nothing was, why not.
fn compared(gate: &Value, colour: bool) -> Vec<String> {
    if let Ok(compared) = serde_json::from_value::<Compared>(gate.clone()) {
        return page::lines(&compared, colour);
    }
    let reasons = gate["reasons"].as_array().into_iter().flatten();
    reasons
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
