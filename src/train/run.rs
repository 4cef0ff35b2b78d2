//! From a recipe to a trained classifier: read, split, tokenise, train, validate.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::backbone::{self, Encoder};
use super::batches;
use super::checkpoint::{self, Card};
use super::data::{self, Example, InputFile, LeftOut};
use super::encoder::Model;
use super::error::TrainError;
use super::layout::Layout;
use super::meter::Meter;
use super::optimise::Schedule;
use super::packed::Packed;
use super::progress::{Event, Progress};
use super::recipe::{Backbone, Recipe};
use super::scores::Scores;
use super::session;
use super::split::{self, Parts};
use super::state::{self, Keeper};
use super::tokens::{self, Encoded};
use super::trainer::{self, Trainer};
use super::weights::Weights;
use crate::fault;

/// What a run needs beside its recipe.
pub struct Setting<'a> {
    /// Where relative data paths start.
    pub data: PathBuf,
    /// Where a relative backbone folder starts.
    pub base: PathBuf,
    /// Whether to go on where an earlier process has left this run, if one has.
    pub resume: bool,
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
    /// Tokenised examples of the baseline.
    pub baseline: Vec<Encoded>,
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

/// Trains as the recipe says; writes the classifier to `checkpoint` after each epoch, and keeps the state of the
/// training there now and then. That folder must exist, and no other process work in it.
pub fn train(
    recipe: &Recipe,
    checkpoint: &Path,
    setting: &Setting<'_>,
    progress: &mut Progress,
) -> Result<Trained, TrainError> {
    let (encoder, data) = open(recipe, setting, progress)?;
    let layout = Layout::new(&encoder.config, recipe.labels.names.len());
    let (weights, drawn) = Weights::load(&encoder.weights, &layout, recipe.seed)?;
    let identity = state::identity(recipe, &encoder, &data, &weights);
    let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
    let examples = repeated(&data);
    let lengths: Vec<usize> = examples.iter().map(|e| e.tokens.len()).collect();
    let epochs: Vec<_> = (0..recipe.training.epochs)
        .map(|_| batches::epoch(&lengths, recipe.training.batch, &mut rng))
        .collect();
    let steps = epochs.iter().map(Vec::len).sum();
    let parameters = layout.dense_len() + layout.words.range.len();
    progress.tell(&Event::Start {
        parameters,
        steps,
        epochs: epochs.len(),
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
    if let Some(weights) = &recipe.training.class_weights {
        let mut counts = vec![0; recipe.labels.names.len()];
        examples.iter().for_each(|e| counts[e.label as usize] += 1);
        trainer = trainer.with_class_weights(weights.of(&recipe.labels.names, &counts));
    }
    session::rehearse(trainer.model(), recipe.export)?;
    let mut meter = Meter::new(steps, epochs.len());
    let every = Duration::from_secs(recipe.training.save_every);
    let mut keeper = Keeper::new(checkpoint, identity, every);
    let mut resumed = setting.resume && keeper.resume(&mut trainer, &mut meter)?;
    let card = Card {
        config: &encoder.raw_config,
        labels: &recipe.labels.names,
        tokenizer: &encoder.tokenizer,
    };
    let mut validation = Scores::default();
    let mut before = 0;
    for (epoch, batches) in (1..).zip(&epochs) {
        let first = before;
        before += batches.len();
        if before < meter.done() {
            continue;
        }
        if std::mem::take(&mut resumed) {
            progress.tell(&Event::Resumed {
                place: meter.place(epoch),
            });
        }
        for batch in &batches[meter.done() - first..] {
            if let Err(stopped) = setting.go_on() {
                if meter.done() > 0 {
                    keeper.keep(&trainer, &meter, epoch, progress)?;
                }
                return Err(stopped);
            }
            let sequences = batch
                .iter()
                .map(|&i| (examples[i].tokens.as_slice(), examples[i].label));
            let rate = schedule.rate(meter.done());
            let report = trainer.step(&Packed::new(sequences), rate)?;
            progress.tell(&meter.step(epoch, report, rate));
            fault::point("step-done");
            if keeper.is_due() || meter.is_complete() {
                keeper.keep(&trainer, &meter, epoch, progress)?;
            }
        }
        validation = Scores::new(trainer.logits(&data.validation), &data.validation);
        progress.tell(&validated(epoch, &validation));
        checkpoint::write(checkpoint, &card, trainer.model())?;
        progress.tell(&Event::Checkpoint {
            epoch,
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

/// Opens the backbone and prepares the data.
pub fn open(
    recipe: &Recipe,
    setting: &Setting<'_>,
    progress: &mut Progress,
) -> Result<(Encoder, Prepared), TrainError> {
    progress.tell(&Event::Backbone {
        backbone: recipe.backbone.clone(),
    });
    let encoder = backbone::open(&recipe.backbone, &setting.base)?;
    let data = prepare(recipe, &encoder, &setting.data, progress)?;
    Ok((encoder, data))
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

/// The training examples, each as often as its file says.
fn repeated(data: &Prepared) -> Vec<&Encoded> {
    let repeat = |example: &Example| data.files[example.file].repeat;
    let times = data.parts.train.iter().map(repeat);
    data.train
        .iter()
        .zip(times)
        .flat_map(|(example, times)| std::iter::repeat_n(example, times))
        .collect()
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
    let (train, validation, test, baseline) = (
        encode(&parts.train)?,
        encode(&parts.validation)?,
        encode(&parts.test)?,
        encode(&parts.baseline)?,
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
        baseline: baseline.len(),
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
        baseline,
    })
}
