//! `tidewatch retrain`.

mod decisions;
mod list;
mod progress;
mod request;
mod run;
mod show;

use clap::Subcommand;

use super::exit::End;

/// Train a model anew on labelled messages
#[derive(Debug, Subcommand)]
pub(super) enum RetrainCommand {
    Run(run::RunArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Request(request::RequestArgs),
    Decisions(decisions::DecisionsArgs),
}

pub(super) fn run(command: RetrainCommand) -> anyhow::Result<End> {
    match command {
        RetrainCommand::Run(args) => run::run(&args),
        RetrainCommand::List(args) => list::run(&args),
        RetrainCommand::Show(args) => show::run(&args),
        RetrainCommand::Request(args) => request::run(&args),
        RetrainCommand::Decisions(args) => decisions::run(&args),
    }
}
