//! What a rule says of a series now, for display.

use std::sync::Arc;

use serde::Serialize;

use super::alert::Alert;
use super::config::{Direction, SCORE};
use super::scan::Sums;
use super::settings::Watched;

/// A rule's view of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The rule.
    pub rule: Arc<str>,
    /// The label whose share it watches, or `score`.
    pub label: Arc<str>,
    /// Which way that must go.
    pub direction: Direction,
    /// Full days learnt from; a day of few texts is a part of one.
    pub history_days: f64,
    /// Full days before there is a normal.
    pub history_needed: f64,
    /// The share expected for the hours in which a change is looked for; none while there is no normal yet.
    pub normal: Option<f64>,
    /// The share measured in them; none without texts.
    pub share: Option<f64>,
    /// Distinct texts that count in them.
    pub texts: f64,
    /// How much of the evidence that an alert needs is there: 1 and more is enough.
    pub evidence: f64,
    /// The alert that is open, told of or not.
    pub alert: Option<Alert>,
}

impl Standing {
    pub(super) fn new(
        watched: &Watched,
        history: (f64, f64),
        sums: &Sums,
        evidence: f64,
        alert: Option<Alert>,
    ) -> Self {
        let mean = |sum: f64| {
            let share = sum / sums.texts;
            if *watched.label == *SCORE {
                2.0 * share - 1.0
            } else {
                share
            }
        };
        let heard = sums.texts > 0.0;
        Self {
            rule: Arc::clone(&watched.name),
            label: Arc::clone(&watched.label),
            direction: watched.rule.direction,
            history_days: history.0,
            history_needed: history.1,
            normal: (heard && history.0 >= history.1).then(|| mean(sums.expected)),
            share: heard.then(|| mean(sums.hits)),
            texts: sums.texts,
            evidence,
            alert,
        }
    }
}
