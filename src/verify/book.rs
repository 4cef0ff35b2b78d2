//! Both sides of every message that is looked at.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::age::Age;
use super::cell::Cell;
use super::runs::Runs;

/// A partition of an input topic.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub number: i32,
    /// The offsets that are looked at.
    pub range: Range<i64>,
    /// Whether the range holds every message that the partition ever held.
    pub whole: bool,
    /// The group's offset before the outcomes were read: what is below it must have an outcome.
    pub committed: Option<i64>,
    /// And after they were read: what is not below it must have none.
    pub committed_later: Option<i64>,
    /// Messages below this offset may have had an outcome in Kafka that retention has taken.
    pub outcomes_from: i64,
    runs: Runs,
    kafka: Vec<Cell>,
    postgres: Vec<Cell>,
}

impl Partition {
    /// A partition whose messages are not read yet.
    pub(super) fn new(number: i32, range: Range<i64>, whole: bool, committed: Option<i64>) -> Self {
        Self {
            number,
            range,
            whole,
            committed,
            committed_later: committed,
            ..Self::default()
        }
    }

    /// Adds a message; they come in the order of their offsets. `time` is the digest of Kafka's time of it.
    pub(super) fn add(&mut self, offset: i64, time: u64, age: Age) {
        self.runs.push(offset);
        let cell = Cell::new(time, age);
        self.kafka.push(cell);
        // What a row says includes its time, so that it must be the message's own.
        self.postgres.push(Cell::new(0, age));
    }

    pub(super) fn messages(&self) -> usize {
        self.runs.messages()
    }

    pub(super) fn offset(&self, rank: usize) -> i64 {
        self.runs.offset(rank)
    }

    pub(super) fn rank(&self, offset: i64) -> Option<usize> {
        self.runs.rank(offset)
    }

    pub(super) fn rank_from(&self, offset: i64) -> usize {
        self.runs.rank_from(offset)
    }

    /// What Kafka says of the message with this rank, and what Postgres says.
    pub(super) fn sides(&self, rank: usize) -> (Cell, Cell) {
        (self.kafka[rank], self.postgres[rank])
    }

    pub(super) fn kafka_mut(&mut self, rank: usize) -> &mut Cell {
        &mut self.kafka[rank]
    }

    fn forget_rows(&mut self) {
        for cell in &mut self.postgres {
            *cell = Cell::new(0, cell.age());
        }
    }

    pub(super) fn postgres_mut(&mut self, rank: usize) -> &mut Cell {
        &mut self.postgres[rank]
    }
}

/// An input topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub name: Arc<str>,
    /// By number.
    pub partitions: Vec<Partition>,
}

/// All input topics.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub topics: Vec<Topic>,
    by_name: HashMap<Arc<str>, usize>,
    /// Outcomes in Kafka, and rows, of messages that are not looked at or no longer there.
    pub foreign_outcomes: u64,
    pub foreign_rows: u64,
    /// Records in the output topics that are no outcome.
    pub unreadable: u64,
    /// Offsets that retention took from the inputs before the group had read them.
    pub overrun: u64,
}

impl Book {
    pub(super) fn new(topics: Vec<Topic>) -> Self {
        let by_name = topics
            .iter()
            .enumerate()
            .map(|(index, topic)| (Arc::clone(&topic.name), index))
            .collect();
        Self {
            topics,
            by_name,
            ..Self::default()
        }
    }

    /// The partition with this name and number, if it is looked at.
    pub(super) fn partition_mut(&mut self, topic: &str, number: i32) -> Option<&mut Partition> {
        let topic = &mut self.topics[*self.by_name.get(topic)?];
        topic.partitions.get_mut(usize::try_from(number).ok()?)
    }

    /// Forgets what Postgres said.
    pub(super) fn forget_rows(&mut self) {
        self.foreign_rows = 0;
        let topics = self.topics.iter_mut();
        topics
            .flat_map(|topic| &mut topic.partitions)
            .for_each(Partition::forget_rows);
    }

    pub(super) fn partition(&self, topic: &str, number: i32) -> Option<&Partition> {
        let topic = &self.topics[*self.by_name.get(topic)?];
        topic.partitions.get(usize::try_from(number).ok()?)
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = (&Arc<str>, &Partition)> {
        self.topics.iter().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(move |partition| (&topic.name, partition))
        })
    }
}
