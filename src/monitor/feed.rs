//! What one model has scored: its windows in the making, and its alarm.

use crate::drift::baseline::Baseline;
use crate::drift::config::DriftConfig;
use crate::drift::judge::{Judge, Judged};
use crate::drift::memory::Memory;
use crate::drift::reading::Reading;
use crate::drift::rule::{Change, Watch};
use crate::drift::windows::{Assembly, Window};
use crate::record::{Origin, TopicPartition};

/// A model's part of the feed.
pub(super) struct Feed {
    assembly: Assembly,
    watch: Watch,
    since: Option<(u64, i64)>,
}

impl Feed {
    pub(super) fn new(memory: Memory, config: &DriftConfig, now: i64) -> Self {
        Self {
            assembly: Assembly::new(config.windows(), memory.windows, now),
            watch: memory.watch,
            since: memory.since,
        }
    }

    pub(super) fn memory(&self) -> Memory {
        Memory {
            windows: self.assembly.snapshot(),
            watch: self.watch,
            since: self.since,
        }
    }

    pub(super) fn expect(&mut self, partition: &TopicPartition, now: i64) {
        self.assembly.expect(partition, now);
    }

    pub(super) fn push(&mut self, origin: Origin, reading: Reading, now: i64) {
        self.assembly.push(origin, reading, now);
    }

    pub(super) fn close(&mut self, now: i64) -> Vec<Window> {
        self.assembly.close(now)
    }

    pub(super) fn retire(&mut self) -> Vec<Window> {
        self.assembly.retire()
    }

    pub(super) fn heard(&self) -> Option<i64> {
        self.assembly.heard()
    }

    pub(super) fn is_alarmed(&self) -> bool {
        self.watch.open
    }

    /// The number and the earliest event time of the window that opened the alarm.
    pub(super) fn since(&self) -> Option<(u64, i64)> {
        self.since
    }

    /// Judges the next window; none without a baseline, which says nothing about the feed.
    pub(super) fn judge(
        &mut self,
        window: &Window,
        baseline: Option<&Baseline>,
        config: &DriftConfig,
    ) -> Option<Judged> {
        let readings: Vec<Reading> = window
            .readings
            .iter()
            .map(|(_, reading)| reading.clone())
            .collect();
        let judge = Judge::new(baseline?, config.windows_per_false_alarm);
        let judged = judge.judge(&readings, &mut self.watch);
        if judged.change == Change::Opened {
            self.since = Some((window.number, window.start));
        }
        Some(judged)
    }

    /// Forgets the alarm that was reported as resolved.
    pub(super) fn settle(&mut self, judged: &Option<Judged>) {
        if judged
            .as_ref()
            .is_some_and(|judged| judged.change == Change::Resolved)
        {
            self.since = None;
        }
    }
}
