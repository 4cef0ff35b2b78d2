//! Layer norm of a sum: `LayerNorm(mask(x) + residual)`, the residual step of a BERT layer.

use super::dropout::Mask;
use super::simd::{dot, sum_by, vectorised};

/// What the backward pass needs: the normalised rows and the inverse standard deviations.
#[derive(Default)]
pub struct Saved {
    normalised: Vec<f32>,
    inverse_deviation: Vec<f32>,
}

/// Scale and shift of one layer norm.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    /// gamma, one value a column.
    pub weight: &'a [f32],
    /// beta, one value a column.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// Dropout on the branch that is added to the residual.
#[derive(Clone, Copy)]
pub struct Branch {
    /// The mask of the site.
    pub mask: Mask,
    /// Element number of the first value.
    pub first: usize,
}

/// Writes `LayerNorm(x)`, or `LayerNorm(mask(x) + residual)` where a residual is given, to `y`.
pub fn forward(
    affine: Affine<'_>,
    x: &[f32],
    residual: Option<(&[f32], Branch)>,
    y: &mut [f32],
    saved: &mut Saved,
) {
    let width = affine.weight.len();
    saved.normalised.resize(x.len(), 0.0);
    saved.inverse_deviation.resize(x.len() / width, 0.0);
    let rows = x
        .chunks_exact(width)
        .zip(y.chunks_exact_mut(width))
        .zip(saved.normalised.chunks_exact_mut(width))
        .zip(&mut saved.inverse_deviation)
        .enumerate();
    for (row, (((x, y), normalised), inverse)) in rows {
        vectorised!({
            match residual {
                Some((residual, branch)) => {
                    let residual = &residual[row * width..][..width];
                    sum_into(normalised, x, residual, branch, row * width);
                }
                None => normalised.copy_from_slice(x),
            }
            *inverse = normalise(normalised, affine.epsilon);
            for (((y, n), w), b) in y
                .iter_mut()
                .zip(&*normalised)
                .zip(affine.weight)
                .zip(affine.bias)
            {
                *y = n.mul_add(*w, *b);
            }
        });
    }
}

#[inline(always)]
fn sum_into(sum: &mut [f32], x: &[f32], residual: &[f32], branch: Branch, offset: usize) {
    if branch.mask.keeps_all() {
        for ((sum, x), r) in sum.iter_mut().zip(x).zip(residual) {
            *sum = x + r;
        }
    } else {
        let first = (branch.first + offset) as u32;
        for (i, ((sum, x), r)) in sum.iter_mut().zip(x).zip(residual).enumerate() {
            *sum = x.mul_add(branch.mask.factor(first.wrapping_add(i as u32)), *r);
        }
    }
}

/// Normalises one row in place and returns the inverse of its standard deviation.
#[inline(always)]
fn normalise(row: &mut [f32], epsilon: f32) -> f32 {
    let width = row.len() as f32;
    let mean = sum_by(row.len(), |i| row[i]) / width;
    for value in row.iter_mut() {
        *value -= mean;
    }
    let inverse = 1.0 / (dot(row, row) / width + epsilon).sqrt();
    for value in row.iter_mut() {
        *value *= inverse;
    }
    inverse
}

/// Turns the gradient of the output, in `gradient`, into that of the (masked) sum, and writes the
/// gradients of weight and bias, replacing what is there.
///
/// The residual's gradient is that of the sum; the branch's is [`Mask::apply`] of it.
pub fn backward(
    affine: Affine<'_>,
    saved: &Saved,
    gradient: &mut [f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
) {
    let width = affine.weight.len();
    dweight.fill(0.0);
    dbias.fill(0.0);
    let rows = gradient
        .chunks_exact_mut(width)
        .zip(saved.normalised.chunks_exact(width))
        .zip(&saved.inverse_deviation);
    for ((gradient, normalised), inverse) in rows {
        vectorised!({
            for (((dw, db), g), n) in dweight
                .iter_mut()
                .zip(dbias.iter_mut())
                .zip(gradient.iter_mut())
                .zip(normalised)
            {
                *dw += *g * n;
                *db += *g;
            }
            for (g, w) in gradient.iter_mut().zip(affine.weight) {
                *g *= w;
            }
            let mean = sum_by(width, |i| gradient[i]) / width as f32;
            let slope = dot(gradient, normalised) / width as f32;
            for (g, n) in gradient.iter_mut().zip(normalised) {
                *g = (*g - mean - n * slope) * inverse;
            }
        });
    }
}
