//! The panes of a model that still hold messages of no closed window.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::record::{Origin, TopicPartition};

/// Counts for each pane how many of its messages are in no closed window yet.
#[derive(Debug, Default)]
pub(super) struct KeptPanes {
    /// By partition and first offset: the offset behind the last, and the count.
    waiting: BTreeMap<(TopicPartition, i64), (i64, usize)>,
}

impl KeptPanes {
    /// A pane with so many messages that are in no closed window.
    pub(super) fn hold(
        &mut self,
        partition: &TopicPartition,
        offsets: &Range<i64>,
        messages: usize,
    ) {
        let place = (partition.clone(), offsets.start);
        self.waiting.insert(place, (offsets.end, messages));
    }

    pub(super) fn holds(&self, partition: &TopicPartition, first: i64) -> bool {
        self.waiting.contains_key(&(partition.clone(), first))
    }

    /// These messages are in a closed window now: the panes (partition and first offset) that hold no others.
    pub(super) fn release(&mut self, closed: &[Origin]) -> Vec<(TopicPartition, i64)> {
        let mut done = Vec::new();
        for origin in closed {
            let last = (origin.topic_partition(), origin.offset);
            let found = self.waiting.range_mut(..=&last).next_back();
            let Some((pane, (end, messages))) = found else {
                continue;
            };
            // A message that was remembered otherwise lies in none.
            if pane.0 != last.0 || origin.offset >= *end {
                continue;
            }
            *messages -= 1;
            if *messages == 0 {
                let pane = pane.clone();
                self.waiting.remove(&pane);
                done.push(pane);
            }
        }
        done
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

    fn origin(number: i32, offset: i64) -> Origin {
        Origin {
            topic: Arc::from("posts"),
            partition: number,
            offset,
        }
    }

    #[test]
    fn a_pane_is_done_when_the_last_of_its_messages_is_in_a_closed_window() {
        let mut panes = KeptPanes::default();
        panes.hold(&partition(0), &(10..20), 2);
        panes.hold(&partition(0), &(20..30), 1);
        panes.hold(&partition(1), &(10..20), 1);
        assert!(panes.release(&[origin(0, 15)]).is_empty());
        assert!(panes.holds(&partition(0), 10));
        assert_eq!(
            panes.release(&[origin(0, 19), origin(1, 10)]),
            [(partition(0), 10), (partition(1), 10)]
        );
        assert!(!panes.holds(&partition(0), 10));
    }

    #[test]
    fn a_message_that_lies_in_no_pane_changes_nothing() {
        let mut panes = KeptPanes::default();
        panes.hold(&partition(1), &(10..20), 1);
        let strangers = [origin(0, 12), origin(1, 9), origin(1, 20), origin(2, 12)];
        assert!(panes.release(&strangers).is_empty());
        assert!(panes.holds(&partition(1), 10));
    }
}
