//! From a recipe to a trained classifier: read, split, tokenise, train, validate.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::backbone::{self, Encoder};
use super::batches;
use super::checkpoint::{self, Card};
use super::data::{self, InputFile, LeftOut};
use super::encoder::Model;
use super::error::TrainError;
use super::layout::Layout;
use super::optimise::Schedule;
use super::packed::Packed;
use super::progress::{Event, Progress};
use super::recipe::{Backbone, Recipe};
use super::scores::Scores;
use super::session;
use super::split::{self, Parts};
use super::tokens::{self, Encoded};
use super::trainer::{self, Trainer};
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

impl Setting<'_> {
    /// Ends the run here if someone asked for it.
    pub fn go_on(&self) -> Result<(), TrainError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(TrainError::Stopped),
            false => Ok(()),
        }
    }
}

/// The data of a run, by use, and the same tokenised.
pub struct Prepared {
    /// The files it was read from.
    pub files: Vec<InputFile>,
    /// The examples.
    pub parts: Parts,
    /// What did not become an example.
    pub left_out: LeftOut,
    /// Tokenised training examples.
    pub train: Vec<Encoded>,
    /// Tokenised validation examples.
    pub validation: Vec<Encoded>,
    /// Tokenised test examples.
    pub test: Vec<Encoded>,
}

/// A finished classifier with the data it was made from.
pub struct Trained {
    /// Configuration and tokenizer.
    pub encoder: Encoder,
    /// Where each tensor lies.
    pub layout: Layout,
    /// The weights.
    pub weights: Weights,
    /// The data.
    pub data: Prepared,
    /// Its logits on the validation examples.
    pub validation: Scores,
}

impl Trained {
    /// The model.
    pub fn model(&self) -> Model<'_> {
        Model {
            config: &self.encoder.config,
            layout: &self.layout,
            weights: &self.weights,
        }
    }
}

/// Trains as the recipe says and writes the classifier to `checkpoint` after each epoch.
pub fn train(
    recipe: &Recipe,
    checkpoint: &Path,
    setting: &Setting<'_>,
    progress: &mut Progress,
) -> Result<Trained, TrainError> {
    progress.tell(&Event::Backbone {
        backbone: recipe.backbone.clone(),
    });
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
    session::rehearse(trainer.model(), recipe.export)?;
    let mut clock = Clock::new(steps);
    let card = Card {
        config: &encoder.raw_config,
        labels: &recipe.labels.names,
        tokenizer: &encoder.tokenizer,
    };
    let mut validation = Scores::default();
    for (epoch, batches) in epochs.iter().enumerate() {
        for batch in batches {
            setting.go_on()?;
            let sequences = batch
                .iter()
                .map(|&i| (data.train[i].tokens.as_slice(), data.train[i].label));
            let rate = schedule.rate(clock.done);
            let report = trainer.step(&Packed::new(sequences), rate)?;
            progress.tell(&clock.step(report.loss, report.gradient_norm, rate));
        }
        validation = Scores::new(trainer.logits(&data.validation), &data.validation);
        progress.tell(&validated(epoch + 1, &validation));
        checkpoint::write(checkpoint, &card, trainer.model())?;
        progress.tell(&Event::Checkpoint {
            epoch: epoch + 1,
            folder: checkpoint.to_owned(),
        });
    }
    let (layout, weights) = trainer.finish();
    Ok(Trained {
        encoder,
        layout,
        weights,
        data,
        validation,
    })
}

/// Opens a classifier that a run of this recipe has already written to `folder`, and scores the recipe's
/// validation examples with it.
pub fn reopen(
    recipe: &Recipe,
    folder: &Path,
    setting: &Setting<'_>,
    progress: &mut Progress,
) -> Result<Trained, TrainError> {
    let encoder = backbone::open(&Backbone::Folder(folder.into()), &setting.base)?;
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
    let model = Model {
        config: &encoder.config,
        layout: &layout,
        weights: &weights,
    };
    let mut workers = trainer::workers(recipe.training.shards);
    let validation = Scores::new(
        trainer::score(model, &mut workers, &data.validation),
        &data.validation,
    );
    progress.tell(&validated(recipe.training.epochs, &validation));
    Ok(Trained {
        encoder,
        layout,
        weights,
        data,
        validation,
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
    let left_out = LeftOut {
        faults: dataset.faults.len(),
        repeated: dataset.repeated,
        conflicting: dataset.conflicting,
        undated: parts.undated,
    };
    let total: usize = train.iter().map(|example| example.tokens.len()).sum();
    progress.tell(&Event::Data {
        files: dataset.files.len(),
        train: train.len(),
        validation: validation.len(),
        test: test.len(),
        left_out,
        mean_tokens: total as f64 / train.len() as f64,
        cut_off: train
            .iter()
            .filter(|example| example.tokens.len() >= limit)
            .count(),
    });
    Ok(Prepared {
        files: dataset.files,
        parts,
        left_out,
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
