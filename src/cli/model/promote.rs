//! `tidewatch model promote` and `rollback`.

use clap::Args;

use super::registry::{WhyArgs, short, with_registry};
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::registry::resolve;

const EXAMPLES: &str = "Examples:
  tidewatch model promote candidate --config my.toml --reason 'passed the gate'
  tidewatch model promote 5c5e5182 --config my.toml";

/// Make a model the champion: the one that serves
///
/// Its bundle is verified once more. The champion until then becomes the previous one, to which `tidewatch model rollback`
/// returns. Of two promotions at the same time one is refused.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct PromoteArgs {
    /// A version, its first digits (six at least), or an alias: candidate, shadow, previous
    #[arg(value_name = "VERSION")]
    model: String,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    why: WhyArgs,
}

/// Make the previous champion the champion again
///
/// The bundle is verified once more, and the champion until then becomes the previous one: doing it twice changes nothing in
/// the end.
#[derive(Debug, Args)]
pub(in crate::cli) struct RollbackArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    why: WhyArgs,
}

pub(super) fn promote(args: &PromoteArgs) -> anyhow::Result<End> {
    let promoted = with_registry(&args.config, async |registry, store| {
        let champion = registry.champion().await?;
        let version = resolve(&store, &args.model).await?;
        let changed = registry
            .promote(&version, champion.as_deref(), &args.why.change())
            .await?;
        Ok((version, champion, changed))
    });
    let (version, champion, changed) = promoted?;
    println!("{version}");
    match champion {
        _ if !changed => eprintln!("tidewatch: {} is the champion already", short(&version)),
        None => eprintln!(
            "tidewatch: {} is the champion, the first one",
            short(&version)
        ),
        Some(champion) => eprintln!(
            "tidewatch: {} is the champion, {} the previous one",
            short(&version),
            short(&champion)
        ),
    }
    Ok(End::Done)
}

pub(super) fn rollback(args: &RollbackArgs) -> anyhow::Result<End> {
    let rolled = with_registry(&args.config, async |registry, _| {
        let champion = registry.champion().await?;
        let version = registry
            .rollback(champion.as_deref(), &args.why.change())
            .await?;
        Ok((version, champion))
    });
    let (version, champion) = rolled?;
    println!("{version}");
    eprintln!(
        "tidewatch: {} is the champion again, {} the previous one",
        short(&version),
        short(champion.as_deref().unwrap_or("nobody"))
    );
    Ok(End::Done)
}
