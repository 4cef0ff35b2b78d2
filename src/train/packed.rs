//! A batch of token sequences laid end to end, without padding.

use std::ops::Range;

/// Sequences laid end to end. Sequence `i` is `tokens[offsets[i]..offsets[i + 1]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    tokens: Vec<u32>,
    offsets: Vec<usize>,
    labels: Vec<u32>,
    first_row: usize,
    first_sequence: usize,
}

impl Packed {
    /// Packs sequences with the index of their label.
    pub fn new<'a>(sequences: impl IntoIterator<Item = (&'a [u32], u32)>) -> Self {
        let mut packed = Self {
            tokens: Vec::new(),
            offsets: vec![0],
            labels: Vec::new(),
            first_row: 0,
            first_sequence: 0,
        };
        for (tokens, label) in sequences {
            packed.tokens.extend_from_slice(tokens);
            packed.offsets.push(packed.tokens.len());
            packed.labels.push(label);
        }
        packed
    }

    /// All tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// First token of each sequence and, last, the number of tokens.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Label of each sequence.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.labels.len()
    }

    /// Number, in the batch this was cut from, of the first token.
    pub fn first_row(&self) -> usize {
        self.first_row
    }

    /// Number, in the batch this was cut from, of the first sequence.
    pub fn first_sequence(&self) -> usize {
        self.first_sequence
    }

    /// Cuts the batch into at most `count` parts of whole sequences with about equally many tokens.
    /// No part is empty.
    pub fn shards(&self, count: usize) -> Vec<Packed> {
        let mut cuts = vec![0];
        for shard in 1..count {
            let wanted = self.tokens.len() * shard / count;
            let cut = self.offsets.partition_point(|&offset| offset < wanted);
            if cut > *cuts.last().unwrap_or(&0) && cut < self.sequences() {
                cuts.push(cut);
            }
        }
        cuts.push(self.sequences());
        cuts.windows(2)
            .filter(|cut| cut[0] < cut[1])
            .map(|cut| self.part(cut[0]..cut[1]))
            .collect()
    }

    fn part(&self, sequences: Range<usize>) -> Packed {
        let base = self.offsets[sequences.start];
        let offsets = &self.offsets[sequences.start..=sequences.end];
        Packed {
            tokens: self.tokens[base..self.offsets[sequences.end]].to_vec(),
            offsets: offsets.iter().map(|offset| offset - base).collect(),
            labels: self.labels[sequences.clone()].to_vec(),
            first_row: self.first_row + base,
            first_sequence: self.first_sequence + sequences.start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shards_hold_every_sequence_once_and_in_order(
            lengths in proptest::collection::vec(1usize..20, 1..40),
            count in 1usize..6,
        ) {
            let sequences: Vec<Vec<u32>> =
                lengths.iter().enumerate().map(|(i, n)| vec![i as u32; *n]).collect();
            let batch = Packed::new(sequences.iter().enumerate().map(|(i, s)| (s.as_slice(), i as u32)));
            let shards = batch.shards(count);
            prop_assert!(shards.len() <= count && shards.iter().all(|shard| shard.sequences() > 0));
            let tokens: Vec<u32> = shards.iter().flat_map(|s| s.tokens().to_vec()).collect();
            prop_assert_eq!(tokens, batch.tokens());
            let labels: Vec<u32> = shards.iter().flat_map(|s| s.labels().to_vec()).collect();
            prop_assert_eq!(labels, batch.labels());
            for shard in &shards {
                prop_assert_eq!(shard.tokens()[0], shard.first_sequence() as u32);
                prop_assert_eq!(batch.offsets()[shard.first_sequence()], shard.first_row());
            }
        }
    }
}
