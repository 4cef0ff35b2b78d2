//! `tidewatch annotate estimate`.

use std::collections::BTreeMap;
use std::io::Write;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;

use super::open;
use crate::annotate::estimate::{Estimate, Estimates, Labelled, estimate};
use crate::cli::exit::End;
use crate::cli::{ConfigArgs, time};
use crate::store::PickedLabel;

/// Most labelled messages that are reckoned with, the latest ones.
const MOST: u32 = 1_000_000;

/// Estimate how good the model is on all messages, from labels of those that were picked
///
/// Each label counts with the inverse of the probability with which its message was picked.
#[derive(Debug, Args)]
pub(in crate::cli) struct EstimateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only messages of this model, by the beginning of its version
    #[arg(long, value_name = "VERSION")]
    model: Option<String>,
    /// Only messages written since then: a time, or so long ago (7d)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    from: Option<DateTime<Utc>>,
    /// Only messages written before
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    to: Option<DateTime<Utc>>,
    /// A JSON line for each model
    #[arg(long)]
    json: bool,
}

/// A model by its version and its labels.
type Model = (String, Vec<String>);

pub(super) fn run(args: &EstimateArgs) -> anyhow::Result<End> {
    let runtime = tokio::runtime::Runtime::new()?;
    let rows = runtime.block_on(async {
        let (_, store) = open(&args.config).await?;
        anyhow::Ok(store.picked_labels(args.from, args.to, MOST).await?)
    })?;
    let wanted = |row: &PickedLabel| {
        let model = args.model.as_deref();
        model.is_none_or(|model| row.model.starts_with(model))
    };
    let mut out = std::io::stdout().lock();
    let mut any = false;
    for ((model, labels), labelled) in by_model(rows.into_iter().filter(wanted)) {
        let Some(found) = estimate(&labelled, labels.len(), None) else {
            continue;
        };
        any = true;
        if args.json {
            let line = json!({ "model": model, "labels": labels, "estimates": found });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", describe(&model, &labels, &found))?;
        }
    }
    if !any && !args.json {
        writeln!(out, "no message that was picked has a label yet")?;
    }
    Ok(End::Done)
}

/// What can be reckoned with, for each model.
fn by_model(rows: impl IntoIterator<Item = PickedLabel>) -> BTreeMap<Model, Vec<Labelled>> {
    let mut models: BTreeMap<Model, Vec<Labelled>> = BTreeMap::new();
    for row in rows {
        let index = |name: &str| row.labels.iter().position(|label| label == name);
        if let (Some(truth), Some(predicted)) = (index(&row.truth), index(&row.predicted)) {
            let labelled = Labelled {
                truth,
                predicted,
                inclusion: row.inclusion,
            };
            let model = (row.model, row.labels);
            models.entry(model).or_default().push(labelled);
        }
    }
    models
}

fn describe(model: &str, labels: &[String], found: &Estimates) -> String {
    let mut lines = vec![
        format!("model {}", &model[..model.len().min(12)]),
        line("accuracy", &found.accuracy),
    ];
    for (label, recall) in labels.iter().zip(&found.recall) {
        let name = format!("recall of {label}");
        lines.push(match recall {
            Some(recall) => line(&name, recall),
            None => format!("  {name:<22} no labels"),
        });
    }
    lines.push(match &found.macro_recall {
        Some(recall) => line("macro recall", recall),
        None => format!("  {:<22} a class has no labels", "macro recall"),
    });
    lines.push(format!(
        "  right among the labels {:.1} %, uncorrected; as good as {:.0} labels by chance",
        100.0 * found.uncorrected,
        found.effective
    ));
    lines.join("\n")
}

fn line(name: &str, found: &Estimate) -> String {
    format!(
        "  {name:<22} {:5.1} %  ({:.1} to {:.1}, {} labels)",
        100.0 * found.value,
        100.0 * found.low,
        100.0 * found.high,
        found.labels
    )
}
