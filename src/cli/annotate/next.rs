//! `tidewatch annotate next`.

use std::io::Write;

use clap::Args;

use super::{AnnotatorArgs, describe, open};
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::http::shown;

/// Take messages to label, which nobody else is given for a while
///
/// What was taken before and neither labelled nor skipped comes again.
#[derive(Debug, Args)]
pub(in crate::cli) struct NextArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    annotator: AnnotatorArgs,
    /// How many
    #[arg(long, value_name = "N", default_value = "10")]
    limit: u32,
    /// A JSON line for each message
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &NextArgs) -> anyhow::Result<End> {
    let runtime = tokio::runtime::Runtime::new()?;
    let given = runtime.block_on(async {
        let (config, store) = open(&args.config).await?;
        let minutes = config.annotate.claim_minutes;
        let claiming = store.claim_annotations(&args.annotator.name, args.limit, minutes);
        anyhow::Ok(claiming.await?)
    })?;
    let mut out = std::io::stdout().lock();
    for asked in &given {
        if args.json {
            writeln!(out, "{}", shown(asked))?;
        } else {
            writeln!(out, "{}", describe(asked))?;
        }
    }
    if given.is_empty() && !args.json {
        writeln!(out, "there are no messages to label")?;
    }
    Ok(End::Done)
}
