//! `tidewatch migrate`.

use clap::Args;

use super::exit::End;

/// Bring the database's schema up to date
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {}

pub(super) fn run(_args: MigrateArgs) -> anyhow::Result<End> {
    anyhow::bail!("not there yet")
}
