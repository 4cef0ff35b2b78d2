//! The command line of `tidewatch`: a file for each command.

mod alerts;
mod annotate;
mod baseline;
mod bench;
mod check;
mod client_option;
mod completions;
mod demo;
mod drift;
mod exit;
mod migrate;
mod model;
mod pace;
mod replay;
mod replay_progress;
mod retrain;
mod rollout;
mod run;
mod score;
mod signals;
mod time;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};

/// Streaming sentiment: posts and reviews from Kafka, scored by a transformer, exactly once to Kafka and Postgres.
///
/// Try it without anything installed: tidewatch demo. Against your own servers: write what differs from
/// config/default.toml into a file, then `tidewatch check`, `tidewatch migrate` and `tidewatch run`, each with
/// --config FILE.
///
/// Exit codes: 0 done; 1 the work failed, or its result does not add up; 2 the command line, the config or another input
/// cannot be used; 3 and 4 a candidate that does not pass, or not yet (`tidewatch model compare`); 130 stopped by Ctrl-C before it was done.
#[derive(Debug, Parser)]
#[command(name = "tidewatch", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Migrate(migrate::MigrateArgs),
    Verify(verify::VerifyArgs),
    Score(score::ScoreArgs),
    Replay(replay::ReplayArgs),
    #[command(subcommand)]
    Model(model::ModelCommand),
    #[command(subcommand)]
    Retrain(retrain::RetrainCommand),
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    #[command(subcommand)]
    Drift(drift::DriftCommand),
    #[command(subcommand)]
    Alerts(alerts::AlertsCommand),
    #[command(subcommand)]
    Annotate(annotate::AnnotateCommand),
    Baseline(baseline::BaselineArgs),
    Demo(demo::DemoArgs),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
}

/// Where settings come from, for the commands that need them.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// File with the settings that differ from config/default.toml
    #[arg(long, value_name = "FILE", env = "TIDEWATCH_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref())
    }
}

/// Runs the program and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Migrate(args) => migrate::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Score(args) => score::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Model(command) => model::run(command),
        Command::Retrain(command) => retrain::run(command),
        Command::Rollout(command) => rollout::run(command),
        Command::Drift(command) => drift::run(command),
        Command::Alerts(command) => alerts::run(command),
        Command::Annotate(command) => annotate::run(command),
        Command::Baseline(args) => baseline::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Completions(args) => completions::run(args),
    };
    exit::code(result)
}
