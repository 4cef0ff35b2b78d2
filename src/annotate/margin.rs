//! How sure a model is of its answer.

use crate::record::Problem;

/// From 0, where two answers are equally likely, to 1: the distance of the two largest probabilities (Scheffer, Decomain and
/// Wrobel 2001, "Active hidden Markov models for information extraction"). Of labels that hold independently of each other
/// it is the smallest distance of one's two answers. A probability that is no number makes it 0: such a message should be
/// looked at.
#[must_use]
pub fn margin(probabilities: &[f32], problem: Problem) -> f64 {
    let margin = match problem {
        Problem::SingleLabel => {
            let (mut first, mut second) = (0.0_f64, 0.0_f64);
            for &p in probabilities {
                let p = f64::from(p);
                if p.is_nan() {
                    return 0.0;
                }
                if p > first {
                    (first, second) = (p, first);
                } else if p > second {
                    second = p;
                }
            }
            first - second
        }
        Problem::MultiLabel => {
            let distances = probabilities
                .iter()
                .map(|&p| (2.0 * f64::from(p) - 1.0).abs());
            // f64::min would pass over what is no number.
            distances.fold(1.0, |least, distance| {
                if distance < least || distance.is_nan() {
                    distance
                } else {
                    least
                }
            })
        }
    };
    if margin.is_nan() {
        0.0
    } else {
        margin.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_between_the_two_likeliest_answers() {
        let single = |p: &[f32]| margin(p, Problem::SingleLabel);
        assert!((single(&[0.2, 0.5, 0.3]) - 0.2).abs() < 1e-6);
        assert!((single(&[0.4, 0.4, 0.2])).abs() < 1e-6);
        assert!((single(&[1.0]) - 1.0).abs() < 1e-6);
        let multi = |p: &[f32]| margin(p, Problem::MultiLabel);
        assert!((multi(&[0.9, 0.45, 0.1]) - 0.1).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_number_is_as_unsure_as_can_be() {
        for problem in [Problem::SingleLabel, Problem::MultiLabel] {
            assert_eq!(margin(&[0.9, f32::NAN], problem), 0.0);
            assert_eq!(margin(&[f32::NAN, 0.9], problem), 0.0);
        }
        assert_eq!(margin(&[], Problem::SingleLabel), 0.0);
    }
}
