//! What a repair has done.

use serde_json::{Value, json};

use crate::record::{Origin, TopicPartition};

/// Reasons told of those for which messages could not be repaired.
const TOLD: usize = 5;

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Messages whose row was written.
    pub rows: u64,
    /// Counts per minute that were changed.
    pub minutes: u64,
    /// Partitions whose epochs were behind and have been raised: instances that run claim them anew.
    pub behind: Vec<TopicPartition>,
    /// Messages whose row could not be made, the first few with the reason.
    pub left: u64,
    pub reasons: Vec<String>,
}

impl Repaired {
    pub(super) fn leave(&mut self, origin: &Origin, reason: &str) {
        self.left += 1;
        if self.reasons.len() < TOLD {
            self.reasons.push(format!("{origin}: {reason}"));
        }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let behind = self.behind.iter().map(ToString::to_string);
        json!({
            "rows": self.rows,
            "minutes": self.minutes,
            "behind": behind.collect::<Vec<_>>(),
            "left": self.left,
            "reasons": self.reasons,
        })
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = format!(
            "repaired: {} rows written, {} counts per minute changed",
            self.rows, self.minutes
        );
        if !self.behind.is_empty() {
            let behind: Vec<String> = self.behind.iter().map(ToString::to_string).collect();
            words += &format!(
                "\nthe epochs of {} were behind and have been raised: instances that run claim these partitions anew",
                behind.join(", ")
            );
        }
        if self.left > 0 {
            words += &format!(
                "\n{} messages could not be repaired:\n  {}",
                self.left,
                self.reasons.join("\n  ")
            );
        }
        words
    }
}
