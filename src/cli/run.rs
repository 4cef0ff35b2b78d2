//! `tidewatch run`.

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::ConfigArgs;
use super::exit::End;
use crate::app::Service;
use crate::log;

/// Run the service until SIGTERM or Ctrl-C, then drain
///
/// Nothing is consumed any more, what is under way is committed or left to be read again, and the group is left. A second
/// signal ends the process at once, which loses nothing either.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: RunArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log::start(&config.log);
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot be started")?;
    let end = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be awaited")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be awaited")?;
        let mut service = tokio::select! {
            service = Service::start(config) => service?,
            _ = terminate.recv() => return Ok(End::Done),
            _ = interrupt.recv() => return Ok(End::Done),
        };
        let ended = tokio::select! {
            ended = service.stopped() => Some(ended),
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
        };
        tracing::info!("draining");
        let drained = tokio::select! {
            drained = service.stop() => drained,
            _ = terminate.recv() => return Ok(End::Interrupted),
            _ = interrupt.recv() => return Ok(End::Interrupted),
        };
        ended.unwrap_or(Ok(()))?;
        drained?;
        tracing::info!("stopped");
        Ok(End::Done)
    });
    // A model that is still being loaded must not keep the process.
    runtime.shutdown_background();
    end
}
