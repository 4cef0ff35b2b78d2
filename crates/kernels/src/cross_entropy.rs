//! Softmax cross entropy over a handful of classes.

/// Negative log likelihood of the right class in nats times the factor of that class, summed over the rows of
/// `logits`.
///
/// `gradient` receives `factor * (softmax - one-hot)`: with `1 / rows of the batch` for every class it is the
/// gradient of the mean loss. There are as many classes as `factors`.
///
/// # Panics
/// When a label has no factor.
pub fn forward_backward(
    logits: &[f32],
    labels: &[u32],
    factors: &[f32],
    gradient: &mut [f32],
) -> f64 {
    let classes = factors.len();
    let mut total = 0.0;
    let rows = logits
        .chunks_exact(classes)
        .zip(gradient.chunks_exact_mut(classes))
        .zip(labels);
    for ((logits, gradient), &label) in rows {
        let label = label as usize;
        let factor = factors[label];
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|x| (x - largest).exp()).sum();
        for (g, x) in gradient.iter_mut().zip(logits) {
            *g = (x - largest).exp() / sum * factor;
        }
        gradient[label] -= factor;
        total += f64::from(factor) * f64::from(sum.ln() + largest - logits[label]);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_number_of_classes() {
        let mut gradient = [0.0; 3];
        let loss = forward_backward(&[5.0; 3], &[1], &[1.0; 3], &mut gradient);
        assert!((loss - 3f64.ln()).abs() < 1e-6);
        assert!((gradient[0] - 1.0 / 3.0).abs() < 1e-6 && (gradient[1] + 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn a_class_with_twice_the_factor_counts_twice() {
        let (mut once, mut twice) = ([0.0; 2], [0.0; 2]);
        let logits = [0.3, -0.4];
        let single = forward_backward(&logits, &[1], &[9.0, 0.25], &mut once);
        let double = forward_backward(&logits, &[1], &[9.0, 0.5], &mut twice);
        assert_eq!(double, 2.0 * single);
        assert_eq!(twice, once.map(|g| 2.0 * g));
    }
}
