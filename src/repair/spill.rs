//! Outcomes by their message, in a temporary file: outcomes lie in the order in which they were committed, messages in the order
//! of their partition, and neither may have to fit into memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use crate::record::TopicPartition;
use crate::verify::Kind;

/// What a file cannot hold: a place for messages without an outcome.
const NONE: u64 = u64::MAX;
/// Of a record: its kind, and its length.
const HEAD: usize = 5;

/// Takes the outcomes of certain messages, and gives them back in any order.
pub(super) struct Spill {
    file: BufWriter<File>,
    written: u64,
    partitions: HashMap<TopicPartition, Index>,
}

/// Where the outcome of each message begins.
struct Index {
    /// Of the messages, in order.
    offsets: Vec<i64>,
    places: Vec<u64>,
}

impl Spill {
    /// A file that is gone when this is dropped, for the outcomes of these messages.
    pub(super) fn new(
        messages: impl IntoIterator<Item = (TopicPartition, Vec<i64>)>,
    ) -> io::Result<Self> {
        let partitions = messages.into_iter().map(|(partition, offsets)| {
            let places = vec![NONE; offsets.len()];
            (partition, Index { offsets, places })
        });
        Ok(Self {
            file: BufWriter::with_capacity(1 << 20, tempfile::tempfile()?),
            written: 0,
            partitions: partitions.collect(),
        })
    }

    /// Keeps an outcome, if it is one of those and the first of its message; returns whether it is.
    pub(super) fn keep(
        &mut self,
        partition: &TopicPartition,
        offset: i64,
        kind: Kind,
        value: &[u8],
    ) -> io::Result<bool> {
        let Some(index) = self.partitions.get_mut(partition) else {
            return Ok(false);
        };
        let (Ok(at), Ok(length)) = (
            index.offsets.binary_search(&offset),
            u32::try_from(value.len()),
        ) else {
            return Ok(false);
        };
        if index.places[at] != NONE {
            return Ok(false);
        }
        index.places[at] = self.written;
        self.file.write_all(&[u8::from(kind == Kind::Dead)])?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(value)?;
        self.written += (HEAD + value.len()) as u64;
        Ok(true)
    }

    /// Makes what was kept readable.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// The outcome of a message, if it was kept.
    pub(super) fn get(
        &self,
        partition: &TopicPartition,
        offset: i64,
    ) -> io::Result<Option<(Kind, Vec<u8>)>> {
        let place = self.partitions.get(partition).and_then(|index| {
            let at = index.offsets.binary_search(&offset).ok()?;
            Some(index.places[at]).filter(|&place| place != NONE)
        });
        let Some(place) = place else {
            return Ok(None);
        };
        let file = self.file.get_ref();
        let mut head = [0; HEAD];
        file.read_exact_at(&mut head, place)?;
        let [kind, length @ ..] = head;
        let mut value = vec![0; u32::from_le_bytes(length) as usize];
        file.read_exact_at(&mut value, place + HEAD as u64)?;
        let kind = if kind == 0 { Kind::Result } else { Kind::Dead };
        Ok(Some((kind, value)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn outcomes_come_back_by_their_message_and_only_the_first_of_those_asked_for() {
        let partition = |number| TopicPartition {
            topic: Arc::from("posts"),
            partition: number,
        };
        let mut spill =
            Spill::new([(partition(0), vec![3, 5, 9]), (partition(1), vec![3])]).unwrap();
        let large = vec![b'x'; 3_000_000];
        spill.keep(&partition(1), 3, Kind::Dead, b"dead").unwrap();
        spill.keep(&partition(0), 9, Kind::Result, &large).unwrap();
        spill
            .keep(&partition(0), 4, Kind::Result, b"not asked for")
            .unwrap();
        spill
            .keep(&partition(2), 3, Kind::Result, b"not asked for")
            .unwrap();
        spill
            .keep(&partition(0), 3, Kind::Result, b"first")
            .unwrap();
        spill
            .keep(&partition(0), 3, Kind::Result, b"second")
            .unwrap();
        spill.finish().unwrap();
        let get = |number, offset| spill.get(&partition(number), offset).unwrap();
        assert_eq!(get(0, 3), Some((Kind::Result, b"first".to_vec())));
        assert_eq!(get(0, 9), Some((Kind::Result, large)));
        assert_eq!(get(1, 3), Some((Kind::Dead, b"dead".to_vec())));
        for (number, offset) in [(0, 4), (0, 5), (1, 5), (2, 3)] {
            assert_eq!(get(number, offset), None);
        }
    }
}
