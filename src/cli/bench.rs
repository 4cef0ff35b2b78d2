//! `tidewatch bench`.

use clap::Args;

use super::exit::End;

/// Measure end-to-end throughput beside that of the bare session
#[derive(Debug, Args)]
pub(super) struct BenchArgs {}

pub(super) fn run(_args: BenchArgs) -> anyhow::Result<End> {
    anyhow::bail!("not there yet")
}
