//! Many p-values at once.

/// Holm's step-down adjusted p-values (Holm 1979, "A simple sequentially rejective multiple test procedure"), in the order
/// given. Rejecting those below a level keeps the chance of any false rejection at or below it, however the tests depend on
/// each other.
#[must_use]
pub fn adjust(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&one, &other| ps[one].total_cmp(&ps[other]));
    let mut adjusted = vec![1.0; ps.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((ps.len() - rank) as f64 * ps[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Worked out by hand.
    #[test]
    fn a_small_example_agrees_with_pencil_and_paper() {
        let adjusted = adjust(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((value - expected).abs() < 1e-12, "{adjusted:?}");
        }
    }

    proptest! {
        #[test]
        fn adjusted_values_keep_the_order_and_lie_between_the_raw_one_and_bonferronis(
            ps in prop::collection::vec(0.0_f64..=1.0, 1..10),
        ) {
            let adjusted = adjust(&ps);
            let all = ps.len() as f64;
            for (index, &p) in ps.iter().enumerate() {
                prop_assert!(adjusted[index] >= p && adjusted[index] <= (all * p).min(1.0));
                for (other, &q) in ps.iter().enumerate() {
                    prop_assert!(p > q || adjusted[index] <= adjusted[other]);
                }
            }
            let smallest = ps.iter().copied().fold(1.0, f64::min);
            let least = adjusted.iter().copied().fold(1.0, f64::min);
            prop_assert_eq!(least, (all * smallest).min(1.0));
        }
    }
}
