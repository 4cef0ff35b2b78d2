//! What a run tells while it goes: a bar for a person, JSON lines for a program.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::calibrate::Calibration;
use super::data::{Fault, LeftOut};
use super::export::ExportOptions;
use super::lines::Lines;
use super::parity::Parity;
use super::recipe::{Backbone, Role};
use crate::drift::statistics::Statistic;
use crate::model::manifest::Metric;

/// A moment of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The backbone is opened, from the hub if need be.
    Backbone {
        /// Where it comes from.
        backbone: Backbone,
    },
    /// A line of the data gave no example.
    Fault(Fault),
    /// The data was read and split.
    Data {
        /// Files read.
        files: usize,
        /// Examples to train on.
        train: usize,
        /// Examples to validate with.
        validation: usize,
        /// Examples to test with.
        test: usize,
        /// Examples to make the drift baseline of, where they are not those to validate with.
        baseline: usize,
        /// Lines that did not become an example.
        #[serde(flatten)]
        left_out: LeftOut,
        /// Mean length of a training example.
        mean_tokens: f64,
        /// Training examples at the length limit.
        cut_off: usize,
    },
    /// Training begins.
    Start {
        /// Values that are trained.
        parameters: usize,
        /// Steps to do.
        steps: usize,
        /// Passes over the training examples.
        epochs: usize,
        /// Tensors the backbone lacked, drawn afresh.
        drawn: Vec<String>,
    },
    /// The training goes on from what an earlier process has kept of it.
    Resumed {
        /// How far it was.
        #[serde(flatten)]
        place: Place,
    },
    /// The state of the training was kept, so that another process can go on from here.
    State {
        /// How far the training is.
        #[serde(flatten)]
        place: Place,
        /// Size of the file.
        bytes: u64,
        /// What writing it took.
        took_seconds: f64,
    },
    /// Nothing else was told for a while, and the process is alive.
    Alive {
        /// The event that was told last.
        after: String,
        /// Time since then.
        seconds: f64,
        /// How far the training is, once it has begun.
        #[serde(flatten)]
        place: Option<Place>,
    },
    /// A step was done.
    Step {
        /// The step, and how many there are.
        #[serde(flatten)]
        place: Place,
        /// Loss, averaged over recent steps.
        loss: f64,
        /// Norm of the gradient before clipping.
        gradient_norm: f64,
        /// Learning rate.
        rate: f64,
        /// Since this process began to train.
        seconds: f64,
        /// Estimate of what is left.
        seconds_left: f64,
    },
    /// The validation examples were scored.
    Validation {
        /// Number of the epoch, from 1.
        epoch: usize,
        /// Macro-averaged recall.
        macro_recall: f64,
        /// Accuracy.
        accuracy: f64,
    },
    /// The classifier's folder was written.
    Checkpoint {
        /// Number of the epoch, from 1.
        epoch: usize,
        /// The folder.
        folder: PathBuf,
    },
    /// The model was written for inference.
    Export {
        /// Form of the graph and storage of the weights.
        #[serde(flatten)]
        options: ExportOptions,
        /// Size of the file.
        bytes: usize,
    },
    /// The exported model was compared with the trainer.
    Parity(Parity),
    /// The exported model was scored.
    Evaluation {
        /// `validation` or `test`.
        part: Role,
        /// Number of examples.
        examples: usize,
        /// Figures of merit with their intervals.
        metrics: BTreeMap<String, Metric>,
    },
    /// The temperature was fitted on the validation examples.
    Calibration(Calibration),
    /// The examples are too few for a baseline, so the bundle has none.
    NoBaseline {
        /// Distinct examples there are.
        distinct: usize,
        /// Those needed.
        needed: usize,
    },
    /// The baseline's examples move so much in the course of time that smaller changes will not be seen.
    MovingBaseline {
        /// The statistic by which they move most.
        statistic: Statistic,
        /// How many times as far as by chance their windows of 1,000 are.
        times: f64,
    },
    /// The bundle was written: the end.
    Bundle {
        /// Its folder.
        folder: PathBuf,
        /// Its version.
        version: String,
        /// Size of its files.
        bytes: u64,
    },
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Steps done: the number of the latest step, from 1.
    pub step: usize,
    /// Steps to do in all.
    pub steps: usize,
    /// The epoch, from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
}

/// Where events go.
pub enum Progress {
    /// A bar on the terminal.
    Bar {
        /// The bar.
        bar: ProgressBar,
        /// Latest validation score, for the bar.
        score: Option<f64>,
        /// Faults shown so far.
        faults: usize,
    },
    /// A JSON line an event on standard output.
    Lines(Lines),
    /// Nowhere.
    Silent,
}

/// Faults a person is shown one by one; JSON lines name all of them.
const FAULTS_SHOWN: usize = 20;

