//! `tidewatch model recalibrate`.

use clap::Args;

use super::derived::{RemedyArgs, days_ago};
use crate::cli::exit::End;
use crate::remedy::recalibration;

const EXAMPLES: &str = "Examples:
  tidewatch model recalibrate --dry-run --config my.toml
  tidewatch model recalibrate champion --days 14 --config my.toml

Exit codes: 0 there is a recalibrated model, or would be; 2 the command line or the config cannot be used; 3 it is refused, and the
sentence says why; 1 something does not answer.";

/// Fit a model's temperature anew on labelled messages, without training
///
/// It takes messages that were chosen for labelling by chance, or with a chance that is recorded, which weighs them; what the model
/// said of them is in Postgres, and only where that does not suffice are texts scored. What is made is a model of its own in the
/// registry, with the same files, derived from the one that was trained; it does not serve by that. It is refused where messages
/// get no likelier by a temperature that was fitted on others.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct RecalibrateArgs {
    #[command(flatten)]
    remedy: RemedyArgs,
    /// Labelled messages of the last so many days
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Fewest labelled messages (their effective number, where they weigh differently)
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u32).range(20..))]
    labels: u32,
}

pub(super) fn run(args: &RecalibrateArgs) -> anyhow::Result<End> {
    args.remedy.run(async |setting, version| {
        recalibration(setting, version, days_ago(args.days), args.labels).await
    })
}
