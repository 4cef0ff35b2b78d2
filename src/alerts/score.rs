//! One number for what a message says: where its labels stand between the first and the last.

/// Where a label stands between -1, the first, and 1, the last.
#[must_use]
pub fn position(label: usize, labels: usize) -> f64 {
    if labels < 2 {
        return 0.0;
    }
    2.0 * label as f64 / (labels - 1) as f64 - 1.0
}

/// The mean position of the labels by their probabilities.
#[must_use]
pub fn score(probabilities: &[f32]) -> f64 {
    let total: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
    let sum: f64 = probabilities
        .iter()
        .enumerate()
        .map(|(label, &p)| f64::from(p) * position(label, probabilities.len()))
        .sum();
    if total > 0.0 { sum / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_lies_between_the_first_label_and_the_last() {
        assert!((score(&[1.0, 0.0, 0.0]) + 1.0).abs() < 1e-9);
        assert!((score(&[0.0, 0.5, 0.5]) - 0.5).abs() < 1e-9);
        assert!(score(&[]).abs() < 1e-9);
        assert!(score(&[1.0]).abs() < 1e-9);
    }
}
