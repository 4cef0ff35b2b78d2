//! `tidewatch annotate`.

mod estimate;
mod label;
mod list;
mod next;
mod skip;

use clap::{Args, Subcommand};

use super::ConfigArgs;
use super::exit::End;
use super::model::log_sparingly;
use crate::config::Config;
use crate::store::{Asked, Store};

/// Label messages of the feed, and see what the labels say of the model
#[derive(Debug, Subcommand)]
pub(super) enum AnnotateCommand {
    List(list::ListArgs),
    Next(next::NextArgs),
    Label(label::LabelArgs),
    Skip(skip::SkipArgs),
    Estimate(estimate::EstimateArgs),
}

pub(super) fn run(command: AnnotateCommand) -> anyhow::Result<End> {
    match command {
        AnnotateCommand::List(args) => list::run(&args),
        AnnotateCommand::Next(args) => next::run(&args),
        AnnotateCommand::Label(args) => label::run(&args),
        AnnotateCommand::Skip(args) => skip::run(&args),
        AnnotateCommand::Estimate(args) => estimate::run(&args),
    }
}

/// Who labels.
#[derive(Debug, Args)]
struct AnnotatorArgs {
    /// Who labels
    #[arg(
        long = "as",
        value_name = "NAME",
        env = "USER",
        default_value = "unknown"
    )]
    name: String,
}

/// The configuration and a database with the right schema.
async fn open(config: &ConfigArgs) -> anyhow::Result<(Config, Store)> {
    let config = config.load()?;
    log_sparingly();
    let store = Store::connect(&config.postgres).await?;
    store.require_schema().await?;
    Ok((config, store))
}

/// A message of the queue in two lines.
fn describe(asked: &Asked) -> String {
    let origin = &asked.origin;
    let of = [&asked.source, &asked.subject]
        .into_iter()
        .flatten()
        .map(|name| format!(", {name}"));
    format!(
        "{} {} {}  {}, {}{}\n    {}",
        origin.topic,
        origin.partition,
        origin.offset,
        asked.state,
        asked.sampling.as_str(),
        of.collect::<String>(),
        asked.text.as_deref().unwrap_or(match asked.message_id {
            Some(_) => "(its text is not kept; see its id)",
            None => "(its text is not kept)",
        }),
    )
}
