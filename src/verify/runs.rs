//! Which offsets of a partition hold a message.
//!
//! Not all do: transactional producers leave control records and aborted messages, compaction leaves gaps. So offsets are
//! kept as runs of consecutive ones, and whatever is known of a message stands at its rank: memory follows the messages and
//! not the offsets.

/// Offsets in ascending order, as runs.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Run>,
    messages: usize,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    first: i64,
    /// How many messages come before its first.
    rank: usize,
}

impl Runs {
    /// Adds an offset, which must be above all others.
    pub(super) fn push(&mut self, offset: i64) {
        let consecutive = self
            .runs
            .last()
            .is_some_and(|run| run.first + length(self.messages - run.rank) == offset);
        if !consecutive {
            self.runs.push(Run {
                first: offset,
                rank: self.messages,
            });
        }
        self.messages += 1;
    }

    /// How many offsets hold a message.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// How many messages come before the one at this offset; `None` where there is none.
    pub(super) fn rank(&self, offset: i64) -> Option<usize> {
        let rank = self.rank_from(offset);
        (self.messages > rank && self.offset(rank) == offset).then_some(rank)
    }

    /// How many messages stand below this offset.
    pub(super) fn rank_from(&self, offset: i64) -> usize {
        let after = self.runs.partition_point(|run| run.first <= offset);
        let Some(run) = after.checked_sub(1).and_then(|index| self.runs.get(index)) else {
            return 0;
        };
        let end = self.runs.get(after).map_or(self.messages, |next| next.rank);
        let into = usize::try_from(offset - run.first).unwrap_or(usize::MAX);
        run.rank.saturating_add(into).min(end)
    }

    /// The offset of the message with this rank, of which there must be one.
    pub(super) fn offset(&self, rank: usize) -> i64 {
        let after = self.runs.partition_point(|run| run.rank <= rank);
        let run = self.runs[after.saturating_sub(1)];
        run.first + length(rank - run.rank)
    }
}

fn length(messages: usize) -> i64 {
    i64::try_from(messages).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gaps_hold_no_message() {
        let mut runs = Runs::default();
        for offset in [5, 6, 7, 9, 12, 13] {
            runs.push(offset);
        }
        assert_eq!(runs.runs.len(), 3);
        let ranks: Vec<_> = (4..15).map(|offset| runs.rank(offset)).collect();
        assert_eq!(
            ranks,
            [
                None,
                Some(0),
                Some(1),
                Some(2),
                None,
                Some(3),
                None,
                None,
                Some(4),
                Some(5),
                None
            ]
        );
    }

    proptest! {
        #[test]
        fn ranks_and_offsets_are_those_of_a_plain_list(steps in prop::collection::vec(1i64..4, 0..60)) {
            let mut runs = Runs::default();
            let mut offsets = Vec::new();
            let mut offset = 100;
            for step in steps {
                offset += step;
                offsets.push(offset);
                runs.push(offset);
            }
            prop_assert_eq!(runs.messages(), offsets.len());
            for (rank, &offset) in offsets.iter().enumerate() {
                prop_assert_eq!(runs.offset(rank), offset);
            }
            for asked in 95..offset + 5 {
                prop_assert_eq!(runs.rank(asked), offsets.iter().position(|&offset| offset == asked));
                prop_assert_eq!(runs.rank_from(asked), offsets.iter().filter(|&&offset| offset < asked).count());
            }
        }
    }
}
