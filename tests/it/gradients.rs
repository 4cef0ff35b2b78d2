//! The model's loss and gradients against PyTorch's, on a tiny encoder whose weights both sides
//! compute from a formula. `tests/fixtures/make_gradients.py` made the reference numbers.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidewatch::train::bert::BertConfig;
use tidewatch::train::encoder::{Dropout, Gradients, Model, Worker};
use tidewatch::train::layout::{Layout, Spec};
use tidewatch::train::packed::Packed;
use tidewatch::train::weights::Weights;
use tidewatch_kernels::dropout::Masks;

#[derive(Deserialize)]
struct Reference {
    config: BertConfig,
    labels: usize,
    sequences: Vec<Vec<u32>>,
    targets: Vec<u32>,
    logits: Vec<Vec<f64>>,
    loss: f64,
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Tensor {
    shape: Vec<usize>,
    sum: f64,
    norm: f64,
    largest: f64,
    probe: f64,
    samples: Vec<(usize, f64)>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../fixtures/gradients.json")).expect("the fixture is JSON")
}

/// The formula of `make_gradients.py`: values in [-1, 1) from a tensor's name.
fn unit(name: &str, count: usize) -> Vec<f32> {
    let hash = |seed: u32, byte: u8| (seed ^ u32::from(byte)).wrapping_mul(16_777_619);
    let mut seed = name.bytes().fold(2_166_136_261, hash);
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn weight(spec: &Spec) -> Vec<f32> {
    let values = unit(&spec.name, spec.range.len()).into_iter();
    if spec.name.ends_with("LayerNorm.weight") {
        values.map(|v| 1.0 + 0.25 * v).collect()
    } else {
        let scale = if spec.name.ends_with(".bias") {
            0.125
        } else {
            0.25
        };
        values.map(|v| scale * v).collect()
    }
}

struct Setting {
    reference: Reference,
    layout: Layout,
    weights: Weights,
    batch: Packed,
}

impl Setting {
    fn new() -> Self {
        let reference = reference();
        let layout = Layout::new(&reference.config, reference.labels);
        let mut weights = Weights {
            dense: Vec::new(),
            words: weight(&layout.words),
        };
        weights.dense = layout.dense.iter().flat_map(weight).collect();
        let sequences = reference.sequences.iter().map(Vec::as_slice);
        let batch = Packed::new(sequences.zip(reference.targets.iter().copied()));
        Self {
            reference,
            layout,
            weights,
            batch,
        }
    }

    fn model(&self) -> Model<'_> {
        Model {
            config: &self.reference.config,
            layout: &self.layout,
            weights: &self.weights,
        }
    }

    /// Mean loss and gradients, computed in `shards` parts and added up.
    fn run(&self, shards: usize, dropout: Dropout) -> (f64, Vec<f32>, Gradients) {
        let (mut loss, mut logits, mut sum) = (0.0, Vec::new(), Gradients::default());
        sum.dense = vec![0.0; self.layout.dense_len()];
        let factors = vec![1.0 / self.batch.sequences() as f32; self.reference.labels];
        for shard in self.batch.shards(shards) {
            let mut worker = Worker::default();
            logits.extend_from_slice(worker.forward(self.model(), &shard, dropout));
            loss += worker.backward(self.model(), &shard, dropout, &factors);
            for (sum, value) in sum.dense.iter_mut().zip(&worker.gradients.dense) {
                *sum += value;
            }
            sum.words
                .merge(&worker.gradients.words, self.reference.config.hidden_size);
        }
        (loss, logits, sum)
    }

    /// All gradients as one dense tensor each, by name.
    fn tensors<'a>(&'a self, gradients: &'a Gradients) -> Vec<(&'a Spec, Vec<f32>)> {
        let width = self.reference.config.hidden_size;
        let row = |token: usize| match gradients.words.row(token as u32, width) {
            Some(row) => row.to_vec(),
            None => vec![0.0; width],
        };
        let words = (0..self.reference.config.vocab_size)
            .flat_map(row)
            .collect();
        let dense = self
            .layout
            .dense
            .iter()
            .map(|spec| (spec, gradients.dense[spec.range.clone()].to_vec()));
        std::iter::once((&self.layout.words, words))
            .chain(dense)
            .collect()
    }
}

