//! `tidewatch rollout stop`.

use clap::Args;

use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::cli::model::registry::{WhyArgs, short, with_store};
use crate::store::RolloutOutcome;

/// End the rollout or A/B test that is under way: the champion serves everybody
///
/// All instances have followed within a second or so. What was scored in shadow stays as long as `[postgres] retention_days` says.
#[derive(Debug, Args)]
pub(in crate::cli) struct StopArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    why: WhyArgs,
}

pub(super) fn run(args: &StopArgs) -> anyhow::Result<End> {
    let stopped = with_store(&args.config, async |_, store| {
        let Some(rollout) = store.active_rollout().await? else {
            return Ok(None);
        };
        let reason = args.why.change().reason;
        let ended = store
            .end_rollout(rollout.id, RolloutOutcome::Cancelled, reason, None)
            .await?;
        Ok(ended.then_some(rollout))
    })?;
    match stopped {
        Some(rollout) => {
            println!("{}", rollout.id);
            eprintln!(
                "tidewatch: rollout {} of {} is cancelled",
                rollout.id,
                short(&rollout.candidate)
            );
        }
        None => eprintln!("tidewatch: no rollout is under way"),
    }
    Ok(End::Done)
}
