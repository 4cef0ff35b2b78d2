//! `tidewatch model list`.

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::derived;
use super::registry::{megabytes, short, time, with_store};
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::model::manifest::Manifest;
use crate::record::Problem;
use crate::store::{Alias, RegisteredModel, Serving};

/// List the models that were imported or have scored something, the latest first
///
/// With what each is (champion, candidate, shadow, previous), which instances have it loaded, and what it was trained or derived
/// from.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A JSON line for each model
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<End> {
    let (models, serving) = with_store(&args.config, async |_, store| {
        Ok((store.all_models().await?, store.serving_now().await?))
    })?;
    let mut out = std::io::stdout().lock();
    for model in &models {
        let serving: Vec<&Serving> = serving
            .iter()
            .filter(|serving| serving.version == model.version)
            .collect();
        if args.json {
            writeln!(out, "{}", object(model, &serving))?;
        } else {
            writeln!(out, "{}", describe(model, &serving))?;
        }
    }
    if models.is_empty() && !args.json {
        writeln!(
            out,
            "there are no models: `tidewatch model import DIR` takes one in"
        )?;
    }
    Ok(End::Done)
}

fn names(aliases: &[Alias]) -> Vec<&'static str> {
    aliases.iter().map(|alias| alias.name()).collect()
}

fn object(model: &RegisteredModel, serving: &[&Serving]) -> serde_json::Value {
    let imported = model.imported.as_ref();
    let serving: Vec<_> = serving
        .iter()
        .map(|serving| json!({"instance": serving.instance, "since": serving.since, "heard": serving.heard}))
        .collect();
    json!({
        "version": model.version,
        "aliases": names(&model.aliases),
        "name": imported.map(|imported| &imported.name),
        "labels": model.labels,
        "problem": model.problem,
        "parent": imported.and_then(|imported| imported.parent.as_ref()),
        "code_version": imported.map(|imported| &imported.code_version),
        "bytes": imported.map(|imported| imported.bytes),
        "origin": imported.map(|imported| &imported.origin),
        "imported": imported.map(|imported| imported.at),
        "imported_by": imported.map(|imported| &imported.by),
        "removed": imported.and_then(|imported| imported.removed),
        "first_seen": model.first_seen,
        "serving": serving,
        "metrics": imported.map(|imported| &imported.manifest["metrics"]),
        "adjustment": imported.map(|imported| &imported.manifest["adjustment"]),
        "ensemble": imported.map(|imported| &imported.manifest["ensemble"]),
    })
}

/// A model in a few lines.
fn describe(model: &RegisteredModel, serving: &[&Serving]) -> String {
    let mut lines = Vec::new();
    let mut first = short(&model.version).to_owned();
    if let Some(imported) = &model.imported {
        first = format!("{first}  {}  {}", imported.name, megabytes(imported.bytes));
    }
    let state = match &model.imported {
        None => Some("never imported".to_owned()),
        Some(imported) => imported
            .removed
            .map(|removed| format!("removed {}", time(removed))),
    };
    let aliases = names(&model.aliases).join(", ");
    for word in [aliases, state.unwrap_or_default()] {
        if !word.is_empty() {
            first = format!("{first}  {word}");
        }
    }
    lines.push(first);
    let labels = model.labels.join(", ");
    lines.push(match model.problem {
        Problem::SingleLabel => format!("one of {labels}"),
        Problem::MultiLabel => format!("any of {labels}"),
    });
    if let Some(imported) = &model.imported {
        lines.push(format!(
            "imported {} by {} from {}",
            time(imported.at),
            imported.by,
            imported.origin
        ));
        let manifest: Option<Manifest> = serde_json::from_value(imported.manifest.clone()).ok();
        let derived = manifest.as_ref().map(derived::lines).unwrap_or_default();
        match &imported.parent {
            Some(parent) if derived.is_empty() => {
                lines.push(format!("trained from {}", short(parent)));
            }
            _ => lines.extend(derived),
        }
    }
    if let Some(first_seen) = model.first_seen {
        lines.push(format!("has scored since {}", time(first_seen)));
    }
    for serving in serving {
        lines.push(format!(
            "loaded by {} since {}",
            serving.instance,
            time(serving.since)
        ));
    }
    lines.join("\n    ")
}
