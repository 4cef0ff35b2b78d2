//! The command line of `tidewatch-finetune`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use super::error::TrainError;
use super::progress::Progress;
use super::recipe::{Backbone, Recipe};
use super::run::{self, Outcome, Setting};

/// Fine-tune a BERT-family encoder on labelled text.
///
/// The recipe, a TOML file, says everything: the backbone, the labels, the files with their columns,
/// the split, the hyper-parameters and where the result goes. Flags override the common things.
///
/// Lines of the data that cannot be used are counted and named, never fatal. A progress bar shows
/// loss, validation score and time left on a terminal; otherwise, and with --json, each event is a
/// JSON line on standard output.
///
/// Exit codes: 0 written; 2 bad input (recipe, data, backbone); 3 the gate is not met or training
/// diverged; 4 resources (disk, permissions); 130 stopped by Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "tidewatch-finetune", version)]
pub struct Arguments {
    /// The recipe.
    #[arg(long, value_name = "FILE")]
    pub recipe: PathBuf,
    /// Folder where the recipe's relative data paths start [default: the recipe's folder].
    #[arg(long, value_name = "DIR", env = "TIDEWATCH_DATA")]
    pub data: Option<PathBuf>,
    /// Backbone folder, instead of the recipe's.
    #[arg(long, value_name = "DIR")]
    pub backbone: Option<PathBuf>,
    /// Passes over the training examples.
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Peak learning rate.
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// Folder for the result.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Starts every random choice.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Do not train: score the recipe's data with the classifier an earlier run wrote to this folder.
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// Write events as JSON lines even on a terminal.
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    /// The recipe with the flags' values in place of its own.
    fn recipe(&self) -> Result<Recipe, TrainError> {
        let mut recipe = Recipe::load(&self.recipe)?;
        if let Some(folder) = &self.backbone {
            recipe.backbone =
                Backbone::Folder(std::path::absolute(folder).unwrap_or_else(|_| folder.clone()));
        }
        if let Some(epochs) = self.epochs {
            recipe.training.epochs = epochs;
        }
        if let Some(rate) = self.lr {
            recipe.training.learning_rate = rate;
        }
        if let Some(folder) = &self.out {
            recipe.output.folder = folder.clone();
        }
        if let Some(seed) = self.seed {
            recipe.seed = seed;
        }
        match recipe.fault() {
            Some(reason) => Err(TrainError::Recipe {
                path: self.recipe.clone(),
                reason,
            }),
            None => Ok(recipe),
        }
    }
}

/// Runs the program and returns its exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(stop.clone());
    match execute(&arguments, &stop) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidewatch-finetune: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Does what the arguments ask for.
pub fn execute(arguments: &Arguments, stop: &AtomicBool) -> Result<Outcome, TrainError> {
    let recipe = arguments.recipe()?;
    let base = arguments
        .recipe
        .parent()
        .unwrap_or(std::path::Path::new(""))
        .to_owned();
    let setting = Setting {
        data: arguments.data.clone().unwrap_or_else(|| base.clone()),
        base,
        stop,
    };
    let mut progress = Progress::new(arguments.json);
    let outcome = match &arguments.checkpoint {
        None => run::train(&recipe, &setting, &mut progress)?,
        Some(folder) => {
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
            run::score_checkpoint(&recipe, &folder, &setting, &mut progress)?
        }
    };
    let recall = outcome.validation.confusion().macro_recall();
    match recipe.output.min_macro_recall {
        Some(least) if recall < least => Err(TrainError::Gate(format!(
            "macro-averaged recall on validation is {recall:.4}, the recipe asks for at least {least:.4}"
        ))),
        _ => Ok(outcome),
    }
}

/// Sets `stop` at the first Ctrl-C or SIGTERM; the run then ends after its current step.
fn stop_on_signal(stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        else {
            return;
        };
        runtime.block_on(async {
            let terminate =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            match terminate {
                Ok(mut terminate) => tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                },
                Err(_) => drop(tokio::signal::ctrl_c().await),
            }
        });
        stop.store(true, Ordering::Relaxed);
    });
}
