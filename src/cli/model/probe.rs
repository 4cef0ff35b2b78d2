//! `tidewatch model probe`: what an import starts to try a bundle.

use clap::Args;

use super::log_sparingly;
use crate::cli::exit::{BadInput, End};
use crate::registry::trial::{Finding, Trial};

/// Load a bundle, score a few texts, and say in one JSON line how that went: for `tidewatch model import`
#[derive(Debug, Args)]
pub(in crate::cli) struct ProbeArgs {
    /// What to try, as JSON
    trial: String,
}

pub(super) fn run(args: &ProbeArgs) -> anyhow::Result<End> {
    log_sparingly();
    let trial: Trial = serde_json::from_str(&args.trial).map_err(BadInput::from)?;
    let finding = trial.run();
    println!("{}", serde_json::to_string(&finding)?);
    Ok(match finding {
        Finding::Passed(_) => End::Done,
        Finding::Failed(_) => End::Failed,
    })
}
