//! A share that was counted, and how far it can be trusted.

/// The 97.5 % quantile of the standard normal distribution: 95 % lie within so many standard deviations.
pub const Z95: f64 = 1.959_963_984_540_054;

/// The 95 % score interval of a share of which `hits` of `trials` were counted (Wilson 1927, "Probable Inference, the Law of
/// Succession, and Statistical Inference"). Unlike the textbook interval it stays within 0 and 1 and keeps a width when all or
/// none are hits. Without trials it is everything from 0 to 1.
#[must_use]
pub fn wilson(hits: u64, trials: u64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    score_interval(share(hits, trials), trials as f64, Z95)
}

/// The same of a share that was estimated on `trials` examples, which need not be a whole number where they have weights, `z`
/// standard deviations wide to each side; everything from 0 to 1 for none.
#[must_use]
pub fn score_interval(share: f64, trials: f64, z: f64) -> (f64, f64) {
    if trials <= 0.0 || trials.is_nan() {
        return (0.0, 1.0);
    }
    let z2 = z * z;
    let centre = (share + z2 / (2.0 * trials)) / (1.0 + z2 / trials);
    let spread = share * (1.0 - share) / trials + z2 / (4.0 * trials * trials);
    let half = z / (1.0 + z2 / trials) * spread.max(0.0).sqrt();
    // Rounding must not leave the share itself outside.
    (
        (centre - half).clamp(0.0, share),
        (centre + half).clamp(share, 1.0),
    )
}

/// Part of a whole, at most 1; 0 of nothing.
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    part.min(whole) as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    #[test]
    fn the_interval_is_that_of_the_published_examples() {
        for (hits, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (l, h) = wilson(hits, trials);
            assert!(
                (l - low).abs() < 5e-5 && (h - high).abs() < 5e-5,
                "{hits} of {trials}: {l} {h}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_share_and_lies_within_zero_and_one(trials in 0_u64..5000, part in 0.0_f64..=1.0) {
            let hits = (trials as f64 * part) as u64;
            let (low, high) = wilson(hits, trials);
            let share = share(hits, trials);
            prop_assert!((0.0..=share).contains(&low) && (share..=1.0).contains(&high));
            prop_assert!(low < high);
        }
    }
}
