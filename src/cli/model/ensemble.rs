//! `tidewatch model ensemble`.

use anyhow::anyhow;
use clap::Args;

use super::derived::Assigned;
use super::registry::{megabytes, short, with_registry};
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::derive::ensemble::ensemble;
use crate::model::ensemble::Pool;
use crate::registry::resolve;

const EXAMPLES: &str = "Examples:
  tidewatch model ensemble champion=0.5 candidate=0.5 --config my.toml
  tidewatch model ensemble 5c5e5182=2 91ab04de=1 --method logarithmic --config my.toml

Exit codes: 0 the ensemble is in the registry; 2 the command line or the config cannot be used; 3 these models make no ensemble,
and the sentence says why; 1 something does not answer.";

/// Make one model of several: an ensemble, whose answer is the pool of theirs
///
/// The members must have the same labels, the same tokenizer and the same limit of tokens. Their files go into the ensemble's bundle.
/// It costs about the time and the memory of all of them together, and is compared and promoted like any model.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct EnsembleArgs {
    /// The models and their weights, which are relative to each other: a version, its first digits or an alias, and a number
    #[arg(value_name = "VERSION=WEIGHT", value_parser = Assigned::parse, required = true, num_args = 2..)]
    members: Vec<Assigned>,
    /// How probabilities are combined: their mean, or the mean of their logarithms
    #[arg(long, value_enum, default_value = "linear")]
    method: Pool,
    #[command(flatten)]
    config: ConfigArgs,
    /// Who does it, for the history
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    by: String,
}

pub(super) fn run(args: &EnsembleArgs) -> anyhow::Result<End> {
    let made = with_registry(&args.config, async |registry, store| {
        let mut members = Vec::with_capacity(args.members.len());
        for member in &args.members {
            members.push((resolve(&store, &member.name).await?, member.value));
        }
        Ok(ensemble(&registry, &members, args.method, &args.by).await)
    })?;
    match made {
        Ok(taken) => {
            println!("{}", taken.version);
            eprintln!(
                "tidewatch: {} ({}, {}) is in the registry; compare it with the champion, and it serves after `tidewatch model promote {}`",
                taken.name,
                short(&taken.version),
                megabytes(taken.bytes),
                short(&taken.version)
            );
            Ok(End::Done)
        }
        Err(error) if error.is_refusal() => {
            eprintln!("tidewatch: {error}");
            Ok(End::Unfit)
        }
        Err(error) => Err(anyhow!("{error}")),
    }
}
