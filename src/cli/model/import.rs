//! `tidewatch model import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::registry::{WhyArgs, megabytes, short, with_registry};
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::registry::Order;
use crate::store::Alias;

const EXAMPLES: &str = "Examples:
  tidewatch model import runs/2026-11-24 --config my.toml
  tidewatch model import runs/2026-11-24 --config my.toml --alias candidate --reason 'more reviews of November'";

/// Take a model bundle into the registry
///
/// Verifies every hash of the manifest, compares the labels with the champion's, loads the bundle and scores a few texts in a
/// process of its own, copies it to [registry] url, verifies the copy, and writes it down in Postgres. Where any of that fails,
/// nothing is left that could be taken for a bundle. Doing it again changes nothing, but mends a copy that is damaged.
///
/// The bundle does not serve by that: `tidewatch model promote` makes it the champion.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct ImportArgs {
    /// The bundle's folder, as tidewatch-finetune writes it
    dir: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
    /// What it is to be from then on
    #[arg(long, value_name = "ALIAS", value_enum)]
    alias: Option<Beside>,
    /// Refuse it unless it has this version
    #[arg(long, value_name = "VERSION")]
    expect: Option<String>,
    #[command(flatten)]
    why: WhyArgs,
}

/// What a model can be that does not serve.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Beside {
    /// To be compared with the champion
    Candidate,
    /// Scores beside the champion, and is not served
    Shadow,
}

pub(super) fn run(args: &ImportArgs) -> anyhow::Result<End> {
    // Where it came from stays true when the current folder is another.
    let origin = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    let taken = with_registry(&args.config, async |registry, _| {
        let order = Order {
            folder: &args.dir,
            expected: args.expect.as_deref(),
            origin: &origin.display().to_string(),
            by: &args.why.by,
        };
        let alias = args.alias.map(|alias| match alias {
            Beside::Candidate => Alias::Candidate,
            Beside::Shadow => Alias::Shadow,
        });
        let taken = match alias {
            None => registry.import(&order).await?,
            Some(alias) => {
                registry
                    .import_as(&order, alias, &args.why.change())
                    .await?
            }
        };
        Ok((taken, registry.address(), alias))
    });
    let (taken, address, alias) = taken?;
    println!("{}", taken.version);
    let tried = match &taken.passed {
        Some(passed) => format!(
            "loads and scores in {:.1} s on {}",
            passed.seconds, passed.device
        ),
        None => "was imported before".to_owned(),
    };
    let alias = alias.map_or_else(String::new, |alias| format!(", {}", alias.name()));
    eprintln!(
        "tidewatch: {} ({}, {}) {tried}; it is in {address}{alias}",
        taken.name,
        short(&taken.version),
        megabytes(taken.bytes),
    );
    Ok(End::Done)
}
