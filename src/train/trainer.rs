//! The training step and the scoring of examples, over shards in parallel.

use rayon::prelude::*;
use tidewatch_kernels::dropout::Masks;

use super::bert::BertConfig;
use super::encoder::{Dropout, Gradients, Model, Worker};
use super::error::TrainError;
use super::layout::Layout;
use super::optimise::{AdamW, clip_factor, reduce};
use super::packed::Packed;
use super::recipe::Training;
use super::tokens::Encoded;
use super::weights::Weights;

/// A model in training.
pub struct Trainer {
    config: BertConfig,
    layout: Layout,
    weights: Weights,
    optimiser: AdamW,
    workers: Vec<Worker>,
    seed: u64,
    clip: f64,
    hidden_dropout: f32,
    attention_dropout: f32,
    class_weights: Vec<f32>,
    steps_done: usize,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Mean loss of the batch, weighted by the weights of the classes, nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
}

/// Tokens scored together when no gradient is wanted.
const SCORING_TOKENS: usize = 4096;

impl Trainer {
    /// A trainer for these weights; every random choice of its steps comes from `seed`.
    pub fn new(
        config: BertConfig,
        layout: Layout,
        weights: Weights,
        training: &Training,
        seed: u64,
    ) -> Self {
        Self {
            optimiser: AdamW::new(&layout, training.weight_decay),
            workers: workers(training.shards),
            seed,
            clip: training.clip,
            hidden_dropout: training.dropout.unwrap_or(config.hidden_dropout_prob),
            attention_dropout: training
                .dropout
                .unwrap_or(config.attention_probs_dropout_prob),
            class_weights: vec![1.0; layout.classifier.shape.outputs],
            steps_done: 0,
            config,
            layout,
            weights,
        }
    }

    /// The same with another weight in the loss for each class than 1.
    #[must_use]
    pub fn with_class_weights(self, class_weights: Vec<f32>) -> Self {
        Self {
            class_weights,
            ..self
        }
    }

    /// The model as it is now.
    pub fn model(&self) -> Model<'_> {
        Model {
            config: &self.config,
            layout: &self.layout,
            weights: &self.weights,
        }
    }

    /// Everything that the next step depends on beside its batch, its rate and what the trainer was made from:
    /// weights and moments as slices in a fixed order, and which words have had a gradient.
    pub fn state(&self) -> ([&[f32]; 6], &[bool]) {
        let ([a, b, c, d], seen) = self.optimiser.state();
        ([&self.weights.dense, &self.weights.words, a, b, c, d], seen)
    }

    /// The same, to be filled with what it was after `steps_done` steps.
    pub fn state_mut(&mut self, steps_done: usize) -> ([&mut [f32]; 6], &mut [bool]) {
        self.steps_done = steps_done;
        let step = i32::try_from(steps_done).unwrap_or(i32::MAX);
        let ([a, b, c, d], seen) = self.optimiser.state_mut(step);
        let weights = &mut self.weights;
        ([&mut weights.dense, &mut weights.words, a, b, c, d], seen)
    }

    /// The layout and the weights, when there is nothing more to learn.
    pub fn finish(self) -> (Layout, Weights) {
        (self.layout, self.weights)
    }

    /// Learns from one batch at this learning rate.
    pub fn step(&mut self, batch: &Packed, rate: f64) -> Result<StepReport, TrainError> {
        let dropout = Dropout {
            masks: Masks::new(self.seed, self.steps_done as u64),
            hidden: self.hidden_dropout,
            attention: self.attention_dropout,
        };
        let model = Model {
            config: &self.config,
            layout: &self.layout,
            weights: &self.weights,
        };
        let weight = |label: &u32| self.class_weights[*label as usize];
        let whole: f32 = batch.labels().iter().map(weight).sum();
        let factors: Vec<f32> = self.class_weights.iter().map(|w| w / whole).collect();
        let shards = batch.shards(self.workers.len());
        let workers = &mut self.workers[..shards.len()];
        let losses: Vec<f64> = workers
            .par_iter_mut()
            .zip(&shards)
            .map(|(worker, shard)| {
                worker.forward(model, shard, dropout);
                worker.backward(model, shard, dropout, &factors)
            })
            .collect();
        let loss = losses.iter().sum::<f64>();
        let gradient_norm = reduce(workers, self.config.hidden_size);
        if !loss.is_finite() || !gradient_norm.is_finite() {
            return Err(TrainError::Diverged {
                step: self.steps_done,
                reason: "the loss is no longer a number; lower training.learning_rate".into(),
            });
        }
        let gradients = &workers[0].gradients;
        if self.steps_done == 0 {
            let without = without_gradient(&self.layout, gradients);
            assert!(
                without.is_empty(),
                "the backward pass gave no gradient to {}",
                without.join(", ")
            );
        }
        let scale = clip_factor(gradient_norm, self.clip);
        self.optimiser
            .step(&self.layout, &mut self.weights, gradients, rate, scale);
        self.steps_done += 1;
        Ok(StepReport {
            loss,
            gradient_norm,
        })
    }

    /// Logits of each example, in order, without dropout.
    pub fn logits(&mut self, examples: &[Encoded]) -> Vec<Vec<f32>> {
        let model = Model {
            config: &self.config,
            layout: &self.layout,
            weights: &self.weights,
        };
        score(model, &mut self.workers, examples)
    }
}

