//! A rollout as the tables have it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::rollout::policy::{Stage, State, Step};
use crate::rollout::share::KeepTogether;

/// What a rollout is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutKind {
    /// The candidate is to take the champion's place.
    Rollout,
    /// Both serve their shares until somebody ends it.
    Ab,
}

impl RolloutKind {
    /// As it stands in the tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::Ab => "ab",
        }
    }
}

/// How a rollout ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutOutcome {
    PromotedAndKept,
    Halted,
    RolledBack,
    Cancelled,
}

impl RolloutOutcome {
    pub(super) const ALL: [Self; 4] = [
        Self::PromotedAndKept,
        Self::Halted,
        Self::RolledBack,
        Self::Cancelled,
    ];

    /// As it stands in the tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PromotedAndKept => "promoted_and_kept",
            Self::Halted => "halted",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
        }
    }

    /// The step that ends a rollout so.
    pub(super) fn step(self) -> &'static str {
        match self {
            Self::PromotedAndKept => Step::Finish.as_str(),
            Self::Halted => Step::Halt.as_str(),
            Self::RolledBack => Step::RollBack.as_str(),
            Self::Cancelled => "cancel",
        }
    }
}

/// A rollout that is to begin.
#[derive(Debug, Clone)]
pub struct NewRollout<'a> {
    pub kind: RolloutKind,
    /// The champion as the caller has seen it, and the model beside it, by version.
    pub champion: &'a str,
    pub candidate: &'a str,
    /// New for each rollout: by it messages are divided.
    pub salt: &'a str,
    pub state: State,
    /// Of the messages that the champion serves, the part that the candidate scores too.
    pub shadow_share: f64,
    pub keep_together: KeepTogether,
    /// The training that the candidate came of.
    pub training: Option<i64>,
    pub by: &'a str,
    pub reason: &'a str,
    /// What it rests on.
    pub detail: Value,
}

/// A rollout as the tables have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    pub id: i64,
    pub kind: RolloutKind,
    /// The champion when it began.
    pub champion: String,
    pub candidate: String,
    pub salt: String,
    pub state: State,
    pub shadow_share: f64,
    pub keep_together: KeepTogether,
    pub training: Option<i64>,
    pub begun: DateTime<Utc>,
    /// When it ended, and how.
    pub ended: Option<(DateTime<Utc>, RolloutOutcome)>,
    pub by: String,
    /// The last sentence.
    pub reason: String,
    pub detail: Value,
}

#[cfg(test)]
impl Rollout {
    /// For unit tests: "new" beside "old", with the gate passed and half of the champion's messages scored in shadow.
    pub(crate) fn at(stage: Stage) -> Self {
        Self {
            id: 1,
            kind: RolloutKind::Rollout,
            champion: "old".to_owned(),
            candidate: "new".to_owned(),
            salt: "salt".to_owned(),
            state: State {
                stage,
                entered_at: 0,
                passed: true,
            },
            shadow_share: 0.5,
            keep_together: KeepTogether::Author,
            training: Some(1),
            begun: DateTime::UNIX_EPOCH,
            ended: None,
            by: String::new(),
            reason: String::new(),
            detail: Value::Null,
        }
    }
}

/// Something that was done with a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutStep {
    pub number: i64,
    pub at: DateTime<Utc>,
    /// `begin`, `advance`, `promote`, `halt`, `roll_back`, `finish` or `cancel`.
    pub step: String,
    pub stage: String,
    pub share: f64,
    pub reason: String,
    pub evidence: Value,
}

/// A stage as it stands in the tables.
pub(super) fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Shadow => "shadow",
        Stage::Canary { .. } => "canary",
        Stage::Full => "full",
    }
}

/// The same of whose messages stay together.
pub(super) fn together_name(together: KeepTogether) -> &'static str {
    match together {
        KeepTogether::Author => "author",
        KeepTogether::Subject => "subject",
    }
}

/// When the stage began.
pub(super) fn entered(state: &State) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(state.entered_at).unwrap_or_default()
}
