//! What one model has scored: its windows in the making, and its alarm.

use super::kept_panes::KeptPanes;
use super::report;
use crate::drift::baseline::Baseline;
use crate::drift::config::DriftConfig;
use crate::drift::errors::{ErrorWatch, Stretch};
use crate::drift::judge::{Evidence, Judge, Judged};
use crate::drift::labelled::Labelled;
use crate::drift::measured::{Answer, Measured};
use crate::drift::memory::Memory;
use crate::drift::reading::Reading;
use crate::drift::rule::{Change, Watch};
use crate::drift::severity::{Decision, Situation};
use crate::drift::windows::{Assembly, Window};
use crate::record::TopicPartition;
use crate::store::{KeptPane, KeptReport};

/// A model's part of the feed.
pub(super) struct Feed {
    assembly: Assembly,
    panes: KeptPanes,
    watch: Watch,
    since: Option<(u64, i64)>,
    situation: Option<Situation>,
    errors: Option<ErrorWatch>,
}

impl Feed {
    pub(super) fn new(memory: Memory, config: &DriftConfig, now: i64) -> Self {
        Self {
            assembly: Assembly::new(config.windows(), memory.windows, now),
            panes: KeptPanes::default(),
            watch: memory.watch,
            since: memory.since,
            situation: memory.situation,
            errors: memory.errors,
        }
    }

    pub(super) fn memory(&self) -> Memory {
        Memory {
            windows: self.assembly.snapshot(),
            watch: self.watch,
            since: self.since,
            situation: self.situation,
            errors: self.errors.clone(),
        }
    }

    pub(super) fn expect(&mut self, partition: &TopicPartition, now: i64) {
        self.assembly.expect(partition, now);
    }

    /// Counts a pane's messages.
    pub(super) fn take(&mut self, pane: &KeptPane, readings: Vec<(i64, Reading)>, now: i64) {
        if !readings.is_empty() {
            self.panes
                .hold(&pane.partition, &pane.offsets, readings.len());
        }
        for (offset, reading) in readings {
            self.assembly.push(pane.origin(offset), reading, now);
        }
    }

    /// Takes a pane back that was counted before; whether any of its messages is in no closed window.
    pub(super) fn restore(&mut self, pane: &KeptPane, readings: Vec<(i64, Reading)>) -> bool {
        let mut waiting = 0;
        for (offset, reading) in readings {
            let waits = self.assembly.restore(pane.origin(offset), reading);
            waiting += usize::from(waits);
        }
        if waiting > 0 {
            self.panes.hold(&pane.partition, &pane.offsets, waiting);
        }
        waiting > 0
    }

    /// Whether messages of the pane are in no closed window.
    pub(super) fn holds(&self, pane: &KeptPane) -> bool {
        self.panes.holds(&pane.partition, pane.offsets.start)
    }

    /// The windows that are complete, all of them where no more will come, and the panes that lie in them.
    pub(super) fn close(
        &mut self,
        retired: bool,
        now: i64,
    ) -> (Vec<Window>, Vec<(TopicPartition, i64)>) {
        let windows = if retired {
            self.assembly.retire()
        } else {
            self.assembly.close(now)
        };
        let closed = windows.iter().map(|window| &*window.origins);
        let done = closed.flat_map(|origins| self.panes.release(origins));
        let done = done.collect();
        (windows, done)
    }

    pub(super) fn heard(&self) -> Option<i64> {
        self.assembly.heard()
    }

    /// Alarms that are open: of the windows, and of the labelled messages.
    pub(super) fn alarms(&self) -> i64 {
        i64::from(self.watch.open) + i64::from(self.errors_risen())
    }

    /// Ends the alarms of a model that scores no more, and says so.
    pub(super) fn abandon(&mut self, model: i32) -> Vec<KeptReport> {
        let mut reports = Vec::new();
        let number = self.assembly.number();
        let windows = std::mem::take(&mut self.watch).open;
        let since = self.since.take().map(|(_, since)| since);
        self.situation = None;
        let errors = self.errors.take().is_some_and(|errors| errors.is_open());
        for (open, statistic) in [(windows, None), (errors, Some("errors"))] {
            if open {
                reports.push(report::abandoned(model, number, statistic, since));
            }
        }
        reports
    }

    fn errors_risen(&self) -> bool {
        self.errors.as_ref().is_some_and(ErrorWatch::is_open)
    }

    /// The number of the next window.
    pub(super) fn number(&self) -> u64 {
        self.assembly.number()
    }

    /// The test on labelled messages against the error rate that the baseline allows for.
    pub(super) fn errors(&mut self, labelled: &Labelled, config: &DriftConfig) -> &mut ErrorWatch {
        let (rate, run) = (
            labelled.most_errors(),
            f64::from(config.labels_per_false_alarm),
        );
        let fitted = match self.errors.take() {
            Some(test) => test.fitted(rate, run),
            None => ErrorWatch::new(rate, run),
        };
        self.errors.insert(fitted)
    }

    /// What it means that the error rate has risen, in view of what the windows say.
    pub(super) fn decide_errors(&self, judge: &Judge<'_>, since: &Stretch) -> Decision {
        let situation = Situation {
            errors_fired: true,
            ..self.situation.unwrap_or_default()
        };
        judge.decide(&judge.with_labels(situation, &since.measured()))
    }

    /// The window that opened the alarm, as [`Feed::since`], unless labels have told already what it means.
    pub(super) fn untold(&self) -> Option<(u64, i64)> {
        let told = |situation: &Situation| situation.measured.is_some();
        self.since
            .filter(|_| self.situation.as_ref().is_some_and(|s| !told(s)))
    }

    /// What labels make of the open alarm, if they tell.
    pub(super) fn decide(&mut self, judge: &Judge<'_>, measured: &Measured) -> Option<Decision> {
        let situation = judge.with_labels(self.situation?, measured);
        situation.measured?;
        self.situation = Some(situation);
        Some(judge.decide(&situation))
    }

    /// The number and the earliest event time of the window that opened the alarm.
    pub(super) fn since(&self) -> Option<(u64, i64)> {
        self.since
    }

    /// Judges the next window; none without a baseline, which says nothing about the feed.
    pub(super) fn judge(
        &mut self,
        window: &Window,
        answers: &[Answer],
        baseline: Option<&Baseline>,
        config: &DriftConfig,
    ) -> Option<Judged> {
        let judge = Judge::new(baseline?, config.windows_per_false_alarm);
        let evidence = Evidence {
            answers,
            errors_risen: self.errors_risen(),
        };
        let judged = judge.judge(&window.readings, evidence, &mut self.watch);
        if let Some(alarm) = &judged.alarm {
            self.since = Some((window.number, window.start));
            self.situation = Some(alarm.situation);
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
            self.situation = None;
        }
    }
}