impl Progress {
    /// A bar where a person watches, JSON lines otherwise or when asked for.
    pub fn new(json: bool) -> Self {
        if json || !std::io::stderr().is_terminal() {
            return Self::Lines(Lines::to_stdout());
        }
        let style = "{elapsed_precise} {bar:32} {pos}/{len} {msg} {eta} left";
        let style =
            ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self::Bar {
            bar,
            score: None,
            faults: 0,
        }
    }

    /// Tells one event.
    pub fn tell(&mut self, event: &Event) {
        match self {
            Self::Silent => {}
            Self::Lines(lines) => lines.tell(event),
            Self::Bar { bar, score, faults } => {
                if let Event::Fault(_) = event {
                    *faults += 1;
                }
                show(bar, score, *faults, event);
            }
        }
    }
}

fn show(bar: &ProgressBar, score: &mut Option<f64>, faults: usize, event: &Event) {
    match event {
        Event::Backbone {
            backbone: Backbone::Hub(id),
        } => bar.println(format!("getting {id} from the hub, or from its cache")),
        Event::Backbone {
            backbone: Backbone::Folder(folder),
        } => bar.println(format!("starting from {}", folder.display())),
        Event::Fault(fault) if faults <= FAULTS_SHOWN => {
            bar.println(format!(
                "skipped {}:{}: {}",
                fault.file.display(),
                fault.line,
                fault.reason
            ));
        }
        Event::Fault(_) => {}
        Event::Data {
            files,
            train,
            validation,
            test,
            baseline,
            left_out:
                LeftOut {
                    faults,
                    repeated,
                    conflicting,
                    undated,
                },
            ..
        } => {
            bar.println(format!(
                "{files} files: {train} examples to train on, {validation} to validate with, {test} to test with, {baseline} for a baseline of their own"
            ));
            bar.println(format!(
                "left out: {faults} lines with faults, {repeated} repeated ids ({conflicting} with another label), {undated} without a time"
            ));
        }
        Event::Start {
            parameters, steps, ..
        } => {
            bar.set_length(*steps as u64);
            bar.println(format!(
                "training {:.1} million values in {steps} steps",
                *parameters as f64 / 1e6
            ));
        }
        Event::Resumed { place } => bar.println(format!(
            "going on after step {} of {}",
            place.step, place.steps
        )),
        Event::State { .. } | Event::Alive { .. } => {}
        Event::Step { place, loss, .. } => {
            let score = score
                .map(|score| format!(", validation {score:.3}"))
                .unwrap_or_default();
            bar.set_message(format!("loss {loss:.3}{score}"));
            bar.set_position(place.step as u64);
        }
        Event::Validation {
            epoch,
            macro_recall,
            accuracy,
        } => {
            *score = Some(*macro_recall);
            bar.println(format!(
                "epoch {epoch}: macro recall {macro_recall:.4}, accuracy {accuracy:.4}"
            ));
        }
        Event::Checkpoint { folder, .. } => {
            bar.println(format!("wrote the checkpoint {}", folder.display()))
        }
        Event::Export { options, bytes } => {
            bar.finish_and_clear();
            bar.println(format!(
                "exported: {:.1} MB, {} form, weights as {}",
                *bytes as f64 / 1e6,
                format!("{:?}", options.form).to_lowercase(),
                format!("{:?}", options.weights).to_lowercase()
            ));
        }
        Event::Parity(parity) => bar.println(format!(
            "ONNX Runtime agrees with the trainer on {} texts within {:.1e} (alone) and {:.1e} (in batches)",
            parity.texts, parity.alone, parity.batched
        )),
        Event::Evaluation {
            part,
            examples,
            metrics,
        } => {
            let part = format!("{part:?}").to_lowercase();
            bar.println(format!("{part}, {examples} examples, as exported:"));
            for (name, metric) in metrics {
                let interval = metric.interval.map_or_else(String::new, |(low, high)| {
                    format!("  ({low:.4} to {high:.4})")
                });
                bar.println(format!("  {name:13} {:.4}{interval}", metric.value));
            }
        }
        Event::Calibration(fitted) => bar.println(format!(
            "temperature {:.3}: expected calibration error {:.4}, before {:.4}",
            fitted.temperature, fitted.ece_after, fitted.ece_before
        )),
        Event::NoBaseline { distinct, needed } => bar.println(format!(
            "no baseline to watch the feed by: it needs {needed} distinct examples, and there are {distinct}"
        )),
        Event::MovingBaseline { statistic, times } => bar.println(format!(
            "the baseline's examples move in the course of time: by {} their windows of 1,000 are {times:.1} times as far from the rest as by chance; that counts as normal, so smaller changes of a feed will not be seen. Make a baseline of a recent stretch of time with `tidewatch baseline`",
            statistic.name()
        )),
        Event::Bundle {
            folder,
            version,
            bytes,
        } => bar.println(format!(
            "wrote the bundle {} ({:.1} MB, version {})",
            folder.display(),
            *bytes as f64 / 1e6,
            version.get(..12).unwrap_or(version)
        )),
    }
}
