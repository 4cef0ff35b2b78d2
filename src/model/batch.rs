//! Which texts are scored together: batches of similar length, so that little padding is computed.

use std::cmp::Reverse;

use crate::record::{Batch, Encoded};

/// A call of the model costs as much as a full batch divided by this, whatever it computes: who allows larger batches has
/// a device on which calls are dear. A batch is split where that saves more padding. `benches/batching.rs` measures it.
const CALLS_PER_BATCH: usize = 32;

/// Groups texts into padded batches of at most `max_tokens` tokens each, padding included; a longer text stands alone.
///
/// No other grouping computes fewer tokens, where each batch counts as `max_tokens` / 32 tokens more than it has. Texts are
/// taken from the longest to the shortest, so the order of the batches is not that of the texts: see [`Batch::members`]. A
/// text without tokens is in none.
#[must_use]
pub fn batches(encoded: &[Encoded], max_tokens: usize, pad: u32) -> Vec<Batch> {
    let length = |index: usize| encoded[index].ids.len();
    let mut order: Vec<usize> = (0..encoded.len())
        .filter(|&index| length(index) > 0)
        .collect();
    order.sort_by_key(|&index| Reverse(length(index)));
    let lengths: Vec<usize> = order.iter().map(|&index| length(index)).collect();
    let mut rest = order.as_slice();
    let mut batches = Vec::new();
    for rows in cheapest(&lengths, max_tokens) {
        let (members, others) = rest.split_at(rows);
        batches.push(padded(encoded, members, pad));
        rest = others;
    }
    batches
}

/// How many rows each batch has where texts of these lengths, longest first, are scored at the least cost.
///
/// Batches of neighbours suffice: take any grouping, and deal the sorted texts to its groups, those with the longest
/// text first. Each group keeps its size, and none becomes wider. So the best way to score all texts from the i-th on is
/// its best first batch, and the best way to score what that leaves.
fn cheapest(lengths: &[usize], max_tokens: usize) -> Vec<usize> {
    let call = max_tokens / CALLS_PER_BATCH;
    // For the texts from each one on: what they cost, and the rows of their first batch.
    let mut best = vec![(0, 0); lengths.len() + 1];
    for (first, &width) in lengths.iter().enumerate().rev() {
        let most = (max_tokens / width).clamp(1, lengths.len() - first);
        // Of equal costs that with fewer calls.
        best[first] = (1..=most)
            .map(|rows| (rows * width + call + best[first + rows].0, rows))
            .min_by_key(|&(cost, rows)| (cost, Reverse(rows)))
            .unwrap_or_default();
    }
    let starts = std::iter::successors(Some(0), |&first| Some(first + best[first].1));
    starts
        .take_while(|&first| first < lengths.len())
        .map(|first| best[first].1)
        .collect()
}

/// One batch of some of the texts, as wide as the longest.
#[must_use]
pub fn padded(encoded: &[Encoded], members: &[usize], pad: u32) -> Batch {
    let texts = || members.iter().map(|&index| encoded[index].ids.as_slice());
    let width = texts().map(<[u32]>::len).max().unwrap_or(0);
    let cells = members.len() * width;
    let mut batch = Batch {
        ids: Vec::with_capacity(cells),
        mask: Vec::with_capacity(cells),
        rows: members.len(),
        width,
        members: members.to_vec(),
    };
    for (row, ids) in texts().enumerate() {
        batch.ids.extend(ids.iter().map(|&id| i64::from(id)));
        batch.ids.resize((row + 1) * width, i64::from(pad));
        batch.mask.resize(row * width + ids.len(), 1);
        batch.mask.resize((row + 1) * width, 0);
    }
    batch
}

/// Tokens of a batch that are no padding.
#[must_use]
pub fn tokens(batch: &Batch) -> usize {
    batch.mask.iter().filter(|&&cell| cell == 1).count()
}

