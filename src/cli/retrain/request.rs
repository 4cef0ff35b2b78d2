//! `tidewatch retrain request`.

use clap::Args;

use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::cli::model::registry::with_store;

/// Ask the running service for a training
///
/// The instance that has the duty decides within seconds: it trains, judges the candidate and rolls it out, or says why not
/// (`tidewatch retrain decisions`). Unlike `tidewatch retrain run`, which trains here and now and leaves the rest to you.
#[derive(Debug, Args)]
pub(in crate::cli) struct RequestArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Neither the cool-down nor the pause after failures shall stop it; the day's budgets still do
    #[arg(long)]
    force: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Who asks, for the record
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    by: String,
}

pub(super) fn run(args: &RequestArgs) -> anyhow::Result<End> {
    let id = with_store(&args.config, async |_, store| {
        let asked = store.request_training(&args.by, &args.reason, args.force);
        Ok(asked.await?)
    })?;
    println!("request {id}: `tidewatch retrain decisions` tells what is decided");
    Ok(End::Done)
}