/// A worker for each part that a batch is cut into.
pub fn workers(shards: usize) -> Vec<Worker> {
    std::iter::repeat_with(Worker::default)
        .take(shards)
        .collect()
}

/// A model's logits of each example, in order, without dropout, computed by these workers.
pub fn score(model: Model<'_>, workers: &mut [Worker], examples: &[Encoded]) -> Vec<Vec<f32>> {
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&index| examples[index].tokens.len());
    let classes = model.layout.classifier.shape.outputs;
    let mut logits = vec![Vec::new(); examples.len()];
    let longest = model.config.max_position_embeddings;
    for indices in order.chunks((SCORING_TOKENS / longest).max(1) * 4) {
        let sequences = indices
            .iter()
            .map(|&i| (examples[i].tokens.as_slice(), examples[i].label));
        let shards = Packed::new(sequences).shards(workers.len());
        let rows: Vec<Vec<f32>> = workers[..shards.len()]
            .par_iter_mut()
            .zip(&shards)
            .map(|(worker, shard)| worker.forward(model, shard, Dropout::none()).to_vec())
            .collect();
        let rows = rows.iter().flat_map(|rows| rows.chunks_exact(classes));
        for (&index, row) in indices.iter().zip(rows) {
            logits[index] = row.to_vec();
        }
    }
    logits
}

