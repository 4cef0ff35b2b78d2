//! `tidewatch model`.

pub(in crate::cli) mod compare;
mod correct;
mod derived;
mod ensemble;
mod gc;
mod history;
mod import;
mod list;
mod probe;
mod promote;
mod recalibrate;
pub(super) mod registry;
mod show;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::exit::End;
use crate::log::{self, LogConfig, LogFormat};
use crate::model::config::{Device, ModelConfig};
use crate::model::manifest::MANIFEST_FILE;
use crate::nearby::find_upwards;

/// Look at a model bundle, compare two, correct one, and say which one serves
#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    Show(show::ShowArgs),
    Verify(verify::VerifyArgs),
    Compare(Box<compare::CompareArgs>),
    List(list::ListArgs),
    Import(import::ImportArgs),
    Correct(correct::CorrectArgs),
    Recalibrate(recalibrate::RecalibrateArgs),
    Ensemble(ensemble::EnsembleArgs),
    Promote(promote::PromoteArgs),
    Rollback(promote::RollbackArgs),
    History(history::HistoryArgs),
    Gc(gc::GcArgs),
    #[command(hide = true)]
    Probe(probe::ProbeArgs),
}

pub(super) fn run(command: ModelCommand) -> anyhow::Result<End> {
    match command {
        ModelCommand::Show(args) => show::run(args),
        ModelCommand::Verify(args) => verify::run(args),
        ModelCommand::Compare(args) => compare::run(&args),
        ModelCommand::List(args) => list::run(&args),
        ModelCommand::Import(args) => import::run(&args),
        ModelCommand::Correct(args) => correct::run(&args),
        ModelCommand::Recalibrate(args) => recalibrate::run(&args),
        ModelCommand::Ensemble(args) => ensemble::run(&args),
        ModelCommand::Promote(args) => promote::promote(&args),
        ModelCommand::Rollback(args) => promote::rollback(&args),
        ModelCommand::History(args) => history::run(&args),
        ModelCommand::Gc(args) => gc::run(&args),
        ModelCommand::Probe(args) => probe::run(&args),
    }
}

/// The bundle that comes with the program.
const DEFAULT: &str = "models/default";

/// The folder given, or the default model's: below the current folder or in the clone round it or round the program.
pub(super) fn model_folder(given: Option<PathBuf>) -> PathBuf {
    given
        .or_else(|| {
            find_upwards(&format!("{DEFAULT}/{MANIFEST_FILE}"))
                .and_then(|manifest| manifest.parent().map(Path::to_owned))
        })
        .unwrap_or_else(|| DEFAULT.into())
}

/// Where a model is to run.
#[derive(Debug, Args)]
pub(super) struct DeviceArgs {
    /// Where the model runs; only `auto` may run somewhere else than it says
    #[arg(long, value_enum, default_value = "auto")]
    device: Device,
    /// Which GPU, counted from 0
    #[arg(long, value_name = "N", default_value = "0")]
    device_number: u32,
    /// Threads of one inference on the CPU; 0 takes one for each core
    #[arg(long, value_name = "N", default_value = "0")]
    threads: usize,
}

impl DeviceArgs {
    pub(super) fn config(&self, folder: &Path) -> ModelConfig {
        ModelConfig {
            path: folder.to_owned(),
            device: self.device,
            device_number: self.device_number,
            threads: self.threads,
        }
    }
}

/// Logs for commands that say what failed in one sentence at the end; `RUST_LOG` shows more.
pub(in crate::cli) fn log_sparingly() {
    log::start(&LogConfig {
        level: "warn,onnxruntime=off".to_owned(),
        format: LogFormat::Pretty,
    });
}
