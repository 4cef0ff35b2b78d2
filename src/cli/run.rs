//! `tidewatch run`.

use clap::Args;

use super::exit::End;

/// Run the service until SIGTERM or Ctrl-C, then drain
#[derive(Debug, Args)]
pub(super) struct RunArgs {}

pub(super) fn run(_args: RunArgs) -> anyhow::Result<End> {
    anyhow::bail!("not there yet")
}
