//! How training examples are put into batches.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// When a batch is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchSize {
    /// After this many sequences.
    Sequences(usize),
    /// Before its sequences hold more than this many tokens together.
    Tokens(usize),
}

/// Batches worth of examples that are sorted by length together.
const POOL: usize = 50;

/// The batches of one epoch: each is a list of indices into `lengths`.
///
/// Examples are shuffled, cut into pools, sorted by length within a pool, and cut into batches, which
/// are shuffled. Sequences of a batch are of similar length, so its shards are equally heavy, while
/// which ones meet changes from epoch to epoch.
pub fn epoch(lengths: &[usize], size: BatchSize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(rng);
    let mean = lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64;
    let in_batch = match size {
        BatchSize::Sequences(count) => count.max(1),
        BatchSize::Tokens(tokens) => ((tokens as f64 / mean.max(1.0)) as usize).max(1),
    };
    let mut batches = Vec::new();
    for pool in order.chunks_mut(in_batch * POOL) {
        pool.sort_by_key(|&index| lengths[index]);
        cut(pool, lengths, size, &mut batches);
    }
    batches.shuffle(rng);
    batches
}

fn cut(pool: &[usize], lengths: &[usize], size: BatchSize, batches: &mut Vec<Vec<usize>>) {
    let mut batch = Vec::new();
    let mut tokens = 0;
    for &index in pool {
        let full = match size {
            BatchSize::Sequences(count) => batch.len() >= count,
            BatchSize::Tokens(budget) => tokens + lengths[index] > budget,
        };
        if full && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            tokens = 0;
        }
        batch.push(index);
        tokens += lengths[index];
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    proptest! {
        #[test]
        fn an_epoch_holds_every_example_once_within_its_limits(
            lengths in proptest::collection::vec(1usize..50, 1..300),
            limit in 1usize..400,
            by_tokens: bool,
            seed: u64,
        ) {
            let size = if by_tokens { BatchSize::Tokens(limit) } else { BatchSize::Sequences(limit) };
            let batches = epoch(&lengths, size, &mut ChaCha8Rng::seed_from_u64(seed));
            let mut all: Vec<usize> = batches.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            for batch in &batches {
                let tokens: usize = batch.iter().map(|&i| lengths[i]).sum();
                let within = match size {
                    BatchSize::Sequences(count) => batch.len() <= count,
                    BatchSize::Tokens(budget) => tokens <= budget || batch.len() == 1,
                };
                prop_assert!(within);
            }
        }
    }

    #[test]
    fn one_seed_gives_one_order_and_another_seed_another() {
        let lengths: Vec<usize> = (0..200).map(|i| i % 30 + 1).collect();
        let order = |seed| {
            epoch(
                &lengths,
                BatchSize::Sequences(8),
                &mut ChaCha8Rng::seed_from_u64(seed),
            )
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
