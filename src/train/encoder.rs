//! The classifier: embeddings, encoder layers, pooler and head, forward and backward over one shard.
//!
//! The backward pass is written out rather than traced: each kernel's gradient is next to its
//! forward, the order is fixed, and every buffer is kept from step to step. The last layer computes
//! only what the head reads, the first token of each sequence.

use tidewatch_kernels::dropout::{Masks, Site};
use tidewatch_kernels::embedding::{self, SparseRows, Tables};
use tidewatch_kernels::matrix::Into;
use tidewatch_kernels::{attention, cross_entropy, layer_norm, linear, tanh};

use super::bert::BertConfig;
use super::layer::{self, Activations, Pass, Scratch, affine_gradients, two};
use super::layout::Layout;
use super::packed::Packed;
use super::weights::Weights;

/// Gradients of one shard, in the layout of the parameters.
#[derive(Default)]
pub struct Gradients {
    /// Of all tensors but the words.
    pub dense: Vec<f32>,
    /// Of the words that occurred.
    pub words: SparseRows,
}

/// Dropout of one training step, or none.
#[derive(Clone, Copy)]
pub struct Dropout {
    /// Masks of the step.
    pub masks: Masks,
    /// Share of hidden values dropped.
    pub hidden: f32,
    /// Share of attention probabilities dropped.
    pub attention: f32,
}

impl Dropout {
    /// Nothing is dropped.
    pub fn none() -> Self {
        Self {
            masks: Masks::new(0, 0),
            hidden: 0.0,
            attention: 0.0,
        }
    }
}

/// The buffers with which one thread runs the model over its shard of a batch.
#[derive(Default)]
pub struct Worker {
    embedded: Vec<f32>,
    embedding_norm: layer_norm::Saved,
    input: Vec<f32>,
    layers: Vec<Activations>,
    pooled: Vec<f32>,
    dropped: Vec<f32>,
    logits: Vec<f32>,
    scratch: Scratch,
    gradient: Vec<f32>,
    head_gradient: Vec<f32>,
    first_rows: Vec<usize>,
    /// Gradients of the last call of [`Worker::backward`].
    pub gradients: Gradients,
}

/// A model: sizes, layout and weights, shared by all workers of a step.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// Sizes of the encoder.
    pub config: &'a BertConfig,
    /// Where each tensor lies.
    pub layout: &'a Layout,
    /// The weights.
    pub weights: &'a Weights,
}

impl Worker {
    /// Computes the logits of a shard, one row of `labels` values a sequence.
    ///
    /// # Panics
    /// When a token is not in the vocabulary or a sequence is empty or longer than the positions.
    pub fn forward(&mut self, model: Model<'_>, shard: &Packed, dropout: Dropout) -> &[f32] {
        let Model {
            config,
            layout,
            weights,
        } = model;
        let width = config.hidden_size;
        self.first_rows.clear();
        self.first_rows.extend(0..=shard.sequences());
        self.layers
            .resize_with(config.num_hidden_layers, Activations::default);

        let tables = Tables {
            words: &weights.words,
            positions: &weights.dense[layout.positions.clone()],
            types: &weights.dense[layout.types.clone()],
            width,
        };
        self.embedded.resize(shard.tokens().len() * width, 0.0);
        embedding::forward(tables, shard.tokens(), shard.offsets(), &mut self.embedded);
        self.input.resize(self.embedded.len(), 0.0);
        let norm = embedding_norm(model);
        layer_norm::forward(
            norm,
            &self.embedded,
            None,
            &mut self.input,
            &mut self.embedding_norm,
        );
        let mask = dropout.masks.at(Site::Embeddings, dropout.hidden);
        mask.apply(&mut self.input, shard.first_row() * width);

        for (index, layer_layout) in layout.layers.iter().enumerate() {
            let pass = layer_pass(config, shard, &self.first_rows, dropout, index);
            let (before, rest) = self.layers.split_at_mut(index);
            let x = before
                .last()
                .map_or(&self.input, |previous| &previous.output);
            layer::forward(
                pass,
                layer_layout,
                &weights.dense,
                x,
                &mut rest[0],
                &mut self.scratch,
            );
        }

        let first = self.layers.last().map_or(&self.input, |last| &last.output);
        self.pooled.resize(first.len(), 0.0);
        let head = |map: &super::layout::Affine, x: &[f32], y: &mut [f32]| {
            let (weight, bias) = (
                &weights.dense[map.weight.clone()],
                &weights.dense[map.bias.clone()],
            );
            linear::forward(map.shape, x, weight, bias, y);
        };
        head(&layout.pooler, first, &mut self.pooled);
        tanh::forward(&mut self.pooled);
        self.dropped.clone_from(&self.pooled);
        let mask = dropout.masks.at(Site::Pooled, dropout.hidden);
        mask.apply(&mut self.dropped, shard.first_sequence() * width);
        self.logits
            .resize(shard.sequences() * layout.classifier.shape.outputs, 0.0);
        head(&layout.classifier, &self.dropped, &mut self.logits);
        &self.logits
    }

