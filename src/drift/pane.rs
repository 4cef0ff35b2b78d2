//! A chunk's readings as bytes: what instances leave in Postgres for the one that watches the feed.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message;

use super::reading::{Fingerprint, Reading};

/// Probabilities are kept in steps of one in so many: finer than any bin they are counted in.
const STEPS: f32 = 65_535.0;

/// Why bytes are no pane.
#[derive(Debug, thiserror::Error)]
#[error(
    "a pane cannot be read ({0}); it was written by another version of the program or is damaged"
)]
pub struct PaneError(pub(super) String);

/// Readings, each with its message's offset, as bytes. Names of sources and subjects are written once.
#[must_use]
pub fn encode<'a>(readings: impl IntoIterator<Item = (i64, &'a Reading)>) -> Vec<u8> {
    let mut names = Names::default();
    let rows = readings
        .into_iter()
        .map(|(offset, reading)| Row::of(offset, reading, &mut names))
        .collect();
    let pane = Pane {
        names: names.list,
        rows,
    };
    pane.encode_to_vec()
}

/// The readings of a pane, each with its message's offset.
///
/// # Errors
/// [`PaneError`] when the bytes are no pane.
pub fn decode(bytes: &[u8]) -> Result<Vec<(i64, Reading)>, PaneError> {
    let pane = Pane::decode(bytes).map_err(|error| PaneError(error.to_string()))?;
    let names: Vec<Arc<str>> = pane.names.iter().map(|name| Arc::from(&**name)).collect();
    pane.rows
        .into_iter()
        .map(|row| row.reading(&names))
        .collect()
}

#[derive(Clone, PartialEq, Message)]
struct Pane {
    #[prost(string, repeated, tag = "1")]
    names: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    rows: Vec<Row>,
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(int64, tag = "1")]
    offset: i64,
    #[prost(int64, tag = "2")]
    time: i64,
    #[prost(fixed64, tag = "3")]
    exact: u64,
    #[prost(fixed64, tag = "4")]
    near: u64,
    /// Indices into the pane's names.
    #[prost(uint32, tag = "5")]
    source: u32,
    #[prost(uint32, tag = "6")]
    subject: u32,
    #[prost(uint32, tag = "7")]
    label: u32,
    #[prost(uint32, repeated, tag = "8")]
    probabilities: Vec<u32>,
    #[prost(uint32, repeated, tag = "9")]
    tokens: Vec<u32>,
    #[prost(uint32, tag = "10")]
    words: u32,
    #[prost(bool, tag = "11")]
    truncated: bool,
    #[prost(fixed64, optional, tag = "12")]
    author: Option<u64>,
}

impl Row {
    fn of(offset: i64, reading: &Reading, names: &mut Names) -> Self {
        Self {
            offset,
            time: reading.time,
            exact: reading.print.exact,
            near: reading.print.near,
            source: names.index(&reading.source),
            subject: names.index(&reading.subject),
            label: u32::try_from(reading.label).unwrap_or(u32::MAX),
            probabilities: reading
                .probabilities
                .iter()
                .map(|p| (p.clamp(0.0, 1.0) * STEPS).round() as u32)
                .collect(),
            tokens: reading.tokens.clone(),
            words: reading.words,
            truncated: reading.truncated,
            author: reading.author,
        }
    }

    fn reading(self, names: &[Arc<str>]) -> Result<(i64, Reading), PaneError> {
        let name = |index: u32| {
            names
                .get(index as usize)
                .cloned()
                .ok_or_else(|| PaneError(format!("it has no name {index}")))
        };
        let reading = Reading {
            time: self.time,
            print: Fingerprint {
                exact: self.exact,
                near: self.near,
            },
            source: name(self.source)?,
            subject: name(self.subject)?,
            label: self.label as usize,
            probabilities: self
                .probabilities
                .iter()
                .map(|&step| step as f32 / STEPS)
                .collect(),
            tokens: self.tokens,
            words: self.words,
            truncated: self.truncated,
            author: self.author,
        };
        Ok((self.offset, reading))
    }
}

/// Names in the order of their first use.
#[derive(Default)]
struct Names {
    list: Vec<String>,
    indices: HashMap<String, u32>,
}

impl Names {
    fn index(&mut self, name: &str) -> u32 {
        if let Some(&index) = self.indices.get(name) {
            return index;
        }
        let index = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(name.to_owned());
        self.indices.insert(name.to_owned(), index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str, source: &str) -> Reading {
        Reading {
            time: 1_446_000_000_123,
            print: Fingerprint::of(text),
            author: Some(7),
            source: source.into(),
            subject: "Delta".into(),
            label: 2,
            probabilities: vec![0.0, 0.25, 0.75],
            tokens: vec![7, 30_521, 0],
            words: 2,
            truncated: true,
        }
    }

    #[test]
    fn what_is_written_is_read_again_but_for_the_last_digits_of_probabilities() {
        let written = [
            (5, reading("one", "a")),
            (9, reading("two", "")),
            (10, reading("three", "a")),
        ];
        let bytes = encode(written.iter().map(|(offset, reading)| (*offset, reading)));
        let read = decode(&bytes).unwrap();
        for ((offset, mut reading), (written_at, written)) in read.into_iter().zip(written) {
            for (p, q) in reading.probabilities.iter().zip(&written.probabilities) {
                assert!((p - q).abs() <= 0.5 / STEPS);
            }
            reading.probabilities.clone_from(&written.probabilities);
            assert_eq!((offset, reading), (written_at, written));
        }
        // A second time nothing is lost any more.
        let again: Vec<_> = decode(&bytes).unwrap();
        assert_eq!(encode(again.iter().map(|(o, r)| (*o, r))), bytes);
    }

    #[test]
    fn bytes_that_are_no_pane_are_an_error() {
        assert!(decode(&[0xff; 9]).is_err());
        let nameless = Pane {
            names: Vec::new(),
            rows: vec![Row::default()],
        };
        assert!(decode(&nameless.encode_to_vec()).is_err());
    }
}
