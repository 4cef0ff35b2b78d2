//! Which texts are scored together: batches of similar length, so that little padding is computed.

use crate::record::{Batch, Encoded};

/// Groups texts into padded batches of at most `max_tokens` tokens each, padding included; a longer text stands alone.
///
/// Texts are taken from the longest to the shortest, so the order of the batches is not that of the texts: see
/// [`Batch::members`]. A text without tokens is in none.
#[must_use]
pub fn batches(encoded: &[Encoded], max_tokens: usize, pad: u32) -> Vec<Batch> {
    let length = |&index: &usize| encoded[index].ids.len();
    let mut order: Vec<usize> = (0..encoded.len())
        .filter(|index| length(index) > 0)
        .collect();
    order.sort_by_key(|index| std::cmp::Reverse(length(index)));
    let mut rest = order.as_slice();
    let mut batches = Vec::new();
    while let Some(longest) = rest.first() {
        let rows = (max_tokens / length(longest)).clamp(1, rest.len());
        let (members, others) = rest.split_at(rows);
        batches.push(padded(encoded, members, pad));
        rest = others;
    }
    batches
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
        fn sorting_never_pads_more_than_taking_texts_as_they_come(
            lengths in prop::collection::vec(1_usize..130, 1..300),
        ) {
            let texts = texts(&lengths);
            let together = batches(&texts, 2048, PAD);
            let rows = together[0].rows;
            let order: Vec<usize> = (0..texts.len()).collect();
            let as_they_come: Vec<Batch> =
                order.chunks(rows).map(|members| padded(&texts, members, PAD)).collect();
            let cells = |batches: &[Batch]| batches.iter().map(|batch| batch.ids.len()).sum::<usize>();
            prop_assert!(cells(&together) <= cells(&as_they_come));
        }
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
