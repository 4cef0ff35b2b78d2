//! The pooler's activation.

/// Replaces each value by its hyperbolic tangent.
pub fn forward(values: &mut [f32]) {
    for value in values {
        *value = value.tanh();
    }
}

/// Turns the gradient of the output into that of the input: times `1 - y²`, `y` being the output.
pub fn backward(output: &[f32], gradient: &mut [f32]) {
    for (gradient, y) in gradient.iter_mut().zip(output) {
        *gradient *= 1.0 - y * y;
    }
}
