//! Proof that the exported file computes what the trainer does, alone and in whatever company.

use serde::{Deserialize, Serialize};

use crate::model::backend::{Backend, InferError};
use crate::model::probability::probabilities;
use crate::record::{Batch, Problem};

/// The largest difference of a probability that is accepted.
pub const LIMIT: f32 = 1e-4;

/// Texts scored together in the batched comparison.
const ROWS: usize = 16;
/// Padded tokens scored together where only the logits matter.
const BATCH_TOKENS: usize = 4096;

/// How far the exported model's probabilities are from the trainer's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Parity {
    /// Texts compared.
    pub texts: usize,
    /// Tokens of the shortest.
    pub shortest: usize,
    /// Tokens of the longest.
    pub longest: usize,
    /// Largest difference with each text scored alone.
    pub alone: f32,
    /// Largest difference with short and long texts padded into common batches.
    pub batched: f32,
}

impl Parity {
    /// Whether every probability agrees within [`LIMIT`].
    #[must_use]
    pub fn holds(&self) -> bool {
        // Not `max`, which passes over a NaN.
        self.alone <= LIMIT && self.batched <= LIMIT
    }
}

/// Indices of at most `count` texts, evenly spread over the range of lengths, shortest and longest included.
#[must_use]
pub fn spread(lengths: &[usize], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| lengths[index]);
    if order.len() <= count || count < 2 {
        order.truncate(count);
        return order;
    }
    (0..count)
        .map(|i| order[i * (order.len() - 1) / (count - 1)])
        .collect()
}

/// Compares the exported model with the trainer's logits of the same texts, sorted by length or not.
///
/// # Errors
/// [`InferError`] when the exported model fails on a text.
pub fn compare(
    backend: &mut dyn Backend,
    texts: &[&[u32]],
    expected: &[Vec<f32>],
    padding: u32,
) -> Result<Parity, InferError> {
    let all: Vec<usize> = (0..texts.len()).collect();
    let alone: Vec<Vec<usize>> = all.iter().map(|&index| vec![index]).collect();
    // Every batch takes each of its rows from another part of the list, so that short texts meet long ones.
    let batches = texts.len().div_ceil(ROWS).max(1);
    let mixed: Vec<Vec<usize>> = (0..batches)
        .map(|first| all.iter().copied().skip(first).step_by(batches).collect())
        .collect();
    let lengths = texts.iter().map(|text| text.len());
    Ok(Parity {
        texts: texts.len(),
        shortest: lengths.clone().min().unwrap_or(0),
        longest: lengths.max().unwrap_or(0),
        alone: largest_difference(&run(backend, texts, &alone, padding)?, expected),
        batched: largest_difference(&run(backend, texts, &mixed, padding)?, expected),
    })
}

/// The exported model's logits of each text, in order.
///
/// # Errors
/// [`InferError`] when the model fails on a batch.
pub fn logits(
    backend: &mut dyn Backend,
    texts: &[&[u32]],
    padding: u32,
) -> Result<Vec<Vec<f32>>, InferError> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&index| texts[index].len());
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for index in order {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * texts[index].len() <= BATCH_TOKENS => {
                batch.push(index)
            }
            _ => batches.push(vec![index]),
        }
    }
    run(backend, texts, &batches, padding)
}

fn run(
    backend: &mut dyn Backend,
    texts: &[&[u32]],
    batches: &[Vec<usize>],
    padding: u32,
) -> Result<Vec<Vec<f32>>, InferError> {
    let labels = backend.labels();
    let mut rows = vec![Vec::new(); texts.len()];
    for members in batches {
        let logits = backend.infer(&padded(texts, members, padding))?;
        for (&index, row) in members.iter().zip(logits.chunks_exact(labels)) {
            rows[index] = row.to_vec();
        }
    }
    Ok(rows)
}

fn padded(texts: &[&[u32]], members: &[usize], padding: u32) -> Batch {
    let width = members
        .iter()
        .map(|&index| texts[index].len())
        .max()
        .unwrap_or(0);
    let mut batch = Batch {
        rows: members.len(),
        width,
        members: members.to_vec(),
        ..Batch::default()
    };
    for &index in members {
        let text = texts[index];
        let empty = width - text.len();
        batch.ids.extend(
            text.iter()
                .copied()
                .chain(std::iter::repeat_n(padding, empty))
                .map(i64::from),
        );
        batch
            .mask
            .extend(std::iter::repeat_n(1, text.len()).chain(std::iter::repeat_n(0, empty)));
    }
    batch
}

