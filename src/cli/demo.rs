//! `tidewatch demo`.

use clap::Args;

use super::exit::End;

/// Show the whole service at work on this machine
#[derive(Debug, Args)]
pub(super) struct DemoArgs {}

pub(super) fn run(_args: DemoArgs) -> anyhow::Result<End> {
    anyhow::bail!("not there yet")
}
