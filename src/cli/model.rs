//! `tidewatch model`.

use clap::Subcommand;

use super::exit::End;

/// Look at a model bundle
#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {}

pub(super) fn run(command: ModelCommand) -> anyhow::Result<End> {
    match command {}
}
