//! Up to which event time several partitions have been heard (Akidau et al. 2015, "The Dataflow Model", section 2.3).

use std::collections::BTreeMap;

use crate::record::TopicPartition;

/// How far a partition has been heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// The latest event time; none before the first message.
    newest: Option<i64>,
    /// When something was heard of it last, by the clock of whoever listens.
    heard: i64,
}

/// The event time up to which every partition that is not silent has been heard, less an allowed lateness. All times are in
/// milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Watermark {
    /// How far behind the latest of its partition a message may be and still come in time.
    lateness: i64,
    /// A partition that has been silent for so long holds up no other.
    idle: i64,
    progress: BTreeMap<TopicPartition, Progress>,
}

impl Watermark {
    #[must_use]
    pub fn new(lateness: i64, idle: i64) -> Self {
        Self {
            lateness,
            idle,
            progress: BTreeMap::new(),
        }
    }

    /// There is such a partition: it is waited for, unless it stays silent.
    pub fn expect(&mut self, partition: &TopicPartition, now: i64) {
        if !self.progress.contains_key(partition) {
            let progress = Progress {
                newest: None,
                heard: now,
            };
            self.progress.insert(partition.clone(), progress);
        }
    }

    /// A message of this event time has come from the partition.
    pub fn hear(&mut self, partition: &TopicPartition, time: i64, now: i64) {
        self.expect(partition, now);
        if let Some(progress) = self.progress.get_mut(partition) {
            progress.heard = now;
            progress.newest = progress.newest.max(Some(time));
        }
    }

    /// Up to which event time nothing more is waited for; `i64::MAX` where everybody is silent.
    #[must_use]
    pub fn due(&self, now: i64) -> i64 {
        let listened = self
            .progress
            .values()
            .filter(|progress| now - progress.heard < self.idle);
        match listened.map(|progress| progress.newest).min() {
            None => i64::MAX,
            // A partition that has not begun yet is waited for.
            Some(None) => i64::MIN,
            Some(Some(newest)) => newest.saturating_sub(self.lateness),
        }
    }

    /// The latest event time of all.
    #[must_use]
    pub fn newest(&self) -> Option<i64> {
        self.progress
            .values()
            .filter_map(|progress| progress.newest)
            .max()
    }

    /// When anything was heard last.
    #[must_use]
    pub fn heard(&self) -> Option<i64> {
        self.progress.values().map(|progress| progress.heard).max()
    }

    /// The latest event time of each partition.
    pub fn each_newest(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.progress
            .iter()
            .filter_map(|(partition, progress)| Some((partition, progress.newest?)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition {
            topic: Arc::from("posts"),
            partition: number,
        }
    }

    #[test]
    fn the_slowest_partition_holds_the_watermark_until_it_has_been_silent_for_long() {
        let mut watermark = Watermark::new(10, 100);
        watermark.hear(&partition(0), 500, 0);
        watermark.hear(&partition(1), 300, 0);
        assert_eq!(watermark.due(50), 290);
        watermark.hear(&partition(0), 600, 90);
        assert_eq!(watermark.due(120), 590, "the other is silent");
        assert_eq!(watermark.due(500), i64::MAX, "so is everybody");
        assert_eq!(watermark.newest(), Some(600));
    }

    #[test]
    fn a_partition_that_is_known_and_has_said_nothing_is_waited_for() {
        let mut watermark = Watermark::new(0, 100);
        watermark.expect(&partition(0), 0);
        watermark.hear(&partition(1), 300, 50);
        assert_eq!(watermark.due(60), i64::MIN);
        assert_eq!(watermark.due(110), 300);
    }
}
