//! `tidewatch retrain decisions`.

use std::io::Write;

use chrono::Utc;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::cli::model::registry::{short, time, with_store};
use crate::controller::situation;
use crate::http;
use crate::retrain::trigger;
use crate::store::KeptDecision;

/// List the decisions on trainings, the latest first, each with its reasons
#[derive(Debug, Args)]
pub(in crate::cli) struct DecisionsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Say instead what would be decided now by the settings of this config, and write nothing
    #[arg(long)]
    now: bool,
    /// Most decisions that are listed
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with = "now")]
    limit: u32,
    /// A JSON line for each decision
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DecisionsArgs) -> anyhow::Result<End> {
    let mut out = std::io::stdout().lock();
    if args.now {
        let (decision, known) = with_store(&args.config, async |config, store| {
            let known = situation(&store, &config.retrain).await?;
            let now = Utc::now().timestamp_millis();
            Ok((trigger::decide(&config.retrain.trigger, &known, now), known))
        })?;
        if args.json {
            writeln!(out, "{}", json!({"decision": decision, "situation": known}))?;
        } else {
            writeln!(out, "{}", decision.action.as_str())?;
            for reason in &decision.reasons {
                writeln!(out, "    {reason}")?;
            }
        }
        return Ok(End::Done);
    }
    let limit = args.limit;
    let decisions = with_store(&args.config, async |_, store| {
        Ok(store.decisions(limit).await?)
    })?;
    for decision in &decisions {
        if args.json {
            writeln!(out, "{}", http::decision(decision))?;
        } else {
            writeln!(out, "{}", describe(decision))?;
        }
    }
    if decisions.is_empty() && !args.json {
        writeln!(
            out,
            "nothing was decided yet: the running service does so where there is a [registry]"
        )?;
    }
    Ok(End::Done)
}

/// A decision in a few lines.
fn describe(decision: &KeptDecision) -> String {
    let dry = if decision.dry_run { " (dry run)" } else { "" };
    let mut first = format!(
        "{}  {}{dry}  {}",
        decision.id,
        decision.action,
        time(decision.at)
    );
    if !decision.champion.is_empty() {
        first = format!("{first}  champion {}", short(&decision.champion));
    }
    let mut lines = vec![first];
    let sentences = decision.sentences.as_array().into_iter().flatten();
    lines.extend(sentences.filter_map(Value::as_str).map(str::to_owned));
    if let Some(outcome) = &decision.outcome {
        lines.push(if decision.refused {
            format!("nothing came of it: {outcome}")
        } else {
            outcome.clone()
        });
    }
    lines.join("\n    ")
}
