//! `tidewatch rollout`.

mod begin;
mod status;
mod stop;

use clap::Subcommand;

use super::exit::End;

/// Let a model score beside the champion, in shadow or for a share of the messages
#[derive(Debug, Subcommand)]
pub(super) enum RolloutCommand {
    Start(begin::StartArgs),
    Ab(begin::AbArgs),
    Status(status::StatusArgs),
    Stop(stop::StopArgs),
}

pub(super) fn run(command: RolloutCommand) -> anyhow::Result<End> {
    match command {
        RolloutCommand::Start(args) => begin::start(&args),
        RolloutCommand::Ab(args) => begin::ab(&args),
        RolloutCommand::Status(args) => status::run(&args),
        RolloutCommand::Stop(args) => stop::run(&args),
    }
}
