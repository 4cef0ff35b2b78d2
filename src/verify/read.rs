//! From Kafka into the book: which messages there are, and which outcomes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rdkafka::message::Message;

use super::Window;
use super::age::{Age, Retention};
use super::book::{Book, Partition, Topic};
use super::error::VerifyError;
use super::expired::Firsts;
use super::kafka::{Kafka, Spans, time};
use super::outcome::{self, Kind};
use super::watch::{Step, Watch};
use crate::pipeline::config::{InputConfig, OutputConfig};

/// Where the parts of the output topics that are looked at begin and end.
pub(super) struct Outputs {
    pub results: Spans,
    pub dead_letters: Spans,
    /// Partitions whose beginning retention has taken, unless what is looked at begins later.
    pub trimmed: BTreeSet<(Kind, i32)>,
}

impl Outputs {
    /// Each output topic with its spans and the kind of its outcomes.
    pub(super) fn each<'a>(&'a self, names: &'a OutputConfig) -> [(&'a str, &'a Spans, Kind); 2] {
        [
            (&names.results, &self.results, Kind::Result),
            (&names.dead_letters, &self.dead_letters, Kind::Dead),
        ]
    }
}

/// The input topics with the offsets that are looked at, and the group's offsets; the messages are not read yet.
pub(super) fn open(
    kafka: &Kafka,
    inputs: &[InputConfig],
    window: &Window,
) -> Result<Book, VerifyError> {
    let mut topics = Vec::with_capacity(inputs.len());
    let mut overrun = 0;
    for input in inputs {
        let count = kafka.partitions(&input.topic)?;
        // The group first: whatever it has committed is then below the ends.
        let committed = kafka.group_offsets(&input.topic, count)?;
        let from = match window.from {
            Some(time) => Some(kafka.offsets_at(&input.topic, count, time)?),
            None => None,
        };
        let mut partitions = Vec::with_capacity(committed.len());
        for (number, (index, committed)) in (0..).zip(committed.into_iter().enumerate()) {
            let (first, end) = kafka.bounds(&input.topic, number)?;
            overrun += committed.map_or(0, |committed| (first - committed).max(0).unsigned_abs());
            // No message is as late: the range begins behind the last.
            let start = from
                .as_ref()
                .map_or(first, |from| from[index].unwrap_or(end).max(first));
            let whole = start == 0 && !window.is_limited();
            let range = start..end.max(start);
            partitions.push(Partition::new(number, range, whole, committed));
        }
        topics.push(Topic {
            name: Arc::from(&*input.topic),
            partitions,
        });
    }
    let mut book = Book::new(topics);
    book.overrun = overrun;
    Ok(book)
}

/// Between two looks at what the group has left to read.
const LOOK: Duration = Duration::from_millis(300);

