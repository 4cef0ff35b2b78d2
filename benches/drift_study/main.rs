//! How good the drift detector is: its false alarms, how soon it sees a change, and how honest its estimates are.
//!
//! `scripts/drift-study` runs it, and the other tools on the same windows.

#![expect(
    clippy::print_stderr,
    reason = "a program for a terminal tells how far it is"
)]

mod accuracy;
mod data;
mod feed;
mod null;
mod power;
mod prepared;
mod readings;
mod shift;
mod streams;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::Value;

use prepared::Prepared;

/// The budget that is measured: at most one false alarm in so many windows.
const BUDGET: u32 = 1_000;

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Added by `cargo bench`.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the two parts that a model is made with: what it is trained on, and what it is calibrated on
    Parts {
        /// The folder of labelled data
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Where train.jsonl and held-out.jsonl go
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Measure, with a model that was made of those parts
    Measure(MeasureArgs),
}

#[derive(Debug, clap::Args)]
pub struct MeasureArgs {
    /// The folder of labelled data
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The model bundle's folder
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Where scores are kept for the next time
    #[arg(long, value_name = "DIR")]
    pub work: PathBuf,
    /// Where the results and the streams for other tools go
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A small part of everything, to see whether it works
    #[arg(long)]
    pub quick: bool,
    /// Divisions into baseline and windows over which the false alarms are averaged
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20_000), default_value = "300", default_value_if("quick", "true", "4"))]
    pub splits: u64,
    /// Seed of the first division; each next one has the next number
    #[arg(long, value_name = "N", default_value = "1000")]
    pub seed: u64,
    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["null", "feed", "shift", "accuracy", "power"])]
    pub only: Vec<Study>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Study {
    /// False alarms on tweets.
    Null,
    /// False alarms on generated posts.
    Feed,
    /// The class shares' estimates.
    Shift,
    /// The accuracy's estimates.
    Accuracy,
    /// Messages until an alarm.
    Power,
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Parts { data, out } => data::write_parts(&data, &out),
        Command::Measure(args) => measure(&args),
    }
}

fn measure(args: &MeasureArgs) -> anyhow::Result<()> {
    for folder in [&args.work, &args.out] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let mut prepared = Prepared::load(args)?;
    for study in &args.only {
        eprintln!("drift_study: {study:?}");
        let keep =
            |name: &str, result: &Value| write(&args.out.join(format!("{name}.json")), result);
        let (name, result) = match study {
            Study::Null => {
                let keep = |result: &Value| keep("null", result);
                ("null", null::tweets(&prepared, args, keep)?)
            }
            Study::Feed => ("feed", feed::study(&mut prepared, args)?),
            Study::Shift => ("shift", shift::study(&prepared, args.quick)?),
            Study::Accuracy => ("accuracy", accuracy::study(&prepared, args.quick)?),
            Study::Power => ("power", power::study(&prepared, &args.out, args.quick)?),
        };
        keep(name, &result)?;
    }
    Ok(())
}

fn write(path: &std::path::Path, value: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
