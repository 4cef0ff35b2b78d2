//! Collecting messages into chunks. Pure: time is passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::config::BatchConfig;
use crate::record::{Assignment, Chunk, Decoded, Offsets, Origin, TopicPartition};

/// Where a message stands in what its partition has delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind everything that was taken.
    New,
    /// It is the one that was taken last. librdkafka pauses its partitions when a rebalance begins, and where a message is
    /// just being handed over at that moment, it goes on with that one again.
    Repeated,
    /// Messages behind it were taken. It may be another one of the same offset, since topics are truncated, and deleted and
    /// made anew.
    Before,
}

/// The chunk that is being collected, and when it is done.
pub(super) struct Collector {
    max_delay: Duration,
    max_messages: usize,
    max_bytes: usize,
    chunk: Option<Chunk>,
    bytes: usize,
    /// The offset after the last message taken of each partition.
    next: BTreeMap<TopicPartition, i64>,
}

impl Collector {
    pub(super) fn new(config: &BatchConfig) -> Self {
        Self {
            max_delay: Duration::from_millis(config.max_delay_ms),
            max_messages: config.max_messages,
            max_bytes: config.max_chunk_bytes,
            chunk: None,
            bytes: 0,
            next: BTreeMap::new(),
        }
    }

    /// These partitions are begun anew: whatever comes of them is new.
    pub(super) fn begin(&mut self, partitions: &BTreeSet<TopicPartition>) {
        self.next
            .retain(|partition, _| !partitions.contains(partition));
    }

    /// Where a message stands, beside what has been taken since its partition was begun.
    pub(super) fn place(&self, origin: &Origin) -> Place {
        match self.next.get(&origin.topic_partition()) {
            Some(&next) if origin.offset + 1 == next => Place::Repeated,
            Some(&next) if origin.offset < next => Place::Before,
            _ => Place::New,
        }
    }

    /// Adds a message, consumed under this assignment. What was collected under another one is void.
    pub(super) fn add(&mut self, item: Decoded, assignment: Assignment, now: Instant) {
        self.keep_only(assignment);
        let raw = item.raw();
        self.next
            .insert(raw.origin.topic_partition(), raw.origin.offset + 1);
        self.bytes += raw.payload.as_ref().map_or(0, bytes::Bytes::len);
        let chunk = self.chunk.get_or_insert_with(|| Chunk {
            items: Vec::new(),
            offsets: Offsets::default(),
            assignment,
            started: now,
        });
        chunk.offsets.include(&raw.origin);
        chunk.items.push(item);
    }

    /// Drops what was collected under another assignment.
    pub(super) fn keep_only(&mut self, assignment: Assignment) {
        if self
            .chunk
            .as_ref()
            .is_some_and(|chunk| chunk.assignment != assignment)
        {
            self.clear();
        }
    }

    /// Drops what was collected.
    pub(super) fn clear(&mut self) {
        self.chunk = None;
        self.bytes = 0;
    }

    /// The chunk, if there is one.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        self.bytes = 0;
        self.chunk.take()
    }

    /// How long until the chunk is due; nothing where there is none.
    pub(super) fn due_in(&self, now: Instant) -> Option<Duration> {
        let chunk = self.chunk.as_ref()?;
        Some((chunk.started + self.max_delay).saturating_duration_since(now))
    }

    /// Whether the chunk should take no more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.max_bytes
            || self
                .chunk
                .as_ref()
                .is_some_and(|chunk| chunk.items.len() >= self.max_messages)
    }

    /// Whether the chunk has grown far past its limit, as it may while nobody takes it.
    pub(super) fn is_overflowing(&self) -> bool {
        self.bytes >= self.max_bytes.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::{DeadLetter, DeadReason, Origin, RawMessage};

    fn item(offset: i64, bytes: usize) -> Decoded {
        Decoded::Dead(DeadLetter {
            raw: RawMessage {
                origin: Origin {
                    topic: Arc::from("posts"),
                    partition: 0,
                    offset,
                },
                kafka_time: chrono::DateTime::UNIX_EPOCH,
                key: None,
                headers: Vec::new(),
                payload: Some(vec![0; bytes].into()),
            },
            reason: DeadReason::NoText,
            detail: String::new(),
        })
    }

    fn collector() -> Collector {
        Collector::new(&BatchConfig {
            max_delay_ms: 100,
            max_messages: 3,
            max_chunk_bytes: 1_000,
            max_tokens: 1,
            max_bytes: 1,
            tokenizer_threads: 1,
        })
    }

    #[test]
    fn a_chunk_is_due_so_long_after_its_first_message() {
        let (mut collector, now) = (collector(), Instant::now());
        assert_eq!(collector.due_in(now), None);
        collector.add(item(0, 1), Assignment(1), now);
        let later = now + Duration::from_millis(60);
        collector.add(item(1, 1), Assignment(1), later);
        assert_eq!(collector.due_in(later), Some(Duration::from_millis(40)));
        assert_eq!(
            collector.due_in(now + Duration::from_secs(9)),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn a_chunk_is_full_at_its_messages_or_at_its_bytes() {
        let (mut by_count, mut by_bytes, now) = (collector(), collector(), Instant::now());
        for offset in 0..3 {
            assert!(!by_count.is_full());
            by_count.add(item(offset, 1), Assignment(1), now);
        }
        assert!(by_count.is_full() && !by_count.is_overflowing());
        by_bytes.add(item(0, 2_000), Assignment(1), now);
        assert!(by_bytes.is_full() && by_bytes.is_overflowing());
        let chunk = by_bytes.take().unwrap();
        assert_eq!(chunk.items.len(), 1);
        assert!(!by_bytes.is_full(), "what was taken no longer counts");
    }

    #[test]
    fn a_message_that_comes_twice_is_known_until_its_partition_is_begun_anew() {
        let (mut collector, now) = (collector(), Instant::now());
        let origin = |offset| item(offset, 0).raw().origin.clone();
        let place =
            |collector: &Collector| [4, 5, 6].map(|offset| collector.place(&origin(offset)));
        assert_eq!(place(&collector), [Place::New; 3]);
        collector.add(item(5, 1), Assignment(1), now);
        // Also after its chunk has gone.
        assert!(collector.take().is_some());
        let places = [Place::Before, Place::Repeated, Place::New];
        assert_eq!(place(&collector), places);
        collector.begin(&BTreeSet::from([origin(0).topic_partition()]));
        assert_eq!(place(&collector), [Place::New; 3]);
    }

    #[test]
    fn what_was_collected_under_an_ended_assignment_is_void() {
        let (mut collector, now) = (collector(), Instant::now());
        collector.add(item(5, 900), Assignment(1), now);
        collector.add(item(2, 10), Assignment(2), now);
        let chunk = collector.take().unwrap();
        assert_eq!(chunk.assignment, Assignment(2));
        assert_eq!(chunk.offsets.0.values().next(), Some(&(2..3)));
    }
}
