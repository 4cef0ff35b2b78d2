//! `tidewatch replay`.

use clap::Args;

use super::exit::End;

/// Feed a file into a topic
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {}

pub(super) fn run(_args: ReplayArgs) -> anyhow::Result<End> {
    anyhow::bail!("not there yet")
}
