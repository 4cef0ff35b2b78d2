//! The last line: does everything add up?

use std::collections::BTreeMap;

use serde::Serialize;

use super::change::Changed;
use super::figures::grouped;

/// What a demo sent, and where it stands now.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Messages that the input topic took.
    pub sent: u64,
    /// Predictions in Postgres.
    pub rows: u64,
    /// Messages with a result in the output topic.
    pub results: u64,
    /// Messages with a dead letter in Kafka.
    pub dead_letters: u64,
    /// Dead letters in Postgres.
    pub dead_letter_rows: u64,
    /// Messages that the broker did not take.
    pub undelivered: u64,
    /// Records in the output topics beyond the first of a message.
    pub repeated: u64,
    /// Records in the output topics that name no origin.
    pub unreadable: u64,
    /// Lines of the input file that gave no message.
    pub malformed: u64,
    /// Results by label.
    pub labels: BTreeMap<String, u64>,
    /// Dead letters by reason.
    pub reasons: BTreeMap<String, u64>,
    /// From the start of the demo to the first outcome in the output topics.
    pub first_outcome_seconds: f64,
    /// From the first message sent to the last one committed.
    pub seconds: f64,
    /// Messages committed in each of them.
    pub per_second: f64,
    /// Whether the broker is the embedded one, which also shows what aborted transactions wrote.
    pub embedded: bool,
    #[serde(flatten)]
    pub watched: Watched,
    /// What came of the change, where that was shown.
    #[serde(flatten)]
    pub changed: Option<Changed>,
    /// Messages of the built-in story that were not sent, since a limit or a signal came before.
    pub story_left: u64,
}

/// What the watch over the feed has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Watched {
    pub drift_windows: u64,
    pub drift_alarms: u64,
    pub alerts_opened: u64,
    pub alerts_resolved: u64,
}

impl Watched {
    /// As a person reads it; nothing where nothing was watched.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        (self.drift_windows > 0).then(|| {
            format!(
                "watched: {} windows, {} drift alarms, {} alerts opened, {} resolved",
                grouped(self.drift_windows),
                grouped(self.drift_alarms),
                grouped(self.alerts_opened),
                grouped(self.alerts_resolved)
            )
        })
    }
}

impl Summary {
    /// Sent = rows + dead letters in Postgres = results + dead letters in Kafka, and nothing was doubled or lost on the way.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.undelivered == 0
            && self.unreadable == 0
            && self.sent == self.rows + self.dead_letter_rows
            && self.sent == self.results + self.dead_letters
            && self.rows == self.results
            && (self.embedded || self.repeated == 0)
    }

    /// The sum as a person reads it.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{} sent {} {} rows + {} dead letters in Postgres {} {} results + {} dead letters in Kafka",
            grouped(self.sent),
            sign(self.sent, self.rows + self.dead_letter_rows),
            grouped(self.rows),
            grouped(self.dead_letter_rows),
            sign(
                self.rows + self.dead_letter_rows,
                self.results + self.dead_letters
            ),
            grouped(self.results),
            grouped(self.dead_letters),
        )
    }

    /// Whether everything was shown that was to be shown.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.changed
            .as_ref()
            .is_none_or(|changed| changed.missing.is_empty())
    }

    /// That the story was not told to its end, if so.
    #[must_use]
    pub fn cut(&self) -> Option<String> {
        (self.story_left > 0).then(|| {
            format!(
                "the story was cut {} messages before its end: without --seconds and --messages it is told whole",
                grouped(self.story_left)
            )
        })
    }

    /// What does not add up, in sentences; nothing where all is well.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |count: u64, what: &str| {
            if count > 0 {
                faults.push(format!("{} {what}", grouped(count)));
            }
        };
        fault(self.undelivered, "messages were not taken by the broker");
        fault(
            self.unreadable,
            "records in the output topics name no origin",
        );
        fault(
            self.sent.abs_diff(self.rows + self.dead_letter_rows),
            "messages too few or too many in Postgres",
        );
        fault(
            self.sent.abs_diff(self.results + self.dead_letters),
            "messages too few or too many in Kafka",
        );
        fault(
            self.rows.abs_diff(self.results),
            "messages scored on one side only",
        );
        if !self.embedded {
            fault(
                self.repeated,
                "records beyond the first of their message in Kafka",
            );
        }
        faults
    }
}

fn sign(left: u64, right: u64) -> char {
    if left == right { '=' } else { '≠' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Summary {
        Summary {
            sent: 1_010,
            rows: 1_000,
            results: 1_000,
            dead_letters: 10,
            dead_letter_rows: 10,
            ..Summary::default()
        }
    }

    #[test]
    fn a_sound_run_adds_up() {
        let summary = sound();
        assert!(summary.adds_up());
        assert!(summary.faults().is_empty());
        assert_eq!(
            summary.line(),
            "1,010 sent = 1,000 rows + 10 dead letters in Postgres = 1,000 results + 10 dead letters in Kafka"
        );
    }

    #[test]
    fn whatever_is_lost_doubled_or_only_on_one_side_is_found() {
        type Break = fn(&mut Summary);
        let breaks: [(&str, Break); 6] = [
            ("a row is missing", |s| s.rows -= 1),
            ("a result is missing", |s| s.results -= 1),
            ("a row too many", |s| s.rows += 1),
            ("not delivered", |s| s.undelivered = 1),
            ("doubled in Kafka", |s| s.repeated = 1),
            ("dead on one side, scored on the other", |s| {
                s.rows -= 1;
                s.dead_letter_rows += 1;
            }),
        ];
        for (what, break_it) in breaks {
            let mut summary = sound();
            break_it(&mut summary);
            assert!(!summary.adds_up(), "{what}");
            assert!(!summary.faults().is_empty(), "{what}");
        }
    }

    #[test]
    fn the_embedded_broker_may_show_aborted_records() {
        let summary = Summary {
            repeated: 3,
            embedded: true,
            ..sound()
        };
        assert!(summary.adds_up());
    }
}
