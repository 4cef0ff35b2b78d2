//! What retention may have taken of the outcomes in Kafka.
//!
//! Where the beginning of an output partition is gone, a message without an outcome may have had one there. Two things say of which
//! messages that cannot be. Outcomes of an input partition are written in the order of its messages, so of none behind the first outcome
//! that is still there. And what is gone was written before what is still there, and, where a topic is kept by time alone, before
//! that time; so of none that is younger.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;

use super::book::Book;
use super::error::VerifyError;
use super::kafka::Kafka;
use super::outcome::{Kind, Origin};
use super::read::Outputs;
use crate::pipeline::config::OutputConfig;

/// The first outcomes that are left in partitions of the outputs.
#[derive(Debug, Default)]
pub(super) struct Firsts(BTreeMap<(Kind, i32), First>);

#[derive(Debug)]
struct First {
    /// When the first outcome was written.
    written: DateTime<Utc>,
    /// The first message by topic and partition.
    messages: BTreeMap<String, BTreeMap<i32, i64>>,
}

impl Firsts {
    /// Notes an outcome in a partition of an output; they come in their order.
    pub(super) fn see(&mut self, output: (Kind, i32), written: DateTime<Utc>, origin: &Origin<'_>) {
        let first = self.0.entry(output).or_insert_with(|| First {
            written,
            messages: BTreeMap::new(),
        });
        let by_partition = match first.messages.get_mut(&*origin.topic) {
            Some(known) => known,
            None => first.messages.entry(origin.topic.to_string()).or_default(),
        };
        by_partition
            .entry(origin.partition)
            .or_insert(origin.offset);
    }

    /// Says for each partition of the inputs from which message on an outcome must be there.
    pub(super) fn bound(
        &self,
        kafka: &Kafka,
        names: &OutputConfig,
        outputs: &Outputs,
        now: DateTime<Utc>,
        runtime: &Handle,
        book: &mut Book,
    ) -> Result<(), VerifyError> {
        let mut kept_since = BTreeMap::new();
        for output in &outputs.trimmed {
            let topic = match output.0 {
                Kind::Result => &names.results,
                Kind::Dead => &names.dead_letters,
            };
            let kept_since = kept_since.entry(topic).or_insert_with(|| {
                let kept = runtime.block_on(kafka.kept_for(topic));
                kept.map_or(now, |kept| now - kept)
            });
            let first = self.0.get(output);
            // Whatever is gone was written before this time.
            let time = first.map_or(*kept_since, |first| first.written.min(*kept_since));
            for topic in &mut book.topics {
                let firsts = first.and_then(|first| first.messages.get(&*topic.name));
                let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                let at = kafka.offsets_at(&topic.name, count, time)?;
                for (partition, at) in topic.partitions.iter_mut().zip(at) {
                    let by_order = firsts.and_then(|firsts| firsts.get(&partition.number).copied());
                    let by_time = at.unwrap_or(partition.range.end);
                    let bound = by_order.map_or(by_time, |offset| offset.min(by_time));
                    partition.outcomes_from = partition.outcomes_from.max(bound);
                }
            }
        }
        Ok(())
    }
}
