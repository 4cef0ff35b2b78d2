//! Softmax cross entropy over a handful of classes.

/// Negative log likelihood of the right class, summed over the rows of `logits`, in nats.
///
/// `gradient` receives `factor * (softmax - one-hot)`: with `factor = 1 / rows of the batch` it is the
/// gradient of the mean loss.
///
/// # Panics
/// When a label is not below `classes`.
pub fn forward_backward(
    classes: usize,
    logits: &[f32],
    labels: &[u32],
    factor: f32,
    gradient: &mut [f32],
) -> f64 {
    let mut total = 0.0;
    let rows = logits
        .chunks_exact(classes)
        .zip(gradient.chunks_exact_mut(classes))
        .zip(labels);
    for ((logits, gradient), &label) in rows {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|x| (x - largest).exp()).sum();
        for (g, x) in gradient.iter_mut().zip(logits) {
            *g = (x - largest).exp() / sum * factor;
        }
        let label = label as usize;
        gradient[label] -= factor;
        total += f64::from(sum.ln() + largest - logits[label]);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_number_of_classes() {
        let mut gradient = [0.0; 3];
        let loss = forward_backward(3, &[5.0; 3], &[1], 1.0, &mut gradient);
        assert!((loss - 3f64.ln()).abs() < 1e-6);
        assert!((gradient[0] - 1.0 / 3.0).abs() < 1e-6 && (gradient[1] + 2.0 / 3.0).abs() < 1e-6);
    }
}