    /// After [`Worker::forward`] with the same arguments: the sum of the shard's losses (nats), each times the
    /// factor of its class. The gradients of that sum are written to `self.gradients`.
    pub fn backward(
        &mut self,
        model: Model<'_>,
        shard: &Packed,
        dropout: Dropout,
        factors: &[f32],
    ) -> f64 {
        let Model {
            config,
            layout,
            weights,
        } = model;
        let width = config.hidden_size;
        let dense = &weights.dense;
        self.gradients.dense.resize(layout.dense_len(), 0.0);
        let gradients = &mut self.gradients.dense;

        self.head_gradient.resize(self.logits.len(), 0.0);
        let loss = cross_entropy::forward_backward(
            &self.logits,
            shard.labels(),
            factors,
            &mut self.head_gradient,
        );
        affine_gradients(
            &layout.classifier,
            &self.dropped,
            &self.head_gradient,
            gradients,
        );
        let mut pooled = vec![0.0; self.pooled.len()];
        let weight = &dense[layout.classifier.weight.clone()];
        linear::backward_input(
            layout.classifier.shape,
            &self.head_gradient,
            weight,
            &mut pooled,
            Into::Replace,
        );
        let mask = dropout.masks.at(Site::Pooled, dropout.hidden);
        mask.apply(&mut pooled, shard.first_sequence() * width);
        tanh::backward(&self.pooled, &mut pooled);
        let first = self.layers.last().map_or(&self.input, |last| &last.output);
        affine_gradients(&layout.pooler, first, &pooled, gradients);
        self.gradient.resize(first.len(), 0.0);
        let weight = &dense[layout.pooler.weight.clone()];
        linear::backward_input(
            layout.pooler.shape,
            &pooled,
            weight,
            &mut self.gradient,
            Into::Replace,
        );

        for (index, layer_layout) in layout.layers.iter().enumerate().rev() {
            let pass = layer_pass(config, shard, &self.first_rows, dropout, index);
            let (before, rest) = self.layers.split_at(index);
            let x = before
                .last()
                .map_or(&self.input, |previous| &previous.output);
            let (scratch, gradient) = (&mut self.scratch, &mut self.gradient);
            layer::backward(
                pass,
                layer_layout,
                dense,
                x,
                &rest[0],
                scratch,
                gradient,
                gradients,
            );
        }

        let mask = dropout.masks.at(Site::Embeddings, dropout.hidden);
        mask.apply(&mut self.gradient, shard.first_row() * width);
        let norm = &layout.embedding_norm;
        let (dweight, dbias) = two(gradients, &norm.weight, &norm.bias);
        layer_norm::backward(
            embedding_norm(model),
            &self.embedding_norm,
            &mut self.gradient,
            dweight,
            dbias,
        );
        let (positions, types) = two(gradients, &layout.positions, &layout.types);
        embedding::backward(
            &self.gradient,
            shard.tokens(),
            shard.offsets(),
            &mut self.gradients.words,
            positions,
            &mut types[..width],
            width,
        );
        loss
    }
}

fn embedding_norm(model: Model<'_>) -> layer_norm::Affine<'_> {
    let norm = &model.layout.embedding_norm;
    layer_norm::Affine {
        weight: &model.weights.dense[norm.weight.clone()],
        bias: &model.weights.dense[norm.bias.clone()],
        epsilon: model.config.layer_norm_eps,
    }
}

fn layer_pass<'a>(
    config: &BertConfig,
    shard: &'a Packed,
    first_rows: &'a [usize],
    dropout: Dropout,
    index: usize,
) -> Pass<'a> {
    let last = index + 1 == config.num_hidden_layers;
    Pass {
        index,
        attention: attention::Shape {
            heads: config.num_attention_heads,
            head_width: config.head_width(),
            positions: config.max_position_embeddings,
        },
        epsilon: config.layer_norm_eps,
        masks: dropout.masks,
        hidden_dropout: dropout.hidden,
        attention_dropout: dropout.attention,
        spans: attention::Spans {
            queries: if last { first_rows } else { shard.offsets() },
            keys: shard.offsets(),
        },
        first_row: if last {
            shard.first_sequence()
        } else {
            shard.first_row()
        },
    }
}
