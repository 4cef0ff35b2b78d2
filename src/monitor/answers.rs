//! What labels say, as they come in: reckoned into the test on errors, into the windows of their messages, and into what was
//! decided on an alarm.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::feed::Feed;
use super::report::{error_report, time, updated_report};
use crate::drift::accuracy::EstimatedAccuracy;
use crate::drift::baseline::Baseline;
use crate::drift::config::DriftConfig;
use crate::drift::errors::ErrorChange;
use crate::drift::judge::Judge;
use crate::drift::measured::{Answer, Measured};
use crate::metrics::Metrics;
use crate::store::{KeptMeasure, LabelledMessage, Store, StoreError, Watched};

/// Labelled messages reckoned in at one look.
pub(super) const MOST: u32 = 500;
/// Labelled messages of one window, or of one alarm.
const MOST_ANSWERS: u32 = 100_000;

/// The answers to labelled messages of a model within a span of event time.
pub(super) async fn between(
    store: &Store,
    model: i32,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<Answer>, StoreError> {
    let messages = store
        .labelled_between(model, from, to, MOST_ANSWERS)
        .await?;
    let answer = |message: &LabelledMessage| {
        Some(Answer {
            confidence: message.confidence,
            right: message.answer()?,
        })
    };
    Ok(messages.iter().filter_map(answer).collect())
}

/// What the labels of one model's messages need.
pub(super) struct Reckoning<'a> {
    pub store: &'a Store,
    pub config: &'a DriftConfig,
    pub metrics: &'a Metrics,
    pub model: i32,
    pub baseline: Option<&'a Baseline>,
    pub now: DateTime<Utc>,
}

impl Reckoning<'_> {
    /// Reckons in labelled messages of the model, and says in `step` what follows.
    pub(super) async fn take(
        &self,
        feed: &mut Feed,
        messages: Vec<LabelledMessage>,
        step: &mut Watched,
    ) -> Result<(), StoreError> {
        let times: BTreeSet<DateTime<Utc>> =
            messages.iter().map(|message| message.event_time).collect();
        for mut message in messages {
            if let Some(right) = message.answer().filter(|_| !message.counted) {
                message.counted = true;
                self.test(feed, &message, right, step);
            }
            step.labelled.push(message);
        }
        self.measure(times, step).await?;
        self.tell(feed, step).await
    }

    /// Puts an answer into the sequential test, where there is an error rate to test against.
    fn test(&self, feed: &mut Feed, message: &LabelledMessage, right: bool, step: &mut Watched) {
        let answer = if right { "right" } else { "wrong" };
        self.metrics
            .drift_answers
            .with_label_values(&[answer])
            .inc();
        let Some(labelled) = self
            .baseline
            .and_then(|baseline| baseline.labelled.as_ref())
        else {
            return;
        };
        let test = feed.errors(labelled, self.config);
        let change = test.observe(!right, message.event_time.timestamp_millis());
        let (opened, number) = (test.opened(), feed.number());
        let (change, risen) = match change {
            ErrorChange::None => return,
            ErrorChange::Opened(risen) => ("opened", risen),
            ErrorChange::Resolved(risen) => ("resolved", risen),
        };
        if let Some(baseline) = self.baseline {
            let judge = Judge::new(baseline, self.config.windows_per_false_alarm);
            let decided = feed.decide_errors(&judge, &risen.since);
            let mut report =
                error_report(self.model, number, change, opened, &risen.since, labelled);
            if change == "opened" {
                report.report["alarm"] = json!(decided);
            }
            step.reports.push(report);
        }
    }

    /// Measures the closed windows in which the messages lie anew.
    async fn measure(
        &self,
        times: BTreeSet<DateTime<Utc>>,
        step: &mut Watched,
    ) -> Result<(), StoreError> {
        let times: Vec<DateTime<Utc>> = times.into_iter().collect();
        for window in self.store.windows_at(self.model, &times).await? {
            let answers = between(self.store, self.model, window.started, window.ended).await?;
            let estimate: Option<EstimatedAccuracy> = window
                .estimate
                .and_then(|estimate| serde_json::from_value(estimate).ok());
            let measured = Measured::of(&answers, estimate.as_ref());
            if let Some(measured) = &measured {
                self.metrics.drift_accuracy.set(measured.accuracy.value);
            }
            step.measures
                .push(kept(self.model, window.number, measured.as_ref()));
        }
        Ok(())
    }

    /// Reports the open alarm again, once labels tell what it means.
    async fn tell(&self, feed: &mut Feed, step: &mut Watched) -> Result<(), StoreError> {
        let (Some(baseline), Some((number, since))) = (self.baseline, feed.untold()) else {
            return Ok(());
        };
        let answers = between(self.store, self.model, time(since), self.now).await?;
        let Some(measured) = Measured::of(&answers, None) else {
            return Ok(());
        };
        let judge = Judge::new(baseline, self.config.windows_per_false_alarm);
        if let Some(decision) = feed.decide(&judge, &measured) {
            let report = updated_report(self.model, number, since, &measured, decision);
            step.reports.push(report);
        }
        Ok(())
    }
}

/// What labels say of a window, as it is kept.
pub(super) fn kept(model: i32, number: i64, measured: Option<&Measured>) -> KeptMeasure {
    let (accuracy, agreement) = match measured {
        Some(measured) => (Some(measured.accuracy), Some(measured.agreement)),
        None => (None, None),
    };
    let labelled = accuracy.map_or(0, |accuracy| accuracy.messages);
    KeptMeasure {
        model,
        number,
        labelled: labelled as i64,
        correct: accuracy.map_or(0, |accuracy| accuracy.right() as i64),
        low: accuracy.map(|accuracy| accuracy.low),
        high: accuracy.map(|accuracy| accuracy.high),
        agreement: agreement.map(|agreement| agreement.as_str().to_owned()),
    }
}

/// Labelled messages by their model.
pub(super) fn by_model(messages: Vec<LabelledMessage>) -> BTreeMap<i32, Vec<LabelledMessage>> {
    let mut models: BTreeMap<i32, Vec<LabelledMessage>> = BTreeMap::new();
    for message in messages {
        models.entry(message.model).or_default().push(message);
    }
    models
}
