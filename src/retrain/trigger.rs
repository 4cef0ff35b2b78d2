//! When to train anew: one decision from what is known of the serving model, with its reasons.
//!
//! [`decide`] looks for causes (a request by hand, an alarm, a loss of accuracy, enough new labels), in this order, and
//! launches for the first that no limit stops. Alarms whose cure needs no training lead to that cure. Everything else is to
//! wait, and the reasons say for what. Limits: one training at a time, a cool-down, a budget of runs and minutes in any 24
//! hours, a circuit [`breaker`] after failures in a row, and a [`fingerprint`], by which the same training is never launched
//! twice. A request by hand may be forced; then neither cool-down nor breaker stops it, but the other limits do.

pub mod breaker;
pub mod cause;
pub mod config;
mod evidence;
pub mod fingerprint;
mod limits;
pub mod reason;
#[cfg(test)]
mod simulation;
pub mod situation;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::drift::severity::Remedy;

use cause::Cause;
use config::TriggerConfig;
use evidence::Evidence;
use fingerprint::Fingerprint;
use reason::Reason;
use situation::Situation;

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Train.
    Launch(Cause),
    /// Cure an alarm without training: [`Remedy::PriorCorrection`] or [`Remedy::Recalibration`].
    Remedy {
        /// The cure.
        remedy: Remedy,
        /// The alarm that it is for.
        alarm: String,
    },
    /// Nothing now.
    Wait,
}

impl Action {
    /// The stable name used in tables and metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Launch(_) => "launch",
            Self::Remedy { .. } => "remedy",
            Self::Wait => "wait",
        }
    }
}

/// A decision, as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
    /// What to do.
    #[serde(flatten)]
    pub action: Action,
    /// Why, and why nothing more: what speaks for a training, what is lacking, and which limits hold.
    pub reasons: Vec<Reason>,
    /// Of what is launched or applied; of the first thing that a limit stopped where that is why to wait.
    pub fingerprint: Option<Fingerprint>,
    /// It is only told: nothing is to be launched or applied.
    pub dry_run: bool,
}

impl Decision {
    /// Whether it says another thing than the decision before: another action, another kind of reason, or another thing
    /// that is launched or applied. Decisions are made again and again, and those that only count on need no record.
    #[must_use]
    pub fn is_news(&self, before: Option<&Self>) -> bool {
        let kinds = |decision: &Self| -> Vec<&'static str> {
            decision.reasons.iter().map(Reason::as_str).collect()
        };
        before.is_none_or(|before| {
            // What is waited for changes its fingerprint with each label.
            let is_other = self.fingerprint != before.fingerprint && self.action != Action::Wait;
            self.action.as_str() != before.action.as_str()
                || is_other
                || self.dry_run != before.dry_run
                || kinds(self) != kinds(before)
        })
    }

    /// Whether labels would help: people should be asked for some.
    #[must_use]
    pub fn asks_for_labels(&self) -> bool {
        self.reasons.iter().any(Reason::asks_for_labels)
    }
}

/// Decides at `now`, in milliseconds since 1970.
#[must_use]
pub fn decide(config: &TriggerConfig, situation: &Situation, now: i64) -> Decision {
    let Evidence {
        causes,
        remedies,
        mut reasons,
    } = Evidence::weigh(config, situation, now);
    let decision = |action, reasons, fingerprint| Decision {
        at: now,
        action,
        reasons,
        fingerprint,
        dry_run: config.dry_run,
    };
    let mut stopped = None;
    for cause in causes {
        let fingerprint = Fingerprint::of_training(situation, &cause);
        let limits = limits::on(config, situation, &cause, &fingerprint, now);
        if limits.is_empty() {
            if cause.is_forced() {
                reasons.push(Reason::Forced);
            }
            return decision(Action::Launch(cause), reasons, Some(fingerprint));
        }
        // Causes share most limits: each is told once.
        for limit in limits {
            if !reasons.contains(&limit) {
                reasons.push(limit);
            }
        }
        stopped.get_or_insert(fingerprint);
    }
    for (remedy, alarm) in remedies {
        let fingerprint = Fingerprint::of_remedy(situation, remedy, &alarm);
        if !situation.applied.contains(&fingerprint) {
            let action = Action::Remedy { remedy, alarm };
            return decision(action, reasons, Some(fingerprint));
        }
        reasons.push(Reason::AlreadyApplied { remedy, alarm });
    }
    if reasons.is_empty() {
        reasons.push(Reason::NothingNew);
    }
    decision(Action::Wait, reasons, stopped)
}
