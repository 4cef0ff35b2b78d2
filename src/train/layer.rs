//! One encoder layer, forward and backward, over packed rows.

use tidewatch_kernels::dropout::{Masks, Site};
use tidewatch_kernels::matrix::Into;
use tidewatch_kernels::{attention, gelu, layer_norm, linear};

use super::layout::{Affine, LayerLayout, Norm};

/// What is fixed over a pass: sizes, rates, masks and the place of the rows in the whole batch.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// Number of this layer.
    pub index: usize,
    /// Sizes of its attention.
    pub attention: attention::Shape,
    /// Added to variances.
    pub epsilon: f32,
    /// Masks of the step.
    pub masks: Masks,
    /// Dropout on the outputs of attention and feed-forward part.
    pub hidden_dropout: f32,
    /// Dropout on the attention probabilities.
    pub attention_dropout: f32,
    /// Row spans of the sequences, queries and keys.
    pub spans: attention::Spans<'a>,
    /// Number, in the whole batch, of the first query row.
    pub first_row: usize,
}

impl Pass<'_> {
    fn drop(&self) -> attention::Drop {
        attention::Drop {
            mask: self
                .masks
                .at(Site::Probabilities(self.index), self.attention_dropout),
            first_row: self.first_row,
        }
    }

    fn branch(&self, site: Site, width: usize) -> layer_norm::Branch {
        let mask = self.masks.at(site, self.hidden_dropout);
        layer_norm::Branch {
            mask,
            first: self.first_row * width,
        }
    }

    fn norm<'p>(&self, parameters: &'p [f32], norm: &Norm) -> layer_norm::Affine<'p> {
        layer_norm::Affine {
            weight: &parameters[norm.weight.clone()],
            bias: &parameters[norm.bias.clone()],
            epsilon: self.epsilon,
        }
    }

    /// True where only the first row of each sequence is a query.
    fn first_rows_only(&self) -> bool {
        self.spans.queries != self.spans.keys
    }
}

/// Activations a layer keeps for its backward pass. The memory is reused from step to step.
#[derive(Default)]
pub struct Activations {
    queries_in: Vec<f32>,
    query: Vec<f32>,
    key_value: Vec<f32>,
    probabilities: Vec<f32>,
    context: Vec<f32>,
    attention_norm: layer_norm::Saved,
    attended: Vec<f32>,
    inner: Vec<f32>,
    activated: Vec<f32>,
    output_norm: layer_norm::Saved,
    /// The layer's output, a row for each query row.
    pub output: Vec<f32>,
}

/// Buffers the passes of all layers share.
#[derive(Default)]
pub struct Scratch {
    projected: Vec<f32>,
    branch: Vec<f32>,
    inner: Vec<f32>,
    context: Vec<f32>,
    query: Vec<f32>,
    key_value: Vec<f32>,
}

/// Resizes a buffer whose values are about to be overwritten.
fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    } else {
        buffer.truncate(length);
    }
    buffer
}

fn affine(map: &Affine, parameters: &[f32], x: &[f32], y: &mut Vec<f32>) {
    let rows = x.len() / map.shape.inputs;
    let y = sized(y, rows * map.shape.outputs);
    linear::forward(
        map.shape,
        x,
        &parameters[map.weight.clone()],
        &parameters[map.bias.clone()],
        y,
    );
}

/// Writes the gradients of a map's parameters.
pub(super) fn affine_gradients(map: &Affine, x: &[f32], dy: &[f32], gradients: &mut [f32]) {
    let (weight, bias) = two(gradients, &map.weight, &map.bias);
    linear::backward_parameters(map.shape, x, dy, weight, bias);
}

/// Mutable slices of two ranges, the first lying before the second.
pub(super) fn two<'a>(
    values: &'a mut [f32],
    first: &std::ops::Range<usize>,
    second: &std::ops::Range<usize>,
) -> (&'a mut [f32], &'a mut [f32]) {
    let (head, tail) = values.split_at_mut(second.start);
    (&mut head[first.clone()], &mut tail[..second.len()])
}

/// Computes the layer's output for the rows `x` (one a key row) into `activations.output`.
pub fn forward(
    pass: Pass<'_>,
    layout: &LayerLayout,
    parameters: &[f32],
    x: &[f32],
    activations: &mut Activations,
    scratch: &mut Scratch,
) {
    let width = layout.query.shape.inputs;
    let a = activations;
    gather_queries(pass, x, width, &mut a.queries_in);
    affine(&layout.query, parameters, &a.queries_in, &mut a.query);
    affine(&layout.key_value, parameters, x, &mut a.key_value);
    let context = sized(&mut a.context, a.query.len());
    attention::forward(
        pass.attention,
        pass.spans,
        &a.query,
        &a.key_value,
        pass.drop(),
        &mut a.probabilities,
        context,
    );
    affine(
        &layout.attention_output,
        parameters,
        &a.context,
        &mut scratch.projected,
    );
    layer_norm::forward(
        pass.norm(parameters, &layout.attention_norm),
        &scratch.projected,
        Some((
            &a.queries_in,
            pass.branch(Site::AttentionOutput(pass.index), width),
        )),
        sized(&mut a.attended, scratch.projected.len()),
        &mut a.attention_norm,
    );
    affine(&layout.intermediate, parameters, &a.attended, &mut a.inner);
    gelu::forward(&a.inner, sized(&mut a.activated, a.inner.len()));
    affine(
        &layout.output,
        parameters,
        &a.activated,
        &mut scratch.projected,
    );
    layer_norm::forward(
        pass.norm(parameters, &layout.output_norm),
        &scratch.projected,
        Some((
            &a.attended,
            pass.branch(Site::LayerOutput(pass.index), width),
        )),
        sized(&mut a.output, scratch.projected.len()),
        &mut a.output_norm,
    );
}

