//! What the watcher remembers of a model between two looks, as bytes: all but the readings that it can take from panes again.

use std::sync::Arc;

use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::errors::ErrorWatch;
use super::pane::{self, PaneError};
use super::reading::Reading;
use super::rule::Watch;
use super::severity::Situation;
use super::windows::{Place, Snapshot};
use crate::record::{Origin, TopicPartition};

/// What is known of a model's windows in the making, and the alarm that may be open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub windows: Snapshot,
    pub watch: Watch,
    /// The number and the earliest event time of the window that opened the alarm.
    pub since: Option<(u64, i64)>,
    /// What was decided on when it was opened.
    pub situation: Option<Situation>,
    /// The test on labelled messages, where there were any.
    pub errors: Option<ErrorWatch>,
}

#[derive(Clone, PartialEq, Message)]
struct MemoryBytes {
    #[prost(message, repeated, tag = "1")]
    partitions: Vec<PartitionBytes>,
    #[prost(message, optional, tag = "2")]
    pending: Option<ReadingsBytes>,
    #[prost(message, optional, tag = "3")]
    open: Option<ReadingsBytes>,
    #[prost(uint64, tag = "4")]
    late: u64,
    #[prost(int64, optional, tag = "5")]
    watermark: Option<i64>,
    #[prost(uint64, tag = "6")]
    number: u64,
    #[prost(bool, tag = "7")]
    alarm: bool,
    /// Whether the last two windows were far, the older one first.
    #[prost(bool, tag = "8")]
    older_far: bool,
    #[prost(bool, tag = "9")]
    last_far: bool,
    #[prost(uint32, tag = "10")]
    calm: u32,
    #[prost(message, optional, tag = "11")]
    since: Option<SinceBytes>,
    /// The bounds of the open window, both or neither.
    #[prost(int64, optional, tag = "12")]
    first: Option<i64>,
    #[prost(int64, optional, tag = "13")]
    last: Option<i64>,
    /// As JSON.
    #[prost(string, optional, tag = "14")]
    situation: Option<String>,
    #[prost(string, optional, tag = "15")]
    errors: Option<String>,
    #[prost(message, optional, tag = "16")]
    closed: Option<PlaceBytes>,
    #[prost(message, optional, tag = "17")]
    left: Option<PlaceBytes>,
}

#[derive(Clone, PartialEq, Message)]
struct PlaceBytes {
    #[prost(int64, tag = "1")]
    time: i64,
    /// The index of its partition.
    #[prost(uint32, tag = "2")]
    partition: u32,
    #[prost(int64, tag = "3")]
    offset: i64,
}

#[derive(Clone, PartialEq, Message)]
struct PartitionBytes {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(int32, tag = "2")]
    partition: i32,
    #[prost(int64, optional, tag = "3")]
    newest: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadingsBytes {
    /// For each reading the index of its partition.
    #[prost(uint32, repeated, tag = "1")]
    partitions: Vec<u32>,
    #[prost(bytes = "vec", tag = "2")]
    pane: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SinceBytes {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(int64, tag = "2")]
    time: i64,
}