#[test]
fn the_loss_and_the_logits_agree_with_pytorch() {
    let setting = Setting::new();
    let (loss, logits, _) = setting.run(1, Dropout::none());
    assert!(
        (loss / setting.reference.loss - 1.0).abs() < 1e-5,
        "{loss} != {}",
        setting.reference.loss
    );
    for (ours, theirs) in logits.iter().zip(setting.reference.logits.iter().flatten()) {
        assert!(
            (f64::from(*ours) - theirs).abs() < 1e-5,
            "{ours} != {theirs}"
        );
    }
}

#[test]
fn every_gradient_agrees_with_pytorch_to_one_part_in_ten_thousand() {
    let setting = Setting::new();
    for shards in [1, 2, 4] {
        let (_, _, gradients) = setting.run(shards, Dropout::none());
        let tensors = setting.tensors(&gradients);
        assert_eq!(tensors.len(), setting.reference.tensors.len());
        for (spec, ours) in tensors {
            compare(&setting.reference.tensors[&spec.name], spec, &ours);
        }
    }
}

/// Keys' biases move no probability (softmax does not see what is common to all keys), so their true
/// gradient is zero and only an absolute bound makes sense.
fn compare(theirs: &Tensor, spec: &Spec, ours: &[f32]) {
    assert_eq!(theirs.shape, spec.shape, "{}", spec.name);
    let double = || ours.iter().map(|v| f64::from(*v));
    let norm = double().map(|v| v * v).sum::<f64>().sqrt();
    let probes = unit(&format!("probe.{}", spec.name), ours.len());
    let probe: f64 = double().zip(&probes).map(|(v, p)| v * f64::from(*p)).sum();
    let size = (ours.len() as f64).sqrt();
    let near = |what: &str, ours: f64, theirs: f64, scale: f64| {
        let bound = 1e-4 * scale + 1e-7 * size;
        assert!(
            (ours - theirs).abs() <= bound,
            "{} of {}: {ours} != {theirs}",
            what,
            spec.name
        );
    };
    near("norm", norm, theirs.norm, theirs.norm);
    near("sum", double().sum(), theirs.sum, theirs.norm * size);
    near("probe", probe, theirs.probe, theirs.norm);
    for (index, value) in &theirs.samples {
        near("a value", f64::from(ours[*index]), *value, theirs.largest);
    }
}

#[test]
fn gradients_under_dropout_agree_with_finite_differences() {
    let mut setting = Setting::new();
    let dropout = Dropout {
        masks: Masks::new(11, 3),
        hidden: 0.1,
        attention: 0.1,
    };
    let (_, _, gradients) = setting.run(1, dropout);
    for spec in setting.layout.dense.clone() {
        // Along the gradient the difference is largest, so rounding in single precision hurts least.
        let gradient = gradients.dense[spec.range.clone()].to_vec();
        let norm = gradient
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        if norm < 1e-4 {
            assert!(
                spec.name.ends_with("key.bias"),
                "{} has no gradient",
                spec.name
            );
            continue;
        }
        let step = 2e-2 / norm;
        let mut loss_at = |sign: f64| {
            let moved: Vec<f32> = weight(&spec)
                .iter()
                .zip(&gradient)
                .map(|(w, g)| w + (sign * step * f64::from(*g)) as f32)
                .collect();
            setting.weights.dense[spec.range.clone()].copy_from_slice(&moved);
            setting.run(1, dropout).0
        };
        let slope = (loss_at(1.0) - loss_at(-1.0)) / (2.0 * step);
        loss_at(0.0);
        assert!(
            (slope / (norm * norm) - 1.0).abs() < 2e-2,
            "{}: {slope} != {}",
            spec.name,
            norm * norm
        );
    }
}

#[test]
fn the_cut_into_shards_does_not_change_a_step_with_dropout() {
    let setting = Setting::new();
    let dropout = Dropout {
        masks: Masks::new(11, 3),
        hidden: 0.1,
        attention: 0.1,
    };
    let (loss, _, whole) = setting.run(1, dropout);
    let (loss_in_parts, _, parts) = setting.run(3, dropout);
    assert!((loss - loss_in_parts).abs() < 1e-6);
    for (a, b) in whole.dense.iter().zip(&parts.dense) {
        assert!((a - b).abs() < 1e-5, "{a} != {b}");
    }
}
