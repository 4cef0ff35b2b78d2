//! Counting what comes out, message by message.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// Examples kept for the display.
const EXAMPLES: usize = 6;

/// What an outcome in Kafka is.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Result(Example),
    DeadLetter { reason: String },
}

/// A scored text, to show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Example {
    pub label: String,
    /// Of the label.
    pub probability: f64,
    pub source: String,
    pub text: String,
}

/// The outcomes read so far, each input message counted once however often it appears.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// For each input message (partition, offset) whether its latest outcome is a result.
    seen: HashMap<(i32, i64), bool>,
    results: u64,
    /// Outcomes beyond the first of a message. The embedded broker also shows what an aborted transaction wrote.
    pub repeated: u64,
    /// Records that name no origin: they cannot be counted.
    pub unreadable: u64,
    /// Results by label.
    pub labels: BTreeMap<String, u64>,
    /// Dead letters by reason.
    pub reasons: BTreeMap<String, u64>,
    pub examples: VecDeque<Example>,
}

impl Tally {
    /// Counts an outcome; tells whether it is the first of its message. A later one takes the earlier one's place.
    pub fn see(&mut self, partition: i32, offset: i64, outcome: Outcome) -> bool {
        let is_result = matches!(outcome, Outcome::Result(_));
        let earlier = self.seen.insert((partition, offset), is_result);
        self.results += u64::from(is_result);
        match earlier {
            Some(was_result) => {
                self.results -= u64::from(was_result);
                self.repeated += 1;
            }
            None => match outcome {
                Outcome::Result(example) => {
                    *self.labels.entry(example.label.clone()).or_default() += 1;
                    if !example.text.is_empty() {
                        self.examples.truncate(EXAMPLES - 1);
                        self.examples.push_front(example);
                    }
                }
                Outcome::DeadLetter { reason } => *self.reasons.entry(reason).or_default() += 1,
            },
        }
        earlier.is_none()
    }

    /// Messages with an outcome.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.seen.len() as u64
    }

    #[must_use]
    pub fn results(&self) -> u64 {
        self.results
    }

    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.committed() - self.results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(label: &str) -> Outcome {
        Outcome::Result(Example {
            label: label.into(),
            text: "x".into(),
            ..Example::default()
        })
    }

    fn dead() -> Outcome {
        Outcome::DeadLetter {
            reason: "no_text".into(),
        }
    }

    #[test]
    fn a_message_is_counted_once_however_often_its_outcome_appears() {
        let mut tally = Tally::default();
        assert!(tally.see(0, 1, result("positive")));
        assert!(!tally.see(0, 1, result("positive")));
        assert!(tally.see(1, 1, dead()));
        assert_eq!(
            (
                tally.committed(),
                tally.results(),
                tally.dead_letters(),
                tally.repeated
            ),
            (2, 1, 1, 1)
        );
        assert_eq!(tally.labels["positive"], 1);
    }

    #[test]
    fn the_latest_outcome_of_a_message_holds() {
        let mut tally = Tally::default();
        tally.see(0, 1, result("positive"));
        tally.see(0, 1, dead());
        assert_eq!((tally.results(), tally.dead_letters()), (0, 1));
        tally.see(0, 1, result("negative"));
        assert_eq!((tally.results(), tally.dead_letters()), (1, 0));
    }

    #[test]
    fn only_the_latest_examples_are_kept() {
        let mut tally = Tally::default();
        for offset in 0..50 {
            tally.see(0, offset, result("neutral"));
        }
        assert_eq!(tally.examples.len(), EXAMPLES);
    }
}
