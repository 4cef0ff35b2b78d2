//! `tidewatch retrain`.

mod list;
mod progress;
mod run;

use clap::Subcommand;

use super::exit::End;

/// Train a model anew on labelled messages
#[derive(Debug, Subcommand)]
pub(super) enum RetrainCommand {
    Run(run::RunArgs),
    List(list::ListArgs),
}

pub(super) fn run(command: RetrainCommand) -> anyhow::Result<End> {
    match command {
        RetrainCommand::Run(args) => run::run(&args),
        RetrainCommand::List(args) => list::run(&args),
    }
}
