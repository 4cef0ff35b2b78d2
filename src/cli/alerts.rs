//! `tidewatch alerts`.

mod ack;
mod list;
mod replay;
mod test;

use clap::Subcommand;

use super::exit::End;

/// See, acknowledge and try out alerts on sentiment
#[derive(Debug, Subcommand)]
pub(super) enum AlertsCommand {
    List(list::ListArgs),
    Ack(ack::AckArgs),
    Replay(Box<replay::ReplayArgs>),
    Test(test::TestArgs),
}

pub(super) fn run(command: AlertsCommand) -> anyhow::Result<End> {
    match command {
        AlertsCommand::List(args) => list::run(&args),
        AlertsCommand::Ack(args) => ack::run(&args),
        AlertsCommand::Replay(args) => replay::run(*args),
        AlertsCommand::Test(args) => test::run(&args),
    }
}
