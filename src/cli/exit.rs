//! From errors to exit codes and one sentence on standard error.

use std::process::ExitCode;

use crate::config::ConfigError;

/// How a command ended, unless by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All is well.
    Done,
    /// The work was done, and its result does not add up.
    Failed,
    /// A candidate was compared, and must not serve.
    Unfit,
    /// A candidate was compared, and it is open whether it may serve.
    Undecided,
    /// Ctrl-C or SIGTERM before the work was done.
    Interrupted,
}

/// An input that cannot be used: exit code 2 instead of 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadInput(pub String);

impl BadInput {
    /// Wraps whatever makes an input unusable.
    pub(super) fn from(error: impl std::fmt::Display) -> anyhow::Error {
        Self(error.to_string()).into()
    }
}

/// The exit code of a command; says on standard error what went wrong.
pub(super) fn code(result: anyhow::Result<End>) -> ExitCode {
    match result {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Failed) => ExitCode::from(1),
        Ok(End::Unfit) => ExitCode::from(3),
        Ok(End::Undecided) => ExitCode::from(4),
        Ok(End::Interrupted) => ExitCode::from(130),
        // Whoever read the output has enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidewatch: {error:#}");
            let input = error.is::<ConfigError>() || error.is::<BadInput>();
            ExitCode::from(if input { 2 } else { 1 })
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}