/// Waits until the group has read every message that is there, but no longer than this.
pub(super) fn settle(
    kafka: &Kafka,
    inputs: &[InputConfig],
    limit: Duration,
    watch: &mut Watch<'_>,
) -> Result<(), VerifyError> {
    let began = Instant::now();
    watch.begin(Step::Settling, limit.as_secs());
    loop {
        watch.reach(began.elapsed().as_secs());
        let mut open = false;
        for input in inputs {
            open = open || has_unread(kafka, &input.topic)?;
        }
        if !open || began.elapsed() > limit {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether there is a message that the group has not committed. Its offset alone does not tell: control records follow the last
/// message of a transaction.
fn has_unread(kafka: &Kafka, topic: &str) -> Result<bool, VerifyError> {
    let count = kafka.partitions(topic)?;
    let mut unread = Spans::new();
    for (number, committed) in (0..).zip(kafka.group_offsets(topic, count)?) {
        let (first, end) = kafka.bounds(topic, number)?;
        unread.insert(number, committed.unwrap_or(first).max(first)..end);
    }
    let mut found = false;
    kafka.read(topic, &unread, |_| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// How far the producers' clocks may be ahead of the service's.
const SKEW: TimeDelta = TimeDelta::hours(1);

/// The output topics as they stand now. An outcome comes after its message, so they are looked at from the same time on, but for
/// what clocks may differ by.
pub(super) fn outputs(
    kafka: &Kafka,
    names: &OutputConfig,
    window: &Window,
) -> Result<Outputs, VerifyError> {
    let mut trimmed = BTreeSet::new();
    let mut spans = |topic: &str, kind: Kind| {
        let count = kafka.partitions(topic)?;
        let from = match window.from {
            Some(time) => Some(kafka.offsets_at(topic, count, time - SKEW)?),
            None => None,
        };
        let mut spans = Spans::new();
        for (index, partition) in (0..count).enumerate() {
            let (first, end) = kafka.settled_bounds(topic, partition)?;
            let start = from
                .as_ref()
                .map_or(first, |from| from[index].unwrap_or(end).max(first));
            if start == first && first > 0 {
                trimmed.insert((kind, partition));
            }
            spans.insert(partition, start..end);
        }
        Ok::<Spans, VerifyError>(spans)
    };
    Ok(Outputs {
        results: spans(&names.results, Kind::Result)?,
        dead_letters: spans(&names.dead_letters, Kind::Dead)?,
        trimmed,
    })
}

/// Enters the messages.
pub(super) fn inputs(
    kafka: &Kafka,
    window: &Window,
    now: DateTime<Utc>,
    book: &mut Book,
    retention: &Retention,
    watch: &mut Watch<'_>,
) -> Result<(), VerifyError> {
    let offsets = book.partitions().map(|(_, partition)| &partition.range);
    watch.begin(
        Step::Inputs,
        offsets.map(|range| range.end.abs_diff(range.start)).sum(),
    );
    for topic in &mut book.topics {
        let spans = topic
            .partitions
            .iter()
            .map(|partition| (partition.number, partition.range.clone()))
            .collect();
        kafka.read(&topic.name, &spans, |message| {
            watch.advance(1);
            let partition = usize::try_from(message.partition())
                .ok()
                .and_then(|number| topic.partitions.get_mut(number));
            let time = time(message);
            if let Some(partition) = partition
                && window.holds(time, now + SKEW)
            {
                partition.add(
                    message.offset(),
                    outcome::kafka_time(time),
                    retention.age(time),
                );
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(())
}

/// Enters the outcomes, and returns the first ones where retention has taken those before them.
pub(super) fn outcomes(
    kafka: &Kafka,
    names: &OutputConfig,
    outputs: &Outputs,
    book: &mut Book,
    retention: &Retention,
    watch: &mut Watch<'_>,
) -> Result<Firsts, VerifyError> {
    let spans = outputs
        .results
        .values()
        .chain(outputs.dead_letters.values());
    watch.begin(
        Step::Outcomes,
        spans.map(|range| range.end.abs_diff(range.start)).sum(),
    );
    let mut firsts = Firsts::default();
    for (topic, spans, kind) in outputs.each(names) {
        kafka.read(topic, spans, |message| {
            watch.advance(1);
            let Some((origin, digest)) = outcome::read(kind, message.payload().unwrap_or_default())
            else {
                book.unreadable += 1;
                return ControlFlow::Continue(());
            };
            let written = time(message);
            let output = (kind, message.partition());
            if outputs.trimmed.contains(&output) {
                firsts.see(output, written, &origin);
            }
            let Some(partition) = book.partition_mut(&origin.topic, origin.partition) else {
                book.foreign_outcomes += 1;
                return ControlFlow::Continue(());
            };
            match partition.rank(origin.offset) {
                Some(rank) => {
                    partition.kafka_mut(rank).say(kind, digest);
                    let row = partition.postgres_mut(rank);
                    if row.age() == Age::Wild && retention.keeps_written(written) {
                        row.set_age(Age::Kept);
                    }
                }
                None if origin.offset >= partition.range.end => {}
                None => book.foreign_outcomes += 1,
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(firsts)
}

/// The group's offsets once more.
pub(super) fn committed_later(kafka: &Kafka, book: &mut Book) -> Result<(), VerifyError> {
    for topic in &mut book.topics {
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let committed = kafka.group_offsets(&topic.name, count)?;
        for (partition, committed) in topic.partitions.iter_mut().zip(committed) {
            partition.committed_later = committed;
        }
    }
    Ok(())
}
