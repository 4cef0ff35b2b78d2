//! `tidewatch drift`.

mod explain;
pub(super) mod past;
pub(super) mod posts;
mod replay;
pub(super) mod scored;
mod show;
mod window;

use clap::Subcommand;

use super::exit::End;

/// See whether the feed has changed
#[derive(Debug, Subcommand)]
pub(super) enum DriftCommand {
    Show(show::ShowArgs),
    Explain(explain::ExplainArgs),
    Replay(Box<replay::ReplayArgs>),
}

pub(super) fn run(command: DriftCommand) -> anyhow::Result<End> {
    match command {
        DriftCommand::Show(args) => show::run(args),
        DriftCommand::Explain(args) => explain::run(args),
        DriftCommand::Replay(args) => replay::run(*args),
    }
}
