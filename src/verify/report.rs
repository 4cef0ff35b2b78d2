//! What a check says, for people and for programs.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::details::Sayings;
use super::judge::{Counts, Fault, Place};
use super::rollups::Miscount;

/// A fault with what each side says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    pub fault: Fault,
    pub place: Place,
    pub said: Sayings,
}

/// The whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub counts: Counts,
    /// Counts per minute that are not those of the rows.
    pub rollups_differing: u64,
    /// The first few of each fault.
    pub examples: Vec<Example>,
    pub miscounts: Vec<Miscount>,
    /// Outcomes and rows of messages that are not looked at or no longer there.
    pub foreign_outcomes: u64,
    pub foreign_rows: u64,
    /// Records in the output topics that are no outcome.
    pub unreadable: u64,
    /// Offsets that retention took from the inputs before the group had read them.
    pub overrun: u64,
}

impl Report {
    /// Whether there is no fault.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.faults().iter().all(|&(_, count, _)| count == 0)
    }

    /// Each fault with its count, and with what it means.
    fn faults(&self) -> [(&'static str, u64, &'static str); 5] {
        let counts = &self.counts;
        [
            (
                "lost",
                counts.lost,
                "committed, with nothing in Kafka or nothing in Postgres",
            ),
            (
                "doubled",
                counts.doubled,
                "more than one outcome in Kafka, or more than one row",
            ),
            (
                "disagreeing",
                counts.disagreeing,
                "Kafka and Postgres say different things",
            ),
            (
                "uncommitted",
                counts.uncommitted,
                "an outcome in Kafka that the group has not committed",
            ),
            (
                "rollups_differing",
                self.rollups_differing,
                "counts per minute that are not those of the rows",
            ),
        ]
    }

    /// One line for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let counts = &self.counts;
        let examples = self.examples.iter().map(|example| {
            json!({
                "fault": example.fault.name(),
                "message": example.place.to_string(),
                "topic": &*example.place.topic,
                "partition": example.place.partition,
                "offset": example.place.offset,
                "kafka": example.said.kafka,
                "postgres": example.said.postgres,
            })
        });
        let miscounts = self.miscounts.iter().map(|miscount| {
            json!({
                "fault": "rollups_differing",
                "minute": minute(miscount),
                "source": miscount.source,
                "subject": miscount.subject,
                "label": miscount.label,
                "held": miscount.held,
                "counted": miscount.counted,
            })
        });
        json!({
            "messages": counts.messages,
            "scored": counts.scored,
            "dead": counts.dead,
            "unread": counts.unread,
            "ahead": counts.ahead,
            "lost": counts.lost,
            "doubled": counts.doubled,
            "disagreeing": counts.disagreeing,
            "uncommitted": counts.uncommitted,
            "rollups_differing": self.rollups_differing,
            "examples": examples.chain(miscounts).collect::<Vec<_>>(),
        })
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = Vec::new();
        let counts = &self.counts;
        let mut line = |name: &str, count: u64, meaning: &str| {
            lines.push(format!("{name:<18} {:>12}  {meaning}", grouped(count)));
        };
        line("messages", counts.messages, "looked at");
        line("scored", counts.scored, "with a result in Kafka");
        line("dead", counts.dead, "with a dead letter in Kafka");
        line("unread", counts.unread, "not committed yet");
        for (name, count, meaning) in [
            (
                "ahead",
                counts.ahead,
                "of these with a row already: a chunk that is about to be committed",
            ),
            (
                "before start",
                counts.before_start,
                "older than the place where the group began (start = \"latest\"), not looked at",
            ),
            (
                "outcomes gone",
                counts.outcomes_gone,
                "whose outcome in Kafka retention may have taken, so that nothing can be said of it",
            ),
            (
                "rows gone",
                counts.rows_gone,
                "whose row retention may have taken, so that nothing can be said of it",
            ),
            (
                "foreign outcomes",
                self.foreign_outcomes,
                "in Kafka, of messages that are not looked at or no longer there",
            ),
            (
                "foreign rows",
                self.foreign_rows,
                "in Postgres, of messages that are not looked at or no longer there",
            ),
            (
                "unreadable",
                self.unreadable,
                "records in the output topics that are no outcome of Tidewatch",
            ),
            (
                "overrun",
                self.overrun,
                "offsets that retention took from the inputs before the group had read them",
            ),
        ] {
            if count > 0 {
                line(name, count, meaning);
            }
        }
        for (name, count, meaning) in self.faults() {
            line(name, count, meaning);
        }
        for example in &self.examples {
            let side = |said: &[String]| match said {
                [] => "nothing".to_owned(),
                said => said.join("; and "),
            };
            lines.push(format!(
                "\n{} {}\n  Kafka:    {}\n  Postgres: {}",
                example.place,
                example.fault.name(),
                side(&example.said.kafka),
                side(&example.said.postgres)
            ));
        }
        for miscount in &self.miscounts {
            let name = |text: &str, none: &str| match text {
                "" => none.to_owned(),
                text => format!("{text:?}"),
            };
            lines.push(format!(
                "\n{} {}, {}, {:?}: the count is {}, the rows are {}",
                minute(miscount),
                name(&miscount.source, "no source"),
                name(&miscount.subject, "no subject"),
                miscount.label,
                miscount.held,
                miscount.counted
            ));
        }
        lines.push(if self.adds_up() {
            "\nit adds up".to_owned()
        } else {
            "\nIT DOES NOT ADD UP".to_owned()
        });
        lines.join("\n")
    }
}

fn minute(miscount: &Miscount) -> String {
    miscount.minute.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
