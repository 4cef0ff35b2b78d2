//! A whole run: read, split, tokenise, train, validate, write.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::backbone::{self, Encoder};
use super::batches;
use super::checkpoint::{self, Card};
use super::data;
use super::error::TrainError;
use super::layout::Layout;
use super::optimise::Schedule;
use super::packed::Packed;
use super::progress::{Event, Progress};
use super::recipe::Recipe;
use super::scores::Scores;
use super::split::{self, Parts};
use super::tokens::{self, Encoded};
use super::trainer::Trainer;
use super::weights::Weights;

/// What a run needs beside its recipe.
pub struct Setting<'a> {
    /// Where relative data paths start.
    pub data: PathBuf,
    /// Where a relative backbone folder starts.
    pub base: PathBuf,
    /// Set from outside to stop the run after the current step.
    pub stop: &'a AtomicBool,
}

/// The data of a run, by use, and the same tokenised.
pub struct Prepared {
    /// The examples.
    pub parts: Parts,
    /// The files they came from.
    pub files: Vec<PathBuf>,
    /// Tokenised training examples.
    pub train: Vec<Encoded>,
    /// Tokenised validation examples.
    pub validation: Vec<Encoded>,
    /// Tokenised test examples.
    pub test: Vec<Encoded>,
}

/// A finished classifier: its folder, and how it scored.
pub struct Outcome {
    /// The folder in Hugging Face's layout.
    pub folder: PathBuf,
    /// The data it was made from.
    pub data: Prepared,
    /// Its logits on the validation examples.
    pub validation: Scores,
    /// Its logits on the test examples.
    pub test: Scores,
}

/// Trains as the recipe says and writes the classifier's folder after each epoch.
pub fn train(
    recipe: &Recipe,
    setting: &Setting<'_>,
    progress: &mut Progress,
) -> Result<Outcome, TrainError> {
    let encoder = backbone::open(&recipe.backbone, &setting.base)?;
    let data = prepare(recipe, &encoder, &setting.data, progress)?;
    let layout = Layout::new(&encoder.config, recipe.labels.names.len());
    let (weights, drawn) = Weights::load(&encoder.weights, &layout, recipe.seed)?;
    let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
    let lengths: Vec<usize> = data
        .train
        .iter()
        .map(|example| example.tokens.len())
        .collect();
    let epochs: Vec<_> = (0..recipe.training.epochs)
        .map(|_| batches::epoch(&lengths, recipe.training.batch, &mut rng))
        .collect();
    let steps = epochs.iter().map(Vec::len).sum();
    let parameters = layout.dense_len() + layout.words.range.len();
    progress.tell(&Event::Start {
        parameters,
        steps,
        drawn,
    });

    let schedule = Schedule::new(
        recipe.training.learning_rate,
        recipe.training.warm_up,
        steps,
    );
    let mut trainer = Trainer::new(
        encoder.config.clone(),
        layout,
        weights,
        &recipe.training,
        recipe.seed,
    );
    let mut clock = Clock::new(steps);
    let folder = recipe.output.folder.clone();
    let card = Card {
        config: &encoder.raw_config,
        labels: &recipe.labels.names,
        tokenizer: &encoder.tokenizer,
    };
    let mut validation = Scores::default();
    for (epoch, batches) in epochs.iter().enumerate() {
        for batch in batches {
            if setting.stop.load(Ordering::Relaxed) {
                return Err(TrainError::Stopped);
            }
            let sequences = batch
                .iter()
                .map(|&i| (data.train[i].tokens.as_slice(), data.train[i].label));
            let rate = schedule.rate(clock.done);
            let report = trainer.step(&Packed::new(sequences), rate)?;
            progress.tell(&clock.step(report.loss, report.gradient_norm, rate));
        }
        validation = score(&mut trainer, &data.validation);
        progress.tell(&validated(epoch + 1, &validation));
        checkpoint::write(&folder, &card, trainer.layout(), trainer.weights())?;
        progress.tell(&Event::Checkpoint {
            epoch: epoch + 1,
            folder: folder.clone(),
        });
    }
    let test = score(&mut trainer, &data.test);
    Ok(Outcome {
        folder,
        data,
        validation,
        test,
    })
}

