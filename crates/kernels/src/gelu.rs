//! GELU by the error function: `x Φ(x)`, as BERT was trained with.

use super::math::normal;
use super::simd::vectorised;

/// Writes `x Φ(x)` to `y`.
pub fn forward(x: &[f32], y: &mut [f32]) {
    vectorised!({
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x * normal(x).0;
        }
    });
}

/// Turns the gradient of the output, in `gradient`, into that of the input: times `Φ(x) + x φ(x)`.
pub fn backward(x: &[f32], gradient: &mut [f32]) {
    vectorised!({
        for (gradient, &x) in gradient.iter_mut().zip(x) {
            let (cdf, density) = normal(x);
            *gradient *= x.mul_add(density, cdf);
        }
    });
}
