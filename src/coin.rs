//! A coin that falls the same way for the same thing, whoever tosses it and however often.

use sha2::{Digest, Sha256};

/// A number in [0, 1), evenly distributed over things and independent of those of other salts.
///
/// It is the head of the SHA-256 of the salt and the parts, each with its length, so that no two lists of parts run
/// together.
#[must_use]
pub fn toss(salt: &str, parts: &[&[u8]]) -> f64 {
    let mut hash = Sha256::new();
    for part in std::iter::once(&salt.as_bytes()).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut head = [0; 8];
    head.copy_from_slice(&hash.finalize()[..8]);
    // The 53 bits that a float holds.
    (u64::from_be_bytes(head) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tosses_are_even_and_those_of_two_salts_are_independent() {
        let tosses = |salt: &str| -> Vec<f64> {
            (0..20_000_u32)
                .map(|thing| toss(salt, &[&thing.to_be_bytes()]))
                .collect()
        };
        let (one, other) = (tosses("one"), tosses("other"));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean(&one) - 0.5).abs() < 0.01 && one.iter().all(|u| (0.0..1.0).contains(u)));
        let products: Vec<f64> = one
            .iter()
            .zip(&other)
            .map(|(a, b)| (a - 0.5) * (b - 0.5))
            .collect();
        // The standard deviation of a product is 1/12.
        assert!(mean(&products).abs() < 4.0 / 12.0 / 20_000_f64.sqrt());
        assert_eq!(one, tosses("one"));
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(toss("s", &[b"ab", b"c"]), toss("s", &[b"a", b"bc"]));
        assert_ne!(toss("sa", &[b"b"]), toss("s", &[b"ab"]));
    }
}
