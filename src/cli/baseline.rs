//! `tidewatch baseline`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::drift::past::{Gathered, SpanArgs, gather};
use super::drift::posts::PostArgs;
use super::exit::{BadInput, End};
use super::model::{DeviceArgs, log_sparingly};
use crate::drift::dispersion::Movement;
use crate::drift::null::NullSettings;
use crate::model::manifest::BASELINE_FILE;
use crate::train::bundle;

const EXAMPLES: &str = "Examples:
  tidewatch baseline --output baseline.json held-out.jsonl
  tidewatch baseline --config my.toml --from 30d --to 1d --output baseline.json
  tidewatch baseline --bundle models/with-baseline --label-field sentiment --text-field text reviews.csv";

/// Make the baseline that live messages are compared with
///
/// Scores texts that are like those the model was calibrated on (and that it was not trained on: of those it is too sure) and
/// writes down what is normal: counts of tokens, labels, scores, and how much windows of such texts vary by chance. Texts with
/// labels given by people also tell how often the model is right. tidewatch-finetune puts one into each bundle it writes, so
/// this is for models from elsewhere and for feeds of another kind, for which a quiet month of Postgres will do (--from, --to).
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct BaselineArgs {
    #[command(flatten)]
    posts: PostArgs,
    #[command(flatten)]
    span: SpanArgs,
    /// The model bundle's folder [default: models/default here or in the clone; with --from that of the config]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Where to write the baseline, for [drift] baseline or for `drift replay --baseline`
    #[arg(long, value_name = "FILE", required_unless_present = "bundle")]
    output: Option<PathBuf>,
    /// Write a copy of the bundle that holds the baseline to this folder, which must not exist
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Resamples from which it is learnt how much windows vary
    #[arg(long, value_name = "N", default_value = "2000")]
    resamples: usize,
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(super) fn run(args: BaselineArgs) -> anyhow::Result<End> {
    log_sparingly();
    if let Some(target) = &args.bundle {
        bundle::refuse_existing(target).map_err(BadInput::from)?;
    }
    let Gathered {
        opened, readings, ..
    } = gather(&args.posts, &args.span, args.model, &args.device)?;
    let settings = NullSettings {
        resamples: args.resamples,
        seed: args.seed,
        ..NullSettings::default()
    };
    let baseline = opened
        .baseline(readings, &settings)
        .map_err(BadInput::from)?;
    if let Some(movement) = baseline.movement() {
        eprintln!("tidewatch: {}", warning(&movement));
    }
    let json = baseline.to_json()?;
    if let Some(path) = &args.output {
        std::fs::write(path, &json)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        eprintln!(
            "tidewatch: {} holds the baseline of {} messages",
            path.display(),
            baseline.messages
        );
        if let Some(labelled) = &baseline.labelled {
            let (right, all) = labelled.right();
            eprintln!(
                "tidewatch: the model was right in {right} of {all} with a label, and on average {:.1} points surer or less sure than right (ECE)",
                100.0 * labelled.ece
            );
        }
    }
    if let Some(target) = &args.bundle {
        let manifest = opened.bundle.manifest.clone();
        let mut files = BTreeMap::new();
        for name in manifest.files.keys() {
            let path = opened.bundle.file(name);
            let bytes = std::fs::read(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            files.insert(name.clone(), bytes);
        }
        files.insert(BASELINE_FILE.to_owned(), json);
        let written = bundle::write(target, manifest, &files).map_err(BadInput::from)?;
        eprintln!(
            "tidewatch: {} is version {}",
            target.display(),
            written.version
        );
    }
    Ok(End::Done)
}

/// What is said of messages that move in the course of time.
fn warning(movement: &Movement) -> String {
    format!(
        "warning: these messages move in the course of time: by {} their windows of 1,000 are {:.1} times as far from the rest as by chance. That counts as normal, so smaller changes of the feed will not be seen, not even in larger windows; a baseline of a recent stretch (--from and --to, or a file of that time only) sees more",
        movement.statistic.name(),
        movement.times
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::statistics::Statistic;

    #[test]
    fn the_warning_names_what_moves_and_what_helps() {
        let said = warning(&Movement {
            statistic: Statistic::Surprise,
            times: 2.94,
        });
        for part in ["by surprise", "2.9 times", "--from and --to"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
