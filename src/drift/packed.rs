//! Counters as bytes: what is kept of a window once it is closed. Most of a vocabulary does not occur in it, so each vector is
//! written as its gaps and values.

use std::collections::BTreeMap;

use prost::Message;

use super::counts::{Counts, Shape};
use super::pane::PaneError;

#[derive(Clone, PartialEq, Message)]
struct PackedCounts {
    #[prost(uint64, tag = "1")]
    messages: u64,
    #[prost(uint64, tag = "2")]
    truncated: u64,
    #[prost(uint64, tag = "3")]
    words: u64,
    /// Tokens, lengths, classes, confidence, entropy, then each label's scores.
    #[prost(message, repeated, tag = "4")]
    vectors: Vec<PackedVector>,
    #[prost(btree_map = "string, uint64", tag = "5")]
    sources: BTreeMap<String, u64>,
}

#[derive(Clone, PartialEq, Message)]
struct PackedVector {
    #[prost(uint32, tag = "1")]
    length: u32,
    /// For each value that is not 0, how many are between it and the one before.
    #[prost(uint32, repeated, tag = "2")]
    gaps: Vec<u32>,
    #[prost(uint64, repeated, tag = "3")]
    values: Vec<u64>,
}

impl PackedVector {
    fn of(counts: &[u64]) -> Self {
        let mut packed = Self {
            length: counts.len() as u32,
            ..Self::default()
        };
        let mut gap = 0;
        for &count in counts {
            if count == 0 {
                gap += 1;
            } else {
                packed.gaps.push(gap);
                packed.values.push(count);
                gap = 0;
            }
        }
        packed
    }

    fn unpack(&self, into: &mut [u64]) -> Result<(), PaneError> {
        if self.length as usize != into.len() || self.gaps.len() != self.values.len() {
            return Err(PaneError("its counts have another shape".to_owned()));
        }
        let mut next = 0;
        for (&gap, &value) in self.gaps.iter().zip(&self.values) {
            next += gap as usize;
            let place = into.get_mut(next);
            *place.ok_or_else(|| PaneError("its counts are too many".to_owned()))? = value;
            next += 1;
        }
        Ok(())
    }
}

/// The counters as bytes.
#[must_use]
pub fn pack(counts: &Counts) -> Vec<u8> {
    let single = [
        &counts.tokens,
        &counts.lengths,
        &counts.classes,
        &counts.confidence,
        &counts.entropy,
    ];
    let vectors = single.into_iter().chain(&counts.scores);
    PackedCounts {
        messages: counts.messages,
        truncated: counts.truncated,
        words: counts.words,
        vectors: vectors.map(|vector| PackedVector::of(vector)).collect(),
        sources: counts.sources.clone(),
    }
    .encode_to_vec()
}

/// Reads what [`pack`] has written of counts of this shape.
///
/// # Errors
/// [`PaneError`] when the bytes are something else, or of another shape.
pub fn unpack(bytes: &[u8], shape: Shape) -> Result<Counts, PaneError> {
    let packed = PackedCounts::decode(bytes).map_err(|error| PaneError(error.to_string()))?;
    let mut counts = Counts::new(shape);
    (counts.messages, counts.truncated, counts.words) =
        (packed.messages, packed.truncated, packed.words);
    counts.sources = packed.sources;
    let single = [
        &mut counts.tokens,
        &mut counts.lengths,
        &mut counts.classes,
        &mut counts.confidence,
        &mut counts.entropy,
    ];
    let vectors: Vec<&mut Vec<u64>> = single.into_iter().chain(&mut counts.scores).collect();
    if vectors.len() != packed.vectors.len() {
        return Err(PaneError("its counts have another shape".to_owned()));
    }
    for (into, packed) in vectors.into_iter().zip(&packed.vectors) {
        packed.unpack(into)?;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{Feed, SHAPE, count};
    use super::*;

    #[test]
    fn counters_come_back_as_they_were_and_take_a_fraction_of_their_size() {
        let counts = count(&Feed::default().readings(500, 1));
        let bytes = pack(&counts);
        assert_eq!(unpack(&bytes, SHAPE).unwrap(), counts);
        let plain = 8 * (SHAPE.vocabulary + SHAPE.max_tokens + 5 * 100);
        assert!(bytes.len() < plain / 2, "{} of {plain} bytes", bytes.len());
    }

    #[test]
    fn counters_of_another_shape_or_other_bytes_are_an_error() {
        let bytes = pack(&Counts::new(SHAPE));
        let other = Shape {
            vocabulary: SHAPE.vocabulary + 1,
            ..SHAPE
        };
        assert!(unpack(&bytes, other).is_err());
        assert!(unpack(&[0xff], SHAPE).is_err());
    }
}