/// Turns the gradient of the output, in `gradient` (one row a query row), into that of the input
/// (one row a key row), and writes the gradients of the layer's parameters.
#[expect(
    clippy::too_many_arguments,
    reason = "the forward pass's six, and one gradient each of rows and parameters"
)]
pub fn backward(
    pass: Pass<'_>,
    layout: &LayerLayout,
    parameters: &[f32],
    x: &[f32],
    activations: &Activations,
    scratch: &mut Scratch,
    gradient: &mut Vec<f32>,
    gradients: &mut [f32],
) {
    let width = layout.query.shape.inputs;
    let (a, s) = (activations, scratch);
    let weight = |map: &Affine| &parameters[map.weight.clone()];

    // Feed-forward part: `gradient` becomes that of (branch + attended), then of attended.
    let (dweight, dbias) = two(
        gradients,
        &layout.output_norm.weight,
        &layout.output_norm.bias,
    );
    layer_norm::backward(
        pass.norm(parameters, &layout.output_norm),
        &a.output_norm,
        gradient,
        dweight,
        dbias,
    );
    let branch = masked_copy(
        pass.branch(Site::LayerOutput(pass.index), width),
        gradient,
        &mut s.branch,
    );
    affine_gradients(&layout.output, &a.activated, branch, gradients);
    let inner = sized(&mut s.inner, a.inner.len());
    linear::backward_input(
        layout.output.shape,
        branch,
        weight(&layout.output),
        inner,
        Into::Replace,
    );
    gelu::backward(&a.inner, inner);
    affine_gradients(&layout.intermediate, &a.attended, inner, gradients);
    linear::backward_input(
        layout.intermediate.shape,
        inner,
        weight(&layout.intermediate),
        gradient,
        Into::Add,
    );

    // Attention part: `gradient` becomes that of (branch + queries_in), then of the queries' input.
    let (dweight, dbias) = two(
        gradients,
        &layout.attention_norm.weight,
        &layout.attention_norm.bias,
    );
    layer_norm::backward(
        pass.norm(parameters, &layout.attention_norm),
        &a.attention_norm,
        gradient,
        dweight,
        dbias,
    );
    let branch = masked_copy(
        pass.branch(Site::AttentionOutput(pass.index), width),
        gradient,
        &mut s.branch,
    );
    affine_gradients(&layout.attention_output, &a.context, branch, gradients);
    let context = sized(&mut s.context, a.context.len());
    linear::backward_input(
        layout.attention_output.shape,
        branch,
        weight(&layout.attention_output),
        context,
        Into::Replace,
    );
    let query = sized(&mut s.query, a.query.len());
    let key_value = sized(&mut s.key_value, a.key_value.len());
    attention::backward(
        pass.attention,
        pass.spans,
        &a.query,
        &a.key_value,
        pass.drop(),
        &a.probabilities,
        context,
        query,
        key_value,
    );
    affine_gradients(&layout.query, &a.queries_in, query, gradients);
    affine_gradients(&layout.key_value, x, key_value, gradients);
    linear::backward_input(
        layout.query.shape,
        query,
        weight(&layout.query),
        gradient,
        Into::Add,
    );
    scatter_queries(pass, width, gradient, x.len());
    linear::backward_input(
        layout.key_value.shape,
        key_value,
        weight(&layout.key_value),
        gradient,
        Into::Add,
    );
}

fn masked_copy<'a>(
    branch: layer_norm::Branch,
    gradient: &[f32],
    out: &'a mut Vec<f32>,
) -> &'a [f32] {
    out.clear();
    out.extend_from_slice(gradient);
    branch.mask.apply(out, branch.first);
    out
}

/// The input rows that are queries: all of them, or the first of each sequence.
fn gather_queries(pass: Pass<'_>, x: &[f32], width: usize, out: &mut Vec<f32>) {
    out.clear();
    if !pass.first_rows_only() {
        out.extend_from_slice(x);
        return;
    }
    for (queries, keys) in pass
        .spans
        .queries
        .windows(2)
        .zip(pass.spans.keys.windows(2))
    {
        let rows = queries[1] - queries[0];
        out.extend_from_slice(&x[keys[0] * width..][..rows * width]);
    }
}

/// The reverse of [`gather_queries`] for gradients: rows that are no query get zero.
fn scatter_queries(pass: Pass<'_>, width: usize, gradient: &mut Vec<f32>, length: usize) {
    if !pass.first_rows_only() {
        return;
    }
    let queries = std::mem::take(gradient);
    gradient.resize(length, 0.0);
    for (span, keys) in pass
        .spans
        .queries
        .windows(2)
        .zip(pass.spans.keys.windows(2))
    {
        let rows = &queries[span[0] * width..span[1] * width];
        gradient[keys[0] * width..][..rows.len()].copy_from_slice(rows);
    }
}
