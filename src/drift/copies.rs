//! Copies of one text, counted once.
//!
//! A storm of retweets is one message to the detector: otherwise a single popular text would move every statistic at once,
//! and the independence that a window's statistics rely on would be gone.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::reading::Reading;

/// How many of a set of messages are copies of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// Messages in all.
    pub messages: u64,
    /// Distinct texts.
    pub exact: u64,
    /// Distinct texts but for case, links, mentions, numbers and punctuation.
    pub near: u64,
}

impl Copies {
    /// Counts the copies among some readings.
    #[must_use]
    pub fn among<'a>(readings: impl IntoIterator<Item = &'a Reading>) -> Self {
        let (mut messages, mut exact, mut near) = (0, HashSet::new(), HashSet::new());
        for reading in readings {
            messages += 1;
            exact.insert(reading.print.exact);
            near.insert(reading.print.near);
        }
        Self {
            messages,
            exact: exact.len() as u64,
            near: near.len() as u64,
        }
    }

    /// Share of the messages that are a near copy of another one that is kept; 0 without messages.
    #[must_use]
    pub fn share(&self) -> f64 {
        (self.messages - self.near) as f64 / self.messages.max(1) as f64
    }
}

/// One reading for each near fingerprint, in order of time.
///
/// Of several, the one with the smallest exact fingerprint is kept, of equal texts the oldest one, so that the choice does not
/// depend on the order in which the readings are given.
#[must_use]
pub fn distinct(readings: &[Reading]) -> Vec<&Reading> {
    distinct_by(readings, |reading| reading)
}

/// As [`distinct`], of items that carry a reading. Of items whose readings are equal the first is kept.
#[must_use]
pub fn distinct_by<T>(items: &[T], reading: impl Fn(&T) -> &Reading) -> Vec<&T> {
    let mut kept: HashMap<u64, &T> = HashMap::with_capacity(items.len());
    for item in items {
        kept.entry(reading(item).print.near)
            .and_modify(|held| {
                if order(reading(item), reading(held)).is_lt() {
                    *held = item;
                }
            })
            .or_insert(item);
    }
    let mut kept: Vec<&T> = kept.into_values().collect();
    // No two that are kept share a near fingerprint, so the order is total.
    kept.sort_unstable_by_key(|item| (reading(item).time, reading(item).print.near));
    kept
}

/// Orders copies of a text by everything they may differ in.
fn order(one: &Reading, other: &Reading) -> Ordering {
    let key = |reading: &Reading| (reading.print.exact, reading.time);
    let rest = |reading: &Reading| (reading.label, reading.words, reading.truncated);
    let bits = |reading: &Reading| -> Vec<u32> {
        let probabilities = reading.probabilities.iter();
        probabilities.map(|p| p.to_bits()).collect()
    };
    key(one)
        .cmp(&key(other))
        .then_with(|| one.source.cmp(&other.source))
        .then_with(|| one.subject.cmp(&other.subject))
        .then_with(|| one.tokens.cmp(&other.tokens))
        .then_with(|| rest(one).cmp(&rest(other)))
        .then_with(|| bits(one).cmp(&bits(other)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reading::Fingerprint;
    use super::super::synthetic::Feed;
    use super::*;

    fn readings(prints: &[(u64, u64, i64)]) -> Vec<Reading> {
        let mut readings = Feed::default().readings(prints.len(), 1);
        for (reading, &(exact, near, time)) in readings.iter_mut().zip(prints) {
            reading.print = Fingerprint { exact, near };
            reading.time = time;
        }
        readings
    }

    proptest! {
        #[test]
        fn the_choice_does_not_depend_on_the_order(
            prints in prop::collection::vec((0_u64..6, 0_u64..4, 0_i64..3), 0..30), turn in 0_usize..30,
        ) {
            let given = readings(&prints);
            let mut turned = given.clone();
            turned.rotate_left(turn.min(given.len()));
            turned.reverse();
            prop_assert_eq!(distinct(&given), distinct(&turned));
        }

        #[test]
        fn what_is_kept_is_what_the_counts_say(
            prints in prop::collection::vec((0_u64..9, 0_u64..4, 0_i64..3), 0..30),
        ) {
            let given = readings(&prints);
            let copies = Copies::among(&given);
            prop_assert_eq!(distinct(&given).len() as u64, copies.near);
            prop_assert!(copies.near <= copies.messages && copies.exact <= copies.messages);
            prop_assert!((0.0..=1.0).contains(&copies.share()));
        }
    }

    #[test]
    fn of_near_copies_the_one_with_the_smallest_exact_print_stays_and_time_orders_the_rest() {
        let given = readings(&[(7, 1, 0), (3, 1, 9), (3, 1, 5), (4, 2, 1)]);
        let kept: Vec<_> = distinct(&given).iter().map(|r| (r.time, r.print)).collect();
        let print = |exact, near| Fingerprint { exact, near };
        assert_eq!(kept, [(1, print(4, 2)), (5, print(3, 1))]);
        let copies = Copies::among(&given);
        assert_eq!((copies.messages, copies.exact, copies.near), (4, 3, 2));
    }
}
