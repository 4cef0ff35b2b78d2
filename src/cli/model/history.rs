//! `tidewatch model history`.

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::derived;
use super::registry::{short, time, with_store};
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::model::manifest::Manifest;
use crate::registry::resolve;
use crate::store::Deployment;

/// Show what was done with models, the latest first: imports, promotions, roll-backs, removals
///
/// Of one model, where it is named, with what it was trained or derived from.
#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// A version, its first digits (six at least), or an alias
    #[arg(value_name = "VERSION")]
    model: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// How many
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// A JSON line for each
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &HistoryArgs) -> anyhow::Result<End> {
    let (history, lineage, derived) = with_store(&args.config, async |_, store| {
        let version = match &args.model {
            Some(name) => Some(resolve(&store, name).await?),
            None => None,
        };
        let history = store.history(version.as_deref(), args.limit).await?;
        let lineage = match &version {
            Some(version) => store.lineage(version).await?,
            None => Vec::new(),
        };
        let imported = match &version {
            Some(version) => store.registered(version).await?,
            None => None,
        }
        .and_then(|model| model.imported);
        let manifest: Option<Manifest> =
            imported.and_then(|imported| serde_json::from_value(imported.manifest).ok());
        let derived = manifest.as_ref().map(derived::lines).unwrap_or_default();
        Ok((history, lineage, derived))
    })?;
    let mut out = std::io::stdout().lock();
    if !lineage.is_empty() && !args.json {
        let ancestors: Vec<&str> = lineage.iter().map(|version| short(version)).collect();
        writeln!(out, "comes from {}", ancestors.join(", which comes from "))?;
    }
    for line in derived.iter().filter(|_| !args.json) {
        writeln!(out, "{line}")?;
    }
    for deployment in &history {
        if args.json {
            let line = json!({
                "number": deployment.number, "at": deployment.at, "what": deployment.what, "alias": deployment.alias,
                "version": deployment.version, "before": deployment.before, "by": deployment.by,
                "reason": deployment.reason, "detail": deployment.detail,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", describe(deployment))?;
        }
    }
    if history.is_empty() && !args.json {
        writeln!(out, "nothing was done yet")?;
    }
    Ok(End::Done)
}

fn describe(deployment: &Deployment) -> String {
    let model = short(&deployment.version);
    let before = deployment.before.as_deref().map(short);
    let what = match (deployment.what.as_str(), before) {
        ("import", _) => format!("{model} imported"),
        ("promote", None) => format!("{model} made champion"),
        ("promote", Some(before)) => format!("{model} made champion, before {before}"),
        ("rollback", before) => format!(
            "rolled back to {model}, from {}",
            before.unwrap_or("nothing")
        ),
        ("remove", _) => format!("{model} removed"),
        ("unalias", _) => format!(
            "{model} no longer {}",
            deployment.alias.as_deref().unwrap_or_default()
        ),
        (_, _) => format!(
            "{model} made {}",
            deployment.alias.as_deref().unwrap_or_default()
        ),
    };
    format!(
        "{}  {what}, by {}: {}",
        time(deployment.at),
        deployment.by,
        deployment.reason
    )
}
