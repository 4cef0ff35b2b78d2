//! The sum of a run.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::check::Verdict;
use super::diary::Tally;
use super::schedule::Header;

/// What is said at the end.
pub struct Summary {
    pub header: Header,
    pub tally: Tally,
    /// Of the small model's pipeline and of the real one's, over the whole run; absent where it did not come to that.
    pub verdicts: Option<[Verdict; 2]>,
    pub quiets: u32,
    /// Time under load.
    pub loaded: Duration,
    /// The longest time in which nothing was committed.
    pub standstill: Duration,
    /// With starting, healing and checking.
    pub elapsed: Duration,
}

impl Summary {
    pub fn has_failed(&self) -> bool {
        !self.tally.failures.is_empty()
    }

    fn sum(&self, count: impl Fn(&Verdict) -> u64) -> u64 {
        self.verdicts.iter().flatten().map(count).sum()
    }

    fn real(&self) -> u64 {
        self.verdicts.as_ref().map_or(0, |[_, real]| real.messages)
    }

    fn faults(&self) -> u64 {
        self.tally.faults.values().sum()
    }

    fn rate(&self) -> f64 {
        self.sum(|v| v.messages) as f64 / self.loaded.as_secs_f64().max(0.001)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "ok": !self.has_failed(),
            "seed": self.header.seed,
            "minutes": round(self.loaded.as_secs_f64() / 60.0),
            "minutes_in_all": round(self.elapsed.as_secs_f64() / 60.0),
            "brokers": self.header.brokers,
            "strategy": self.header.strategy,
            "static_membership": self.header.static_membership,
            "small_model": "2 layers of width 32, made-up weights, on ONNX Runtime",
            "messages": self.sum(|v| v.messages),
            "scored": self.sum(|v| v.scored),
            "dead": self.sum(|v| v.dead),
            "real_model_messages": self.real(),
            "messages_per_second": self.rate().round(),
            "longest_standstill_seconds": round(self.standstill.as_secs_f64()),
            "faults": self.faults(),
            "faults_by_kind": self.tally.faults,
            "restarts": self.tally.restarts,
            "ended_by_themselves": self.tally.ended,
            "quiet_checks": self.quiets,
            "lost": self.sum(|v| v.lost),
            "doubled": self.sum(|v| v.doubled),
            "disagreeing": self.sum(|v| v.disagreeing),
            "uncommitted": self.sum(|v| v.uncommitted),
            "rollups_differing": self.sum(|v| v.rollups_differing),
            "checked": self.verdicts.is_some(),
            "failures": self.tally.failures,
        })
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_kind: Vec<String> = self
            .tally
            .faults
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        let by_kind = match by_kind.is_empty() {
            true => String::new(),
            false => format!(" ({})", by_kind.join(", ")),
        };
        let ended: u64 = self.tally.ended.values().sum();
        write!(
            f,
            "{}: {} messages ({} scored, {} dead; {} with the real model, the others with a small stand-in), {} faults{by_kind}, \
             {} restarts, {ended} ended by themselves, {} quiet checks: {} lost, {} doubled, {} disagreeing, {} counts differing; \
             {:.1} min, {:.0} messages/s, at most {:.0} s without a commit, seed {}",
            if self.has_failed() { "FAILED" } else { "ok" },
            self.sum(|v| v.messages),
            self.sum(|v| v.scored),
            self.sum(|v| v.dead),
            self.real(),
            self.faults(),
            self.tally.restarts,
            self.quiets,
            self.sum(|v| v.lost),
            self.sum(|v| v.doubled),
            self.sum(|v| v.disagreeing),
            self.sum(|v| v.rollups_differing),
            self.loaded.as_secs_f64() / 60.0,
            self.rate(),
            self.standstill.as_secs_f64(),
            self.header.seed,
        )
    }
}
