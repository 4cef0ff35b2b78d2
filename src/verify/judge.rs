//! What the book says: counts of what is in order, counts of faults, and the first few places of each fault. Pure.

use std::sync::Arc;

use super::age::Age;
use super::book::{Book, Partition};
use super::cell::Cell;
use super::outcome::Kind;
use crate::pipeline::config::Start;

/// Places shown of each fault.
pub const SHOWN: usize = 5;

/// What can be wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is below the group's committed offset, and one side says nothing of it.
    Lost,
    /// One side says something of it twice.
    Doubled,
    /// The two sides say different things.
    Disagreeing,
    /// Kafka says something of it, though the group has not committed it.
    Uncommitted,
}

impl Fault {
    /// As it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Disagreeing => "disagreeing",
            Self::Uncommitted => "uncommitted",
        }
    }
}

/// A message in an input topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// Messages counted by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub messages: u64,
    /// With a result in Kafka.
    pub scored: u64,
    /// With a dead letter in Kafka.
    pub dead: u64,
    /// Not committed by the group, and without an outcome in Kafka.
    pub unread: u64,
    /// Of these, those with a row: what an instance is about to commit.
    pub ahead: u64,
    pub lost: u64,
    pub doubled: u64,
    pub disagreeing: u64,
    pub uncommitted: u64,
    /// Messages before the place where a group that began with the latest began.
    pub before_start: u64,
    /// Messages without an outcome in Kafka, which retention may have taken.
    pub outcomes_gone: u64,
    /// Messages without a row, which retention may have taken.
    pub rows_gone: u64,
}

/// The counts, and the first places of each fault.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub counts: Counts,
    pub places: Vec<(Fault, Place)>,
}

/// What is wrong with one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Verdict {
    pub lost_in_kafka: bool,
    pub lost_in_postgres: bool,
    pub doubled: bool,
    pub disagreeing: bool,
    pub uncommitted: bool,
    outcome_gone: bool,
    row_gone: bool,
}

/// Judges one message.
pub(super) fn verdict(partition: &Partition, offset: i64, kafka: Cell, postgres: Cell) -> Verdict {
    let below = |committed: Option<i64>| committed.is_some_and(|committed| offset < committed);
    let committed = below(partition.committed);
    let (said, kept) = (kafka.kind().is_some(), postgres.kind().is_some());
    let doubled = kafka.is_doubled() || postgres.is_doubled();
    let no_outcome = committed && !said;
    let outcome_gone = no_outcome && offset < partition.outcomes_from;
    // An outcome that can be seen was committed after its row, whatever the offsets were when we asked.
    let no_row = (committed || said) && !kept;
    let row_gone = no_row && postgres.age() != Age::Kept;
    Verdict {
        lost_in_kafka: no_outcome && !outcome_gone,
        lost_in_postgres: no_row && !row_gone,
        doubled,
        disagreeing: said && kept && !doubled && !kafka.agrees(postgres),
        uncommitted: said && !below(partition.committed_later),
        outcome_gone,
        row_gone,
    }
}

/// Judges all messages. A group that begins with the latest owes nothing for what came before its first outcome, unless it is
/// asked about a time.
pub(super) fn judge(book: &Book, start: Start, asked_from: bool) -> Judgement {
    let mut judgement = Judgement::default();
    for (topic, partition) in book.partitions() {
        let mut first = 0;
        if start == Start::Latest && !asked_from {
            first = first_outcome(partition);
            judgement.counts.before_start += first as u64;
        }
        for rank in first..partition.messages() {
            let offset = partition.offset(rank);
            let place = || Place {
                topic: Arc::clone(topic),
                partition: partition.number,
                offset,
            };
            let (kafka, postgres) = partition.sides(rank);
            let verdict = verdict(partition, offset, kafka, postgres);
            judgement.enter(partition, offset, (kafka, postgres), verdict, place);
        }
    }
    judgement.places.sort();
    judgement
}

/// The rank of the first message that either side says something of, or of the first that the group has not committed.
fn first_outcome(partition: &Partition) -> usize {
    let unread = partition
        .committed
        .map_or(0, |committed| partition.rank_from(committed));
    (0..unread)
        .find(|&rank| {
            let (kafka, postgres) = partition.sides(rank);
            kafka.kind().is_some() || postgres.kind().is_some()
        })
        .unwrap_or(unread)
}

impl Judgement {
    fn enter(
        &mut self,
        partition: &Partition,
        offset: i64,
        (kafka, postgres): (Cell, Cell),
        verdict: Verdict,
        place: impl Fn() -> Place,
    ) {
        let counts = &mut self.counts;
        counts.messages += 1;
        match kafka.kind() {
            Some(Kind::Result) => counts.scored += 1,
            Some(Kind::Dead) => counts.dead += 1,
            None if partition
                .committed
                .is_some_and(|committed| offset < committed) => {}
            None => {
                counts.unread += 1;
                counts.ahead += u64::from(postgres.kind().is_some());
            }
        }
        counts.outcomes_gone += u64::from(verdict.outcome_gone);
        counts.rows_gone += u64::from(verdict.row_gone);
        let faults = [
            (
                Fault::Lost,
                verdict.lost_in_kafka || verdict.lost_in_postgres,
                &mut counts.lost,
            ),
            (Fault::Doubled, verdict.doubled, &mut counts.doubled),
            (
                Fault::Disagreeing,
                verdict.disagreeing,
                &mut counts.disagreeing,
            ),
            (
                Fault::Uncommitted,
                verdict.uncommitted,
                &mut counts.uncommitted,
            ),
        ];
        for (fault, is, count) in faults {
            if is {
                *count += 1;
                let shown = self.places.iter().filter(|(shown, _)| *shown == fault);
                if shown.count() < SHOWN {
                    self.places.push((fault, place()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