impl Memory {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Snapshot {
            pending,
            open,
            closed,
            left,
            late,
            bounds,
            newest,
            watermark,
            number,
        } = &self.windows;
        let mut partitions: Vec<PartitionBytes> = newest
            .iter()
            .map(|(partition, newest)| PartitionBytes {
                topic: partition.topic.to_string(),
                partition: partition.partition,
                newest: Some(*newest),
            })
            .collect();
        let mut readings = |held: &[(Origin, Reading)]| {
            Some(ReadingsBytes {
                partitions: held
                    .iter()
                    .map(|(origin, _)| index(&mut partitions, origin))
                    .collect(),
                pane: pane::encode(
                    held.iter()
                        .map(|(origin, reading)| (origin.offset, reading)),
                ),
            })
        };
        let (pending, open) = (readings(pending), readings(open));
        let mut place = |place: &Option<Place>| {
            place.as_ref().map(|(time, origin)| PlaceBytes {
                time: *time,
                partition: index(&mut partitions, origin),
                offset: origin.offset,
            })
        };
        let (closed, left) = (place(closed), place(left));
        MemoryBytes {
            partitions,
            pending,
            open,
            late: *late,
            watermark: *watermark,
            number: *number,
            alarm: self.watch.open,
            older_far: self.watch.far.0,
            last_far: self.watch.far.1,
            calm: self.watch.calm,
            since: self.since.map(|(number, time)| SinceBytes { number, time }),
            first: bounds.map(|(first, _)| first),
            last: bounds.map(|(_, last)| last),
            situation: self.situation.as_ref().and_then(written),
            errors: self.errors.as_ref().and_then(written),
            closed,
            left,
        }
        .encode_to_vec()
    }

    /// Reads what [`Memory::encode`] has written.
    ///
    /// # Errors
    /// [`PaneError`] when the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, PaneError> {
        let kept = MemoryBytes::decode(bytes).map_err(|error| PaneError(error.to_string()))?;
        let partitions: Vec<TopicPartition> = kept
            .partitions
            .iter()
            .map(|kept| TopicPartition {
                topic: Arc::from(&*kept.topic),
                partition: kept.partition,
            })
            .collect();
        let origin = |index: u32, offset: i64| {
            let found = partitions.get(index as usize).cloned();
            found
                .map(|TopicPartition { topic, partition }| Origin {
                    topic,
                    partition,
                    offset,
                })
                .ok_or_else(|| PaneError(format!("it has no partition {index}")))
        };
        let readings = |kept: Option<ReadingsBytes>| {
            let kept = kept.unwrap_or_default();
            let rows = pane::decode(&kept.pane)?;
            rows.into_iter()
                .zip(&kept.partitions)
                .map(|((offset, reading), &index)| Ok((origin(index, offset)?, reading)))
                .collect::<Result<Vec<_>, PaneError>>()
        };
        let place = |kept: Option<PlaceBytes>| {
            kept.map(|kept| Ok::<_, PaneError>((kept.time, origin(kept.partition, kept.offset)?)))
                .transpose()
        };
        Ok(Self {
            windows: Snapshot {
                pending: readings(kept.pending)?,
                open: readings(kept.open)?,
                closed: place(kept.closed)?,
                left: place(kept.left)?,
                late: kept.late,
                bounds: kept.first.zip(kept.last),
                newest: partitions
                    .iter()
                    .cloned()
                    .zip(&kept.partitions)
                    .filter_map(|(partition, kept)| Some((partition, kept.newest?)))
                    .collect(),
                watermark: kept.watermark,
                number: kept.number,
            },
            watch: Watch {
                open: kept.alarm,
                far: (kept.older_far, kept.last_far),
                calm: kept.calm,
            },
            since: kept.since.map(|since| (since.number, since.time)),
            situation: read(kept.situation)?,
            errors: read(kept.errors)?,
        })
    }
}

fn written(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}

fn read<T: DeserializeOwned>(json: Option<String>) -> Result<Option<T>, PaneError> {
    let value = json.map(|json| serde_json::from_str(&json)).transpose();
    value.map_err(|error| PaneError(error.to_string()))
}

/// The index of a message's partition, which is added where it is missing.
fn index(partitions: &mut Vec<PartitionBytes>, origin: &Origin) -> u32 {
    let found = partitions
        .iter()
        .position(|kept| *kept.topic == *origin.topic && kept.partition == origin.partition);
    let index = found.unwrap_or_else(|| {
        partitions.push(PartitionBytes {
            topic: origin.topic.to_string(),
            partition: origin.partition,
            newest: None,
        });
        partitions.len() - 1
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::reading::Fingerprint;
    use super::*;

    #[test]
    fn what_is_remembered_comes_back() {
        let reading = |partition, offset, time| {
            let origin = Origin {
                topic: Arc::from("posts"),
                partition,
                offset,
            };
            let reading = Reading {
                time,
                print: Fingerprint::of("x"),
                author: None,
                source: "twitter".into(),
                subject: "".into(),
                label: 1,
                probabilities: vec![0.0, 1.0],
                tokens: vec![3],
                words: 1,
                truncated: false,
            };
            (origin, reading)
        };
        let partition = |number| reading(number, 0, 0).0.topic_partition();
        let memory = Memory {
            windows: Snapshot {
                pending: vec![reading(0, 4, 90), reading(2, 9, 91)],
                open: vec![reading(1, 7, 50)],
                closed: Some((50, reading(1, 8, 0).0)),
                left: Some((51, reading(3, 2, 0).0)),
                late: 3,
                bounds: Some((45, 50)),
                newest: vec![(partition(0), 90), (partition(1), -5)],
                watermark: Some(60),
                number: 12,
            },
            watch: Watch {
                open: true,
                far: (false, true),
                calm: 2,
            },
            since: Some((10, -1)),
            situation: Some(Situation {
                labels_fired: true,
                one_subject: Some(0.25),
                ..Situation::default()
            }),
            errors: Some(ErrorWatch::new(0.25, 100.0)),
        };
        assert_eq!(Memory::decode(&memory.encode()).unwrap(), memory);
        assert_eq!(Memory::decode(&[]).unwrap(), Memory::default());
        assert!(Memory::decode(&[0xff; 5]).is_err());
    }
}
