//! The affine map `y = x Wᵀ + b` over rows, weights as PyTorch keeps them (`outputs` x `inputs`).

use super::matrix::{Into, View, ViewMut, multiply};
use super::simd::vectorised;

/// Sizes of one affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Width of a row that goes in.
    pub inputs: usize,
    /// Width of a row that comes out.
    pub outputs: usize,
}

/// Writes `x Wᵀ + b` to `y`; the number of rows is that of `x`.
pub fn forward(shape: Shape, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    let Shape { inputs, outputs } = shape;
    let rows = x.len() / inputs;
    // The bias goes in first and the product is added to it: one pass less than adding it after.
    for row in y.chunks_exact_mut(outputs) {
        row.copy_from_slice(bias);
    }
    multiply(
        1.0,
        View::new(x, rows, inputs, inputs),
        View::new(weight, outputs, inputs, inputs).transposed(),
        ViewMut::new(y, rows, outputs, outputs),
        Into::Add,
    );
}

/// Gradient of the input: `dx = dy W`, replacing or adding to `dx`.
pub fn backward_input(shape: Shape, dy: &[f32], weight: &[f32], dx: &mut [f32], into: Into) {
    let Shape { inputs, outputs } = shape;
    let rows = dy.len() / outputs;
    multiply(
        1.0,
        View::new(dy, rows, outputs, outputs),
        View::new(weight, outputs, inputs, inputs),
        ViewMut::new(dx, rows, inputs, inputs),
        into,
    );
}

/// Gradients of the parameters, replacing what is there: `dW = dyᵀ x`, `db` the column sums of `dy`.
pub fn backward_parameters(
    shape: Shape,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
) {
    let Shape { inputs, outputs } = shape;
    let rows = x.len() / inputs;
    multiply(
        1.0,
        View::new(dy, rows, outputs, outputs).transposed(),
        View::new(x, rows, inputs, inputs),
        ViewMut::new(dweight, outputs, inputs, inputs),
        Into::Replace,
    );
    dbias.fill(0.0);
    vectorised!({
        for row in dy.chunks_exact(outputs) {
            for (sum, value) in dbias.iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
}
