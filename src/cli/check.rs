//! `tidewatch check`.

use clap::Args;

use super::exit::End;

/// Check config, connections, topics, permissions, schema and model without consuming anything
#[derive(Debug, Args)]
pub(super) struct CheckArgs {}

pub(super) fn run(_args: CheckArgs) -> anyhow::Result<End> {
    anyhow::bail!("not there yet")
}
