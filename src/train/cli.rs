//! The command line of `tidewatch-finetune`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use super::bundle;
use super::error::TrainError;
use super::export::{Form, Storage};
use super::finish;
use super::progress::Progress;
use super::recipe::{Backbone, Recipe};
use super::run::{self, Setting};
use super::state;
use crate::model::manifest::Bundle;

/// Fine-tune a BERT-family encoder on labelled text, and make a model bundle of it.
///
/// The recipe, a TOML file, says everything: the backbone, the labels, the files with their columns,
/// the split, the hyper-parameters, the form of the exported model and where the bundle goes. Flags
/// override the common things. recipes/ holds two to start from; docs/fine-tuning.md explains every key.
///
/// After each epoch the classifier is written in Hugging Face's layout to the bundle's name with
/// .checkpoint added; there the state of the training is kept too, every five minutes and when the run is
/// stopped, and --resume goes on from it. At the end the model is exported to ONNX, compared with the trainer on real texts,
/// evaluated and calibrated with ONNX Runtime on the validation examples (and evaluated on those of the
/// test files, if there are any), and the bundle is written with its report, whole or not at all.
///
/// Lines of the data that cannot be used are counted and named, never fatal. A progress bar shows
/// loss, validation score and time left on a terminal; otherwise, and with --json, each event is a
/// JSON line on standard output.
#[derive(Debug, Parser)]
#[command(name = "tidewatch-finetune", version, after_help = AFTER)]
pub struct Arguments {
    /// The recipe.
    #[arg(long, value_name = "FILE")]
    pub recipe: PathBuf,
    /// Folder where the recipe's relative data paths start [default: the recipe's folder].
    #[arg(long, value_name = "DIR", env = "TIDEWATCH_DATA")]
    pub data: Option<PathBuf>,
    /// Backbone folder, instead of the recipe's backbone: config.json, model.safetensors and
    /// tokenizer.json, or an earlier bundle.
    #[arg(long, value_name = "DIR")]
    pub backbone: Option<PathBuf>,
    /// Passes over the training examples.
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Peak learning rate.
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// Starts every random choice.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Operators of the exported model.
    #[arg(long)]
    pub form: Option<Form>,
    /// How the exported model stores its weights.
    #[arg(long)]
    pub weights: Option<Storage>,
    /// Folder for the bundle; it must not exist.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on where an earlier process has left this run, if one has: the result is the same, to the bit, as
    /// without the interruption. A bundle that is this run's result already is left as it is.
    #[arg(long, conflicts_with = "checkpoint")]
    pub resume: bool,
    /// Seconds of training after which its state is kept for --resume; 0: after every step.
    #[arg(long, value_name = "SECONDS")]
    pub save_every: Option<u64>,
    /// Do not train: make the bundle from the classifier that an earlier run of this recipe wrote here.
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// Write events as JSON lines even on a terminal.
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
Examples:
  Train the default model from the folder that scripts/setup --backbone fills:
    tidewatch-finetune --recipe recipes/default.toml --data DIR \\
        --backbone .tidewatch/backbone/all-MiniLM-L6-v2 --out my-model
  Try another seed for one epoch, and watch the numbers in another program:
    tidewatch-finetune --recipe my.toml --seed 2 --epochs 1 --out try-2 --json | jq .loss
  Train where the process may be killed; the same command again goes on:
    tidewatch-finetune --recipe my.toml --out my-model --resume
  Make a second bundle from the same training, with exact weights:
    tidewatch-finetune --recipe my.toml --checkpoint my-model.checkpoint \\
        --weights float32 --out my-model-float32

Exit codes:
  0    the bundle is written
  2    bad input: arguments, recipe, data or backbone, or a bundle that exists already
  3    a gate is not met (the recipe's min_macro_recall, or the exported model does not compute what
       the trainer does), or training diverged
  4    resources: disk, permissions, or no ONNX Runtime that can be used
  130  stopped by Ctrl-C or SIGTERM";

impl Arguments {
    /// The recipe with the flags' values in place of its own.
    fn recipe(&self) -> Result<Recipe, TrainError> {
        let mut recipe = Recipe::load(&self.recipe)?;
        if let Some(folder) = &self.backbone {
            recipe.backbone = Backbone::Folder(folder.clone());
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
        if let Some(seconds) = self.save_every {
            recipe.training.save_every = seconds;
        }
        recipe.export.form = self.form.unwrap_or(recipe.export.form);
        recipe.export.weights = self.weights.unwrap_or(recipe.export.weights);
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
pub fn execute(arguments: &Arguments, stop: &AtomicBool) -> Result<Bundle, TrainError> {
    let recipe = arguments.recipe()?;
    if !arguments.resume {
        bundle::refuse_existing(&recipe.output.folder)?;
    }
    let recipe_folder = arguments
        .recipe
        .parent()
        .unwrap_or(Path::new(""))
        .to_owned();
    let setting = Setting {
        data: arguments
            .data
            .clone()
            .unwrap_or_else(|| recipe_folder.clone()),
        // A path on the command line starts where the command does, one in the recipe beside the recipe.
        base: match arguments.backbone {
            Some(_) => PathBuf::new(),
            None => recipe_folder,
        },
        resume: arguments.resume,
        stop,
    };
    let mut progress = Progress::new(arguments.json);
    if let Some(folder) = &arguments.checkpoint {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        let trained = run::reopen(&recipe, &folder, &setting, &mut progress)?;
        return finish::finish(&recipe, &trained, &setting, &mut progress);
    }
    let checkpoint = recipe.output.folder.with_added_extension("checkpoint");
    let _lock = state::lock(&checkpoint, state::PATIENCE)?;
    let bundle = if bundle::refuse_existing(&recipe.output.folder).is_err() {
        finish::finished(&recipe, &setting, &mut progress)?
    } else {
        let trained = run::train(&recipe, &checkpoint, &setting, &mut progress)?;
        finish::finish(&recipe, &trained, &setting, &mut progress)?
    };
    state::forget(&checkpoint);
    Ok(bundle)
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
