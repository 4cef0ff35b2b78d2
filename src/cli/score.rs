//! `tidewatch score`.

use clap::Args;

use super::exit::End;

/// Score texts from a file or standard input, without Kafka
#[derive(Debug, Args)]
pub(super) struct ScoreArgs {}

pub(super) fn run(_args: ScoreArgs) -> anyhow::Result<End> {
    anyhow::bail!("not there yet")
}
