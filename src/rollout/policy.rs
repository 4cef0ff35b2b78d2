//! When a rollout goes on, stops, or goes back.

use serde::{Deserialize, Serialize};

use super::config::{RareLabels, RolloutConfig, Undecided};
use super::sequential::{Discordant, Tally};
use crate::gate::comparison::Verdict;

/// Where a candidate stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It scores and is recorded, and the champion serves everybody.
    Shadow,
    /// It serves this part of the feed.
    Canary { share: f64 },
    /// It is the champion, and the one before it is kept ready.
    Full,
}

impl Stage {
    /// The part of the feed that the candidate serves.
    #[must_use]
    pub fn share(self) -> f64 {
        match self {
            Self::Shadow => 0.0,
            Self::Canary { share } => share,
            Self::Full => 1.0,
        }
    }

    /// The one that follows; [`Self::Full`] is the last.
    #[must_use]
    pub fn next(self, config: &RolloutConfig) -> Self {
        let larger = config.shares.iter().find(|share| **share > self.share());
        match (self, larger) {
            (Self::Full, _) | (_, None) => Self::Full,
            (_, Some(&share)) => Self::Canary { share },
        }
    }
}

/// A rollout under way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub stage: Stage,
    /// When the stage began, in milliseconds since 1970.
    pub entered_at: i64,
    /// Whether the gate has passed the candidate, rather than left it open.
    pub passed: bool,
}

impl State {
    /// A rollout that begins; none of a candidate that has failed at the gate.
    #[must_use]
    pub fn begin(verdict: Verdict, now: i64) -> Option<Self> {
        (verdict != Verdict::Fail).then_some(Self {
            stage: Stage::Shadow,
            entered_at: now,
            passed: verdict == Verdict::Pass,
        })
    }
}

/// What is known of the candidate beside the other model: the champion, or after promotion the one before it.
///
/// The tests take messages as independent of each other. Where the arms' messages differ, an author with many messages breaks
/// that: hand in one labelled message an author, and agreement, confidence and classes of messages that both have scored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Messages that the candidate has scored in this stage.
    pub messages: u64,
    /// Labelled messages of this stage on which both are compared.
    pub labels: u64,
    /// Labelled pairs since the rollout began, or after promotion since then; from shadow and from arms alike.
    pub labelled: Discordant,
    /// Messages that both have scored, 1 where they agree.
    pub agreement: Tally,
    /// Confidence in the predicted label, of the candidate and of the other model.
    pub confidence: (Tally, Tally),
    /// For each class the messages predicted to be of it, by the candidate and by the other model.
    pub classes: Vec<(Tally, Tally)>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing yet.
    Stay,
    /// Into the next canary stage.
    Advance,
    /// The candidate becomes the champion.
    Promote,
    /// The champion stays, and the candidate scores no longer.
    Halt,
    /// The model before it becomes the champion again.
    RollBack,
    /// The watch after promotion is over.
    Finish,
}

impl Step {
    /// As it stands in tables and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::Advance => "advance",
            Self::Promote => "promote",
            Self::Halt => "halt",
            Self::RollBack => "roll_back",
            Self::Finish => "finish",
        }
    }
}

/// A step with its reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub step: Step,
    /// One sentence with the figures.
    pub reason: String,
    /// The rollout after the step; none where it has ended.
    pub state: Option<State>,
}

/// Decides on a rollout at the time `now`, in milliseconds since 1970.
///
/// In this order: proven harm stops it, or takes it back; a stage whose conditions are met is left; one whose time is up ends as
/// the config says; otherwise it stays. Every stage ends at the latest `max_stage_seconds` after it began, the watch
/// after promotion `watch_seconds` after.
#[must_use]
pub fn next(state: &State, evidence: &Evidence, config: &RolloutConfig, now: i64) -> Decision {
    let rollout = Rollout {
        state,
        evidence,
        config,
        now,
    };
    match state.stage {
        Stage::Full => rollout.watch(),
        Stage::Shadow | Stage::Canary { .. } => rollout.stage(),
    }
}

struct Rollout<'a> {
    state: &'a State,
    evidence: &'a Evidence,
    config: &'a RolloutConfig,
    now: i64,
}

