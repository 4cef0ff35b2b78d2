//! `tidewatch model show`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{derived, model_folder};
use crate::cli::exit::{BadInput, End};
use crate::model::manifest::{Bundle, DataFile, Metric};
use crate::record::Problem;

/// Show what a model bundle says of itself
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The bundle's folder [default: models/default here or in the clone]
    dir: Option<PathBuf>,
    /// As one JSON object: the manifest, with the bundle's version, folder and file sizes
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: ShowArgs) -> anyhow::Result<End> {
    let bundle = Bundle::open(model_folder(args.dir)).map_err(BadInput::from)?;
    let text = if args.json {
        let bytes: BTreeMap<&String, u64> = bundle
            .manifest
            .files
            .keys()
            .map(|name| (name, size(&bundle, name)))
            .collect();
        let object = json!({
            "version": bundle.version,
            "folder": bundle.dir,
            "bytes": bytes,
            "manifest": bundle.manifest,
        });
        format!("{object:#}\n")
    } else {
        table(&bundle)
    };
    // Whoever pages through it may leave before the end.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(End::Done)
}

fn size(bundle: &Bundle, name: &str) -> u64 {
    std::fs::metadata(bundle.file(name)).map_or(0, |file| file.len())
}

fn table(bundle: &Bundle) -> String {
    let manifest = &bundle.manifest;
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<13} {value}");
    };
    row("name", &manifest.name);
    row("version", &bundle.version);
    row("folder", &bundle.dir.display().to_string());
    let problem = match manifest.problem {
        Problem::SingleLabel => "one of",
        Problem::MultiLabel => "any of",
    };
    row(
        "labels",
        &format!("{problem} {}", manifest.labels.join(", ")),
    );
    row("most tokens", &manifest.max_tokens.to_string());
    row("temperature", &format!("{:.4}", manifest.temperature));
    row("parent", manifest.parent.as_deref().unwrap_or("none"));
    for (index, line) in derived::lines(manifest).iter().enumerate() {
        row(heading(index, "derived"), line);
    }
    row(
        "written by",
        &format!("tidewatch {}", manifest.code_version),
    );
    for (index, (name, metric)) in manifest.metrics.iter().enumerate() {
        row(
            heading(index, "metrics"),
            &format!("{name:<24} {}", value(metric)),
        );
    }
    for (index, file) in manifest.data.iter().enumerate() {
        row(heading(index, "data"), &data(file));
    }
    for (index, name) in manifest.files.keys().enumerate() {
        let megabytes = size(bundle, name) as f64 / 1e6;
        row(
            heading(index, "files"),
            &format!("{name:<24} {megabytes:>9.3} MB"),
        );
    }
    for (index, (what, licence)) in manifest.licences.iter().enumerate() {
        row(heading(index, "licences"), &format!("{what:<24} {licence}"));
    }
    out
}

/// A group's name stands beside its first row only.
fn heading(index: usize, name: &str) -> &str {
    if index == 0 { name } else { "" }
}

fn value(metric: &Metric) -> String {
    match metric.interval {
        Some((low, high)) => format!("{:.4}  ({low:.4} to {high:.4})", metric.value),
        None => format!("{:.4}", metric.value),
    }
}

fn data(file: &DataFile) -> String {
    let span = file.span.map_or_else(String::new, |(first, last)| {
        format!(
            "  {} to {}",
            first.format("%Y-%m-%d"),
            last.format("%Y-%m-%d")
        )
    });
    format!(
        "{:<10} {:>7} from {}{span}",
        file.role, file.examples, file.name
    )
}