/// Scores the recipe's data with a classifier that a run has already written to `folder`.
pub fn score_checkpoint(
    recipe: &Recipe,
    folder: &Path,
    setting: &Setting<'_>,
    progress: &mut Progress,
) -> Result<Outcome, TrainError> {
    let encoder = backbone::open(
        &super::recipe::Backbone::Folder(folder.into()),
        &setting.base,
    )?;
    let data = prepare(recipe, &encoder, &setting.data, progress)?;
    let layout = Layout::new(&encoder.config, recipe.labels.names.len());
    let (weights, drawn) = Weights::load(&encoder.weights, &layout, recipe.seed)?;
    if !drawn.is_empty() {
        let reason = format!(
            "is no finished classifier for these labels: it lacks {}",
            drawn.join(", ")
        );
        return Err(TrainError::backbone(folder, reason));
    }
    let mut trainer = Trainer::new(
        encoder.config.clone(),
        layout,
        weights,
        &recipe.training,
        recipe.seed,
    );
    let validation = score(&mut trainer, &data.validation);
    progress.tell(&validated(recipe.training.epochs, &validation));
    let test = score(&mut trainer, &data.test);
    Ok(Outcome {
        folder: folder.into(),
        data,
        validation,
        test,
    })
}

fn validated(epoch: usize, scores: &Scores) -> Event {
    let confusion = scores.confusion();
    Event::Validation {
        epoch,
        macro_recall: confusion.macro_recall(),
        accuracy: confusion.accuracy(),
    }
}

fn score(trainer: &mut Trainer, examples: &[Encoded]) -> Scores {
    Scores {
        logits: trainer.logits(examples),
        labels: examples.iter().map(|example| example.label).collect(),
    }
}

/// Reads, splits and tokenises the recipe's data.
fn prepare(
    recipe: &Recipe,
    encoder: &Encoder,
    base: &Path,
    progress: &mut Progress,
) -> Result<Prepared, TrainError> {
    let limit = recipe.training.max_tokens;
    if limit > encoder.config.max_position_embeddings {
        let longest = encoder.config.max_position_embeddings;
        let reason = format!("reads at most {longest} tokens, but training.max_tokens is {limit}");
        return Err(TrainError::backbone(&encoder.weights, reason));
    }
    let dataset = data::read(&recipe.data, &recipe.labels, &recipe.text, base)?;
    for fault in &dataset.faults {
        progress.tell(&Event::Fault(fault.clone()));
    }
    let parts = split::split(dataset.examples, &recipe.split)?;
    let encode = |examples| tokens::encode(&encoder.tokenizer, examples, limit);
    let (train, validation, test) = (
        encode(&parts.train)?,
        encode(&parts.validation)?,
        encode(&parts.test)?,
    );
    let total: usize = train.iter().map(|example| example.tokens.len()).sum();
    progress.tell(&Event::Data {
        files: dataset.files.len(),
        train: train.len(),
        validation: validation.len(),
        test: test.len(),
        faults: dataset.faults.len(),
        repeated: dataset.repeated,
        conflicting: dataset.conflicting,
        undated: parts.undated,
        mean_tokens: total as f64 / train.len() as f64,
        cut_off: train
            .iter()
            .filter(|example| example.tokens.len() >= limit)
            .count(),
    });
    Ok(Prepared {
        parts,
        files: dataset.files,
        train,
        validation,
        test,
    })
}

/// Counts steps, smooths the loss and estimates the time left.
struct Clock {
    started: Instant,
    steps: usize,
    done: usize,
    loss: Option<f64>,
}

impl Clock {
    fn new(steps: usize) -> Self {
        Self {
            started: Instant::now(),
            steps,
            done: 0,
            loss: None,
        }
    }

    fn step(&mut self, loss: f64, gradient_norm: f64, rate: f64) -> Event {
        self.done += 1;
        let smooth = self.loss.map_or(loss, |mean| 0.97 * mean + 0.03 * loss);
        self.loss = Some(smooth);
        let seconds = self.started.elapsed().as_secs_f64();
        let seconds_left = seconds / self.done as f64 * (self.steps - self.done) as f64;
        Event::Step {
            step: self.done,
            steps: self.steps,
            loss: smooth,
            gradient_norm,
            rate,
            seconds,
            seconds_left,
        }
    }
}
