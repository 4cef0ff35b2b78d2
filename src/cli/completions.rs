//! `tidewatch completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::exit::End;

/// Print the completions of a shell: tidewatch completions bash > /etc/bash_completion.d/tidewatch
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    shell: Shell,
}

pub(super) fn run(args: CompletionsArgs) -> anyhow::Result<End> {
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "tidewatch",
        &mut std::io::stdout(),
    );
    Ok(End::Done)
}