/// Tensors none of whose values got a gradient. The keys' biases are left out: softmax does not see
/// what is common to all keys, so their gradient is zero but for rounding.
fn without_gradient<'a>(layout: &'a Layout, gradients: &Gradients) -> Vec<&'a str> {
    let words = gradients
        .words
        .values()
        .iter()
        .all(|value| *value == 0.0)
        .then_some(&layout.words);
    let dense = layout.dense.iter().filter(|spec| {
        !spec.name.ends_with("attention.self.key.bias")
            && gradients.dense[spec.range.clone()]
                .iter()
                .all(|value| *value == 0.0)
    });
    words
        .into_iter()
        .chain(dense)
        .map(|spec| spec.name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trainer(shards: usize) -> Trainer {
        let config: BertConfig = serde_json::from_str(
            r#"{"vocab_size":30,"hidden_size":16,"intermediate_size":32,"num_hidden_layers":2,
                "num_attention_heads":2,"max_position_embeddings":12}"#,
        )
        .unwrap();
        let layout = Layout::new(&config, 2);
        let mut weights = Weights::zeros(&layout);
        let value = |i: usize| ((i * 7919 + 13) % 1000) as f32 / 2500.0 - 0.2;
        for spec in &layout.dense {
            let norm = spec.name.ends_with("LayerNorm.weight");
            for i in spec.range.clone() {
                weights.dense[i] = if norm { 1.0 } else { value(i) };
            }
        }
        weights
            .words
            .iter_mut()
            .enumerate()
            .for_each(|(i, w)| *w = value(i));
        let training = Training {
            shards,
            ..Training::default()
        };
        Trainer::new(config, layout, weights, &training, 5)
    }

    /// Sequences whose label says whether they hold the token 7.
    fn examples() -> Vec<Encoded> {
        (0..24u32)
            .map(|i| {
                let mut tokens: Vec<u32> =
                    (0..3 + i % 5).map(|j| 8 + (i * 5 + j * 3) % 20).collect();
                if i % 2 == 0 {
                    tokens[1] = 7;
                }
                Encoded {
                    tokens,
                    label: i % 2,
                }
            })
            .collect()
    }

    fn batch() -> Packed {
        let examples = examples();
        Packed::new(examples.iter().map(|e| (e.tokens.as_slice(), e.label)))
    }

    #[test]
    fn a_small_model_learns_what_a_token_means() {
        let mut trainer = trainer(2);
        let batch = batch();
        let first = trainer.step(&batch, 3e-3).unwrap().loss;
        for _ in 0..60 {
            trainer.step(&batch, 3e-3).unwrap();
        }
        let last = trainer.step(&batch, 3e-3).unwrap().loss;
        assert!(last < 0.1 && first > 0.5, "{first} -> {last}");
        for (example, logits) in examples().iter().zip(trainer.logits(&examples())) {
            assert!(logits[example.label as usize] > logits[1 - example.label as usize]);
        }
    }

    #[test]
    fn only_the_ratio_of_class_weights_counts_and_a_heavier_class_pulls_harder() {
        let run = |weights: &[f32]| {
            let mut trainer = trainer(2).with_class_weights(weights.to_vec());
            for _ in 0..20 {
                trainer.step(&batch(), 1e-3).unwrap();
            }
            let logits = trainer.logits(&examples());
            logits.iter().map(|row| row[1] - row[0]).sum::<f32>()
        };
        let equal = run(&[1.0, 1.0]);
        assert_eq!(equal.to_bits(), run(&[4.0, 4.0]).to_bits());
        assert!(run(&[1.0, 8.0]) > equal && equal > run(&[8.0, 1.0]));
    }

    #[test]
    fn a_tensor_without_a_gradient_is_named() {
        let trainer = trainer(1);
        let layout = &trainer.layout;
        let mut gradients = Gradients {
            dense: vec![1.0; layout.dense_len()],
            ..Gradients::default()
        };
        let query = "bert.encoder.layer.1.attention.self.query.weight";
        let spec = layout.dense.iter().find(|spec| spec.name == query).unwrap();
        gradients.dense[spec.range.clone()].fill(0.0);
        assert_eq!(
            without_gradient(layout, &gradients),
            ["bert.embeddings.word_embeddings.weight", query]
        );
    }

    #[test]
    fn one_seed_gives_one_model_to_the_bit() {
        let run = || {
            let mut trainer = trainer(2);
            let batch = batch();
            for _ in 0..5 {
                trainer.step(&batch, 1e-3).unwrap();
            }
            trainer.weights.clone()
        };
        assert!(run() == run());
    }

    #[test]
    fn logits_do_not_depend_on_the_neighbours() {
        let mut trainer = trainer(2);
        let together = trainer.logits(&examples());
        for (example, expected) in examples().iter().zip(together) {
            let alone = trainer.logits(std::slice::from_ref(example)).remove(0);
            for (a, b) in alone.iter().zip(expected) {
                assert!((a - b).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_learning_rate_that_blows_up_is_an_error_that_names_it() {
        let mut trainer = trainer(1);
        let batch = batch();
        let error = (0..50)
            .find_map(|_| trainer.step(&batch, 1e30).err())
            .unwrap();
        assert!(error.to_string().contains("learning_rate"), "{error}");
    }
}
