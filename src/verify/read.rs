//! From Kafka into the book: which messages there are, and which outcomes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rdkafka::message::Message;

use super::Window;
use super::age::{Age, Retention};
use super::book::{Book, Partition, Topic};
use super::error::VerifyError;
use super::kafka::{Kafka, Spans, time};
use super::outcome::{self, Kind};
use super::watch::{Step, Watch};
use crate::pipeline::config::{InputConfig, OutputConfig};

/// Where the parts of the output topics that are looked at begin and end.
pub(super) struct Outputs {
    pub results: Spans,
    pub dead_letters: Spans,
    /// Partitions whose beginning retention has taken, unless what is looked at begins later.
    trimmed: BTreeSet<(Side, i32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Results,
    DeadLetters,
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
    for input in inputs {
        let count = kafka.partitions(&input.topic)?;
        // The group first: whatever it has committed is then below the ends.
        let committed = kafka.group_offsets(&input.topic, count)?;
        let at = |time: Option<DateTime<Utc>>| {
            time.map(|time| kafka.offsets_at(&input.topic, count, time))
                .transpose()
        };
        let (from, to) = (at(window.from)?, at(window.to)?);
        let mut partitions = Vec::with_capacity(committed.len());
        for (number, (index, committed)) in (0..).zip(committed.into_iter().enumerate()) {
            let (first, end) = kafka.bounds(&input.topic, number)?;
            // No message is as late: the range begins, or ends, behind the last.
            let start = from
                .as_ref()
                .map_or(first, |from| from[index].unwrap_or(end).max(first));
            let end = to.as_ref().map_or(end, |to| to[index].unwrap_or(end));
            let whole = start == 0 && window.to.is_none();
            let range = start..end.max(start);
            partitions.push(Partition::new(number, range, whole, committed));
        }
        topics.push(Topic {
            name: Arc::from(&*input.topic),
            partitions,
        });
    }
    Ok(Book::new(topics))
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

/// The output topics as they stand now. An outcome comes after its message, so they are looked at from the same time on.
pub(super) fn outputs(
    kafka: &Kafka,
    names: &OutputConfig,
    window: &Window,
) -> Result<Outputs, VerifyError> {
    let mut trimmed = BTreeSet::new();
    let mut spans = |topic: &str, side: Side| {
        let count = kafka.partitions(topic)?;
        let from = match window.from {
            Some(time) => Some(kafka.offsets_at(topic, count, time)?),
            None => None,
        };
        let mut spans = Spans::new();
        for (index, partition) in (0..count).enumerate() {
            let (first, end) = kafka.settled_bounds(topic, partition)?;
            let start = from
                .as_ref()
                .map_or(first, |from| from[index].unwrap_or(end).max(first));
            if start == first && first > 0 {
                trimmed.insert((side, partition));
            }
            spans.insert(partition, start..end);
        }
        Ok::<Spans, VerifyError>(spans)
    };
    Ok(Outputs {
        results: spans(&names.results, Side::Results)?,
        dead_letters: spans(&names.dead_letters, Side::DeadLetters)?,
        trimmed,
    })
}

/// Enters the messages.
pub(super) fn inputs(
    kafka: &Kafka,
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
            if let Some(partition) = partition {
                let time = time(message);
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

/// Enters the outcomes.
pub(super) fn outcomes(
    kafka: &Kafka,
    names: &OutputConfig,
    outputs: &Outputs,
    book: &mut Book,
    retention: &Retention,
    watch: &mut Watch<'_>,
) -> Result<(), VerifyError> {
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
        let side = match kind {
            Kind::Result => Side::Results,
            Kind::Dead => Side::DeadLetters,
        };
        kafka.read(topic, spans, |message| {
            watch.advance(1);
            let Some((origin, digest)) = outcome::read(kind, message.payload().unwrap_or_default())
            else {
                book.unreadable += 1;
                return ControlFlow::Continue(());
            };
            let written = time(message);
            if outputs.trimmed.contains(&(side, message.partition())) {
                let from = (side, message.partition());
                firsts.see(
                    from,
                    written,
                    (&origin.topic, origin.partition, origin.offset),
                );
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
    firsts.bound(kafka, outputs, book)
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

/// The first outcomes in those partitions of the outputs whose beginning retention has taken: outcomes of a partition's
/// messages come in the messages' order, so that those of later messages cannot have gone.
#[derive(Default)]
struct Firsts {
    by_input: BTreeMap<(Side, i32), BTreeMap<String, BTreeMap<i32, i64>>>,
    times: BTreeMap<(Side, i32), DateTime<Utc>>,
}

impl Firsts {
    fn see(
        &mut self,
        output: (Side, i32),
        written: DateTime<Utc>,
        (topic, partition, offset): (&str, i32, i64),
    ) {
        self.times.entry(output).or_insert(written);
        let by_input = self.by_input.entry(output).or_default();
        let by_partition = match by_input.get_mut(topic) {
            Some(known) => known,
            None => by_input.entry(topic.to_owned()).or_default(),
        };
        by_partition.entry(partition).or_insert(offset);
    }

    /// Says for each partition of the inputs from which message on an outcome must be there.
    fn bound(&self, kafka: &Kafka, outputs: &Outputs, book: &mut Book) -> Result<(), VerifyError> {
        for output in &outputs.trimmed {
            // An output partition that holds nothing of an input partition (any more): go by the time of the first outcome that
            // it holds of any, or by now.
            let time = self.times.get(output).copied().unwrap_or_else(Utc::now);
            let firsts = self.by_input.get(output);
            for topic in &mut book.topics {
                let firsts = firsts.and_then(|firsts| firsts.get(&*topic.name));
                let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                let at = kafka.offsets_at(&topic.name, count, time)?;
                for (partition, at) in topic.partitions.iter_mut().zip(at) {
                    let first = firsts
                        .and_then(|firsts| firsts.get(&partition.number).copied())
                        .or(at)
                        .unwrap_or(partition.range.end);
                    partition.outcomes_from = partition.outcomes_from.max(first);
                }
            }
        }
        Ok(())
    }
}