/// The share of what is computed that is padding, from 0 to 1.
#[must_use]
pub fn padding_share(batches: &[Batch]) -> f64 {
    let cells: usize = batches.iter().map(|batch| batch.ids.len()).sum();
    let tokens: usize = batches.iter().map(tokens).sum();
    if cells == 0 {
        return 0.0;
    }
    (cells - tokens) as f64 / cells as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAD: u32 = 7;

    fn texts(lengths: &[usize]) -> Vec<Encoded> {
        lengths
            .iter()
            .enumerate()
            .map(|(text, &length)| Encoded {
                ids: (0..length).map(|i| (text * 1000 + i) as u32).collect(),
                truncated: false,
            })
            .collect()
    }

    fn cost(batches: &[Batch], budget: usize) -> usize {
        let cells: usize = batches.iter().map(|batch| batch.ids.len()).sum();
        cells + batches.len() * (budget / CALLS_PER_BATCH)
    }

    /// Every way to put so many texts into groups.
    fn groupings(texts: usize) -> Vec<Vec<Vec<usize>>> {
        let Some(last) = texts.checked_sub(1) else {
            return vec![Vec::new()];
        };
        let mut all = Vec::new();
        for groups in groupings(last) {
            for group in 0..=groups.len() {
                let mut more = groups.clone();
                more.resize_with(groups.len().max(group + 1), Vec::new);
                more[group].push(last);
                all.push(more);
            }
        }
        all
    }

    proptest! {
        #[test]
        fn every_text_with_tokens_stands_whole_in_one_row_within_the_budget(
            lengths in prop::collection::vec(0_usize..130, 0..300), budget in 0_usize..3000,
        ) {
            let texts = texts(&lengths);
            let batches = batches(&texts, budget, PAD);
            let mut seen: Vec<usize> = Vec::new();
            for batch in &batches {
                prop_assert_eq!(batch.members.len(), batch.rows);
                prop_assert_eq!(batch.ids.len(), batch.rows * batch.width);
                prop_assert_eq!(batch.mask.len(), batch.ids.len());
                prop_assert!(batch.ids.len() <= budget || batch.rows == 1);
                let rows = batch.ids.chunks(batch.width).zip(batch.mask.chunks(batch.width));
                for (&member, (ids, mask)) in batch.members.iter().zip(rows) {
                    let length = lengths[member];
                    let expected: Vec<i64> = texts[member].ids.iter().map(|&id| i64::from(id)).collect();
                    prop_assert_eq!(&ids[..length], expected.as_slice());
                    prop_assert!(ids[length..].iter().all(|&id| id == i64::from(PAD)));
                    prop_assert!(mask[..length].iter().all(|&cell| cell == 1));
                    prop_assert!(mask[length..].iter().all(|&cell| cell == 0));
                }
                // As wide as it must be.
                prop_assert_eq!(batch.members.iter().map(|&member| lengths[member]).max(), Some(batch.width));
                seen.extend(&batch.members);
            }
            seen.sort_unstable();
            let with_tokens: Vec<usize> = (0..lengths.len()).filter(|&text| lengths[text] > 0).collect();
            prop_assert_eq!(seen, with_tokens);
        }

        #[test]
        fn no_other_grouping_costs_less(
            lengths in prop::collection::vec(1_usize..40, 1..8), budget in 1_usize..200,
        ) {
            let texts = texts(&lengths);
            let cheapest = groupings(lengths.len())
                .into_iter()
                .map(|groups| groups.iter().map(|members| padded(&texts, members, PAD)).collect::<Vec<_>>())
                .filter(|batches| batches.iter().all(|batch| batch.rows == 1 || batch.ids.len() <= budget))
                .map(|batches| cost(&batches, budget))
                .min();
            prop_assert_eq!(Some(cost(&batches(&texts, budget, PAD), budget)), cheapest);
        }

        #[test]
        fn batches_of_any_number_of_texts_cost_no_more_than_taking_them_as_they_come(
            lengths in prop::collection::vec(1_usize..130, 1..300), budget in 1_usize..3000,
        ) {
            let texts = texts(&lengths);
            let rows = (budget / lengths.iter().max().unwrap_or(&1)).max(1);
            let order: Vec<usize> = (0..texts.len()).collect();
            let as_they_come: Vec<Batch> =
                order.chunks(rows).map(|members| padded(&texts, members, PAD)).collect();
            prop_assert!(cost(&batches(&texts, budget, PAD), budget) <= cost(&as_they_come, budget));
        }
    }

    #[test]
    fn one_long_text_does_not_widen_many_short_ones() {
        let mut lengths = vec![1; 16];
        lengths.push(121);
        let widths: Vec<usize> = batches(&texts(&lengths), 2048, PAD)
            .iter()
            .map(|batch| batch.width)
            .collect();
        assert_eq!(widths, [121, 1]);
    }

    #[test]
    fn the_share_of_padding_counts_what_is_computed_for_nothing() {
        let texts = texts(&[4, 2, 2]);
        let batch = padded(&texts, &[0, 1, 2], PAD);
        assert_eq!(tokens(&batch), 8);
        assert!((padding_share(&[batch]) - 4.0 / 12.0).abs() < 1e-12);
        assert_eq!(padding_share(&[]), 0.0);
    }
}