/// Largest difference of a probability, at temperature one; infinite where a row is missing or not a number.
fn largest_difference(rows: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    let of_row = |(row, expected): (&Vec<f32>, &Vec<f32>)| {
        let [is, should] = [row, expected].map(|row| probabilities(row, 1.0, Problem::SingleLabel));
        if is.len() != should.len() || is.iter().any(|p| p.is_nan()) {
            return f32::INFINITY;
        }
        is.iter()
            .zip(&should)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    };
    rows.iter().zip(expected).map(of_row).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A model whose logits are the mean and the largest id of the tokens that are not padding; when it
    /// is faulty, padding counts too.
    struct Means {
        faulty: bool,
    }

    fn means(ids: impl Iterator<Item = i64> + Clone) -> Vec<f32> {
        let count = ids.clone().count() as f32;
        vec![
            ids.clone().sum::<i64>() as f32 / count / 100.0,
            ids.max().unwrap_or(0) as f32 / 100.0,
        ]
    }

    impl Backend for Means {
        fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, InferError> {
            let rows = batch
                .ids
                .chunks(batch.width)
                .zip(batch.mask.chunks(batch.width));
            let of_row = |(ids, mask): (&[i64], &[i64])| {
                let seen: Vec<i64> = ids
                    .iter()
                    .zip(mask)
                    .filter(|(_, m)| self.faulty || **m == 1)
                    .map(|(id, _)| *id)
                    .collect();
                means(seen.into_iter())
            };
            Ok(rows.flat_map(of_row).collect())
        }

        fn labels(&self) -> usize {
            2
        }

        fn device(&self) -> &'static str {
            "test"
        }
    }

    fn texts() -> Vec<Vec<u32>> {
        (1..60_u32)
            .map(|length| (0..length).map(|i| 5 + i % 90).collect())
            .collect()
    }

    fn expected(texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
        texts
            .iter()
            .map(|text| means(text.iter().map(|&id| i64::from(id))))
            .collect()
    }

    #[test]
    fn a_model_that_ignores_padding_agrees_alone_and_in_batches() {
        let texts = texts();
        let slices: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let parity = compare(&mut Means { faulty: false }, &slices, &expected(&texts), 0).unwrap();
        assert!(parity.holds(), "{parity:?}");
        assert_eq!((parity.texts, parity.shortest, parity.longest), (59, 1, 59));
        assert_eq!(
            logits(&mut Means { faulty: false }, &slices, 0).unwrap(),
            expected(&texts)
        );
    }

    #[test]
    fn a_model_that_reads_padding_is_caught_by_the_batched_comparison_only() {
        let texts = texts();
        let slices: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let parity = compare(&mut Means { faulty: true }, &slices, &expected(&texts), 0).unwrap();
        assert!(
            parity.alone <= LIMIT && parity.batched > LIMIT && !parity.holds(),
            "{parity:?}"
        );
    }

    #[test]
    fn an_answer_that_is_not_a_number_does_not_pass() {
        assert_eq!(
            largest_difference(&[vec![f32::NAN, 0.0]], &[vec![0.0, 0.0]]),
            f32::INFINITY
        );
    }

    proptest! {
        #[test]
        fn a_spread_holds_the_extremes_and_no_text_twice(
            lengths in prop::collection::vec(1_usize..100, 1..300), count in 2_usize..50,
        ) {
            let chosen = spread(&lengths, count);
            prop_assert_eq!(chosen.len(), count.min(lengths.len()));
            let distinct: std::collections::BTreeSet<_> = chosen.iter().collect();
            prop_assert_eq!(distinct.len(), chosen.len());
            let of = |index: &usize| lengths[*index];
            prop_assert_eq!(chosen.iter().map(of).max(), lengths.iter().copied().max());
            prop_assert_eq!(chosen.iter().map(of).min(), lengths.iter().copied().min());
        }
    }
}
