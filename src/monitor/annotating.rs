//! Messages picked to be labelled, as the watch counts them.
//!
//! Each message is offered once, since it is counted once, and what is picked is written in the transaction of the step. What
//! a period has seen so far is in memory alone: where the watch passes on without a farewell, the messages of that period,
//! of an hour at most, are not picked from, by whatever coin. So none of the probabilities that are recorded depends on it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{FAREWELL, Monitor};
use crate::annotate::config::AnnotateConfig;
use crate::annotate::margin::margin;
use crate::annotate::pace::{Pace, Progress};
use crate::annotate::pick::{Candidate, Pick};
use crate::annotate::queue::Queue;
use crate::drift::reading::Reading;
use crate::labels::Sampling;
use crate::record::Problem;
use crate::store::{KeptPane, KeptPick, Store, StoreError, Watched};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The speed of the feed is measured over this time at least: a burst says little.
const SHORTEST: i64 = 60_000;

/// What is remembered when the watch passes on.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    pace: Pace,
    /// Days since 1970: what the numbers are of.
    day: i64,
    random: u64,
    uncertain: u64,
    /// Messages of the feed in an hour, as of late.
    hourly: Option<f64>,
}

/// Picks from what is counted.
pub(super) struct Annotating {
    config: AnnotateConfig,
    queue: Queue,
    kept: Kept,
    /// When the present step of the pace began, the messages since then, and what the coin had picked before.
    begun: i64,
    messages: u64,
    before: u64,
    /// Kinds of answers by the number of the model.
    problems: HashMap<i32, Problem>,
    /// Of periods that are over.
    picks: Vec<KeptPick>,
    /// A period has ended since the pace was written.
    turned: bool,
}

impl Annotating {
    /// Reads what is remembered.
    pub(super) async fn load(
        store: &Store,
        config: &AnnotateConfig,
        now: i64,
    ) -> Result<Self, StoreError> {
        if !store.keeps_texts() {
            tracing::warn!(
                "messages are picked for labelling, and annotators are shown their ids alone: [postgres] text is not \"full\""
            );
        }
        let kept = store.annotation_pace().await?;
        let kept = kept.map_or_else(Kept::default, |kept| {
            serde_json::from_value(kept).unwrap_or_else(|error| {
                tracing::warn!("the pace of picking begins anew: {error}");
                Kept::default()
            })
        });
        let mut made = Self {
            queue: Queue::new(config.clone(), 0),
            config: config.clone(),
            kept,
            begun: now,
            messages: 0,
            before: 0,
            problems: HashMap::new(),
            picks: Vec::new(),
            turned: false,
        };
        made.turn(now);
        Ok(made)
    }

    /// Offers a pane's messages.
    pub(super) async fn take(
        &mut self,
        store: &Store,
        pane: &KeptPane,
        readings: &[(i64, Reading)],
        now: i64,
    ) -> Result<(), StoreError> {
        let Some(problem) = self.problem(store, pane.model).await? else {
            return Ok(());
        };
        let languages = if self.config.languages.is_empty() {
            HashMap::new()
        } else {
            store
                .languages(&pane.partition, pane.offsets.clone())
                .await?
        };
        for (offset, reading) in readings {
            if self.kept.pace.is_overrun(self.tossed()) {
                self.plan(now);
            }
            let origin = pane.origin(*offset);
            let candidate = Candidate {
                origin: &origin,
                print: reading.print,
                author: reading.author,
                words: reading.words,
                language: languages.get(offset).map(String::as_str),
                margin: margin(&reading.probabilities, problem),
            };
            self.messages += 1;
            if self.queue.offer(&candidate, self.random()).is_err() {
                self.turn(now);
                // An empty period has room for one.
                let _ = self.queue.offer(&candidate, self.random());
            }
        }
        Ok(())
    }

    /// What is to be written: picks, and the pace where a period has ended.
    pub(super) fn step(&mut self, step: &mut Watched, now: i64) {
        if self.kept.pace.next().is_none_or(|next| now >= next) {
            self.turn(now);
        }
        step.picks = std::mem::take(&mut self.picks);
        if std::mem::take(&mut self.turned) {
            step.pace = serde_json::to_value(&self.kept).ok();
        }
    }

    /// Ends the period before its time; what is to be written then.
    fn farewell(&mut self, now: i64) -> Watched {
        self.turn(now);
        let mut step = Watched::default();
        self.step(&mut step, now);
        step
    }

    /// Messages that the coin has picked since the present step began.
    fn tossed(&self) -> u64 {
        (self.queue.random() as u64).saturating_sub(self.before)
    }

    /// The probability of the random slice now: the same for a message whatever its coin says, since it was fixed before.
    fn random(&self) -> f64 {
        let latest = self.kept.pace.at(i64::MAX);
        latest.map_or(self.config.least_probability, |step| step.random)
    }

    /// Ends the period and begins the next.
    fn turn(&mut self, now: i64) {
        for pick in self.queue.close(0) {
            match pick.sampling {
                Sampling::Random => self.kept.random += 1,
                Sampling::Uncertain => self.kept.uncertain += 1,
            }
            self.picks.push(kept(pick));
        }
        let uncertain = self.plan(now);
        // Nothing was offered in between.
        let none = self.queue.close(uncertain);
        debug_assert!(none.is_empty());
        self.turned = true;
    }

    /// Plans a step of the pace; how many are to be picked for their uncertainty in it.
    fn plan(&mut self, now: i64) -> u32 {
        let day = now.div_euclid(DAY);
        if day != self.kept.day {
            (self.kept.day, self.kept.random, self.kept.uncertain) = (day, 0, 0);
        }
        let elapsed = now.saturating_sub(self.begun);
        if self.messages > 0 || elapsed >= SHORTEST {
            let hours = elapsed.max(SHORTEST) as f64 / HOUR as f64;
            self.kept.hourly = Some(self.messages as f64 / hours);
        }
        self.before = self.queue.random() as u64;
        (self.begun, self.messages) = (now, 0);
        let progress = Progress {
            random: self.kept.random + self.before,
            uncertain: self.kept.uncertain,
            hourly: self.kept.hourly,
        };
        self.kept.pace.plan(&self.config, progress, now).uncertain
    }

    async fn problem(&mut self, store: &Store, model: i32) -> Result<Option<Problem>, StoreError> {
        if let Some(problem) = self.problems.get(&model) {
            return Ok(Some(*problem));
        }
        let found = store.problem_by_id(model).await?;
        if let Some(problem) = found {
            self.problems.insert(model, problem);
        }
        Ok(found)
    }
}

impl Monitor {
    /// Writes what was picked in the period that is not over, so that a watch that ends in order loses nothing of it.
    pub(super) async fn part_from_annotators(&mut self) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        let Some(annotating) = &mut held.annotating else {
            return;
        };
        let step = annotating.farewell(chrono::Utc::now().timestamp_millis());
        let writing = self.setting.store.write_watched(&held.lease, &step);
        match tokio::time::timeout(FAREWELL, writing).await {
            Ok(Ok(true)) => super::count::picks(&self.setting.metrics, &step),
            _ => tracing::info!("nothing is picked of the last period's messages"),
        }
    }
}

fn kept(pick: Pick) -> KeptPick {
    KeptPick {
        origin: pick.origin,
        sampling: pick.sampling,
        random: pick.chance.random,
        uncertain: pick.chance.uncertain,
        margin: pick.margin,
    }
}
