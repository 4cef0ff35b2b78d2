//! `tidewatch model gc`.

use std::io::Write;

use clap::Args;

use super::registry::{WhyArgs, megabytes, short, with_registry};
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::registry::Sweep;

/// Remove bundles that nothing refers to any more
///
/// Kept is what has an alias, what was promoted last (--keep), what was imported lately (--days), and what an instance has had
/// loaded within the last day. What a dead import has left half done is removed after a day. The models stay in the history,
/// and a bundle that was removed can be imported again.
///
/// Exit codes: 0 all is well; 1 a bundle that must be there is not whole, or nothing could be done.
#[derive(Debug, Args)]
pub(in crate::cli) struct GcArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Keep so many of the models that were promoted last
    #[arg(long, value_name = "N", default_value = "5")]
    keep: u32,
    /// Keep what was imported within so many days
    #[arg(long, value_name = "D", default_value = "30")]
    days: u32,
    #[command(flatten)]
    why: WhyArgs,
}

pub(super) fn run(args: &GcArgs) -> anyhow::Result<End> {
    let sweep = Sweep {
        keep: args.keep,
        days: args.days,
        look_only: args.dry_run,
    };
    let (swept, address) = with_registry(&args.config, async |registry, _| {
        let swept = registry.sweep(&sweep, &args.why.change()).await?;
        Ok((swept, registry.address()))
    })?;
    let mut out = std::io::stdout().lock();
    let done = if args.dry_run {
        "would be removed"
    } else {
        "removed"
    };
    for model in &swept.unreferenced {
        writeln!(
            out,
            "{}  {}  {done}",
            short(&model.version),
            megabytes(model.bytes)
        )?;
    }
    for name in &swept.remains {
        writeln!(out, "{}  half done  {done}", short(name))?;
    }
    for name in &swept.unknown {
        writeln!(
            out,
            "{}  stays: it is whole, and this database does not know it",
            short(name)
        )?;
    }
    for name in &swept.missing {
        writeln!(
            out,
            "{}  is NOT whole in {address}: import it again",
            short(name)
        )?;
    }
    eprintln!(
        "tidewatch: {} {} in {address}",
        megabytes(swept.bytes),
        if args.dry_run {
            "would be freed"
        } else {
            "freed"
        }
    );
    Ok(if swept.missing.is_empty() {
        End::Done
    } else {
        End::Failed
    })
}