impl Rollout<'_> {
    fn seconds(&self) -> u64 {
        let elapsed = self.now.saturating_sub(self.state.entered_at);
        u64::try_from(elapsed).unwrap_or(0) / 1000
    }

    fn end(step: Step, reason: String) -> Decision {
        Decision {
            step,
            reason,
            state: None,
        }
    }

    fn stay(&self, reason: String) -> Decision {
        Decision {
            step: Step::Stay,
            reason,
            state: Some(*self.state),
        }
    }

    /// Into the next stage.
    fn go_on(&self, reason: String) -> Decision {
        let stage = self.state.stage.next(self.config);
        Decision {
            step: match stage {
                Stage::Full => Step::Promote,
                Stage::Shadow | Stage::Canary { .. } => Step::Advance,
            },
            reason,
            state: Some(State {
                stage,
                entered_at: self.now,
                ..*self.state
            }),
        }
    }

    /// The sentence on harm that labels prove.
    fn harm(&self) -> Option<String> {
        let labelled = &self.evidence.labelled;
        let p = labelled.p_worse();
        let proven = p <= self.config.alpha && -labelled.gain() >= self.config.harm_margin;
        proven.then(|| {
            format!(
                "The candidate is worse: {:.1} points of accuracy lost on {} labelled messages (always-valid p {p:.2e}).",
                -100.0 * labelled.gain(),
                labelled.labels
            )
        })
    }

    fn watch(&self) -> Decision {
        if let Some(reason) = self.harm() {
            return Self::end(Step::RollBack, reason);
        }
        let (seconds, last) = (self.seconds(), self.config.watch_seconds);
        let labels = self.evidence.labelled.labels;
        if seconds >= last {
            let reason =
                format!("No harm was proven in {seconds} seconds on {labels} labelled messages.");
            return Self::end(Step::Finish, reason);
        }
        self.stay(format!(
            "Promoted {seconds} seconds ago and watched for {last}; no harm is proven on {labels} labelled messages."
        ))
    }

    fn stage(&self) -> Decision {
        let config = self.config;
        if let Some(reason) = self.harm() {
            return Self::end(Step::Halt, reason);
        }
        let enough_labels = self.evidence.labels >= config.min_labels;
        // Where labels are waited for, they alone tell: after a real change of the feed a good candidate disagrees, too.
        let by_likeness = config.rare_labels == RareLabels::Agreement && !enough_labels;
        let likeness = by_likeness.then(|| self.likeness());
        if let Some(Likeness::Differs(reason)) = &likeness {
            return Self::end(Step::Halt, format!("Labels are few, and {reason}."));
        }
        let alike = likeness == Some(Likeness::Alike);
        let missing = self.missing(enough_labels, alike);
        let Some(missing) = missing else {
            let labelled = &self.evidence.labelled;
            let known = if enough_labels {
                format!(
                    "no harm is proven on {} labelled messages ({:+.1} points of accuracy)",
                    labelled.labels,
                    100.0 * labelled.gain()
                )
            } else {
                "labels are few, and it answers much as the champion does".to_owned()
            };
            return self.go_on(format!(
                "After {} messages {known}.",
                self.evidence.messages
            ));
        };
        let (seconds, last) = (self.seconds(), config.max_stage_seconds);
        if seconds < last {
            return self.stay(format!("{missing}."));
        }
        if config.undecided == Undecided::Advance && self.state.passed {
            return self.go_on(format!(
                "The stage's {last} seconds are over, no harm is proven, and undecided rollouts go on ({missing})."
            ));
        }
        Self::end(
            Step::Halt,
            format!("The stage's {last} seconds are over and nothing is decided: {missing}."),
        )
    }

    /// The first condition for going on that is not met.
    fn missing(&self, enough_labels: bool, alike: bool) -> Option<String> {
        let (config, evidence) = (self.config, self.evidence);
        let seconds = self.seconds();
        if seconds < config.min_stage_seconds {
            return Some(format!(
                "The stage has lasted {seconds} of at least {} seconds",
                config.min_stage_seconds
            ));
        }
        if evidence.messages < config.min_messages {
            return Some(format!(
                "The candidate has scored {} of at least {} messages",
                evidence.messages, config.min_messages
            ));
        }
        // Not to be worse is enough for one that the gate has passed; one that it has not must be proven better before it serves.
        let last = self.state.stage.next(config) == Stage::Full;
        let must_be_better = !self.state.passed || (config.prove_gain && last);
        let p = evidence.labelled.p_better();
        if must_be_better && p > config.alpha {
            return Some(format!(
                "The candidate is not proven to be better ({:+.1} points of accuracy on {} labelled messages, always-valid p {p:.2})",
                100.0 * evidence.labelled.gain(),
                evidence.labelled.labels
            ));
        }
        (!enough_labels && !alike).then(|| {
            format!(
                "There are {} of at least {} labelled messages",
                evidence.labels, config.min_labels
            )
        })
    }

    /// What can be said without labels. All intervals hold together, at any time, with chance 1 - alpha.
    fn likeness(&self) -> Likeness {
        let (config, evidence) = (self.config, self.evidence);
        let alpha = config.alpha / (2 + evidence.classes.len()) as f64;
        let mut alike = evidence.agreement.count > 0 && !evidence.classes.is_empty();
        let (low, high) = evidence.agreement.interval(alpha);
        if high < config.min_agreement {
            return Likeness::Differs(format!(
                "the candidate agrees with the champion on {:.1} % of the messages, below {:.1} % as is proven",
                100.0 * evidence.agreement.mean(),
                100.0 * config.min_agreement
            ));
        }
        alike &= low >= config.min_agreement;
        let classes = evidence.classes.iter().enumerate();
        let compared = classes
            .map(|(class, tallies)| (format!("the share of class {class}"), tallies))
            .chain([("the mean confidence".to_owned(), &evidence.confidence)]);
        for (name, (candidate, other)) in compared {
            let (low, high) = Tally::difference(candidate, other, alpha);
            if low > config.max_drift || high < -config.max_drift {
                return Likeness::Differs(format!(
                    "{name} is {:.1} % beside {:.1} % of the champion, further apart than {:.1} points as is proven",
                    100.0 * candidate.mean(),
                    100.0 * other.mean(),
                    100.0 * config.max_drift
                ));
            }
            alike &= low >= -config.max_drift && high <= config.max_drift;
        }
        if alike {
            Likeness::Alike
        } else {
            Likeness::Unknown
        }
    }
}

/// How the candidate's answers are to the champion's, by agreement, class shares and confidence.
#[derive(Debug, PartialEq)]
enum Likeness {
    /// Shown to be within all limits.
    Alike,
    /// Shown to be beyond one.
    Differs(String),
    Unknown,
}

#[cfg(test)]
mod tests;
