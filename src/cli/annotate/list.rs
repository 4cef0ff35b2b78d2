//! `tidewatch annotate list`.

use std::io::Write;

use clap::Args;

use super::{describe, open};
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::http::shown;

/// List messages that were picked to be labelled, the latest first
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Those that are labelled or skipped, too
    #[arg(long)]
    all: bool,
    /// How many
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// A JSON line for each message
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<End> {
    let runtime = tokio::runtime::Runtime::new()?;
    let listed = runtime.block_on(async {
        let (_, store) = open(&args.config).await?;
        anyhow::Ok(store.annotations(!args.all, args.limit).await?)
    })?;
    let mut out = std::io::stdout().lock();
    for asked in &listed {
        if args.json {
            writeln!(out, "{}", shown(asked))?;
        } else {
            writeln!(out, "{}", describe(asked))?;
        }
    }
    if listed.is_empty() && !args.json {
        writeln!(out, "there are no messages to label")?;
    }
    Ok(End::Done)
}
