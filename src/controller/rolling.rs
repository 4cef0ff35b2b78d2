//! One step of the rollout that is under way, by policy.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::ControllerError;
use super::pairs::Pairs;
use crate::fault;
use crate::model::config::ModelConfig;
use crate::registry::Registry;
use crate::rollout::config::RolloutConfig;
use crate::rollout::policy::{self, Evidence, Stage, State, Step};
use crate::store::{
    Alias, Change, Lease, NewRollout, Rollout, RolloutKind, RolloutOutcome, Store, StoreError,
    TrainingRun,
};

/// Between two looks at the evidence, at least and at most; else a tenth of a stage's least time.
const SHORTEST: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(60);

/// The controller's hand on rollouts.
pub(super) struct Rolling {
    config: RolloutConfig,
    model: ModelConfig,
    max_tokens: usize,
    pairs: Option<Pairs>,
    looked: Option<Instant>,
    /// The training whose candidate was refused last.
    refused: Option<i64>,
}

/// What a step needs.
struct Hand<'a> {
    store: &'a Store,
    registry: &'a Registry,
    lease: &'a Lease,
    instance: &'a str,
}

impl Rolling {
    pub(super) fn new(config: RolloutConfig, model: ModelConfig, max_tokens: usize) -> Self {
        Self {
            config,
            model,
            max_tokens,
            pairs: None,
            looked: None,
            refused: None,
        }
    }

    /// Lets go of both models.
    pub(super) fn forget(&mut self) {
        (self.pairs, self.looked) = (None, None);
    }

    /// Begins the rollout of a candidate that has been at the gate; whether one has begun.
    pub(super) async fn begin(
        &mut self,
        store: &Store,
        registry: &Registry,
        run: &TrainingRun,
        lease: &Lease,
        instance: &str,
    ) -> Result<bool, ControllerError> {
        let (Some(candidate), Some(champion)) = (&run.candidate, registry.champion().await?) else {
            return Ok(false);
        };
        let (passed, now) = (run.verdict.as_deref() == Some("pass"), Utc::now());
        let reason = if passed {
            format!("training run {} has passed the gate", run.id)
        } else {
            format!("the gate has left training run {} open", run.id)
        };
        let new = NewRollout {
            kind: RolloutKind::Rollout,
            champion: &champion,
            candidate,
            salt: &format!("rollout of training {}", run.id),
            state: State {
                stage: Stage::Shadow,
                entered_at: now.timestamp_millis(),
                passed,
            },
            shadow_share: self.config.shadow_share,
            keep_together: self.config.keep_together,
            training: Some(run.id),
            by: instance,
            reason: &reason,
            detail: json!({}),
        };
        if let Some(held) = store.active_rollout().await? {
            let Some((outcome, why)) = gives_way(&held) else {
                return Ok(false);
            };
            store
                .end_rollout(held.id, outcome, why, Some(lease))
                .await?;
        }
        let begun = match store.begin_rollout(&new, Some(lease)).await {
            Err(error @ StoreError::Denied { .. }) => {
                if self.refused.replace(run.id) != Some(run.id) {
                    tracing::warn!(candidate, "it cannot be rolled out: {error}");
                }
                return Ok(false);
            }
            begun => begun?,
        };
        if let Some(rollout) = begun {
            fault::point("controller-begun");
            tracing::info!(rollout, candidate, "a rollout begins: {reason}");
        }
        Ok(begun.is_some())
    }

    /// Does the step that follows, if there is a rollout.
    pub(super) async fn look(
        &mut self,
        store: &Store,
        registry: &Registry,
        lease: &Lease,
        instance: &str,
    ) -> Result<(), ControllerError> {
        let rollout = store.active_rollout().await?;
        let Some(rollout) = rollout.filter(|rollout| rollout.kind == RolloutKind::Rollout) else {
            self.forget();
            return Ok(());
        };
        let hand = Hand {
            store,
            registry,
            lease,
            instance,
        };
        if hand.catch_up(&rollout).await? {
            return Ok(());
        }
        let pause =
            Duration::from_secs(self.config.min_stage_seconds / 10).clamp(SHORTEST, LONGEST);
        if self.looked.is_some_and(|last| last.elapsed() < pause) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let evidence = self.evidence(&hand, &rollout).await?;
        let now = Utc::now().timestamp_millis();
        let decision = policy::next(&rollout.state, &evidence, &self.config, now);
        hand.take(&rollout, &decision, &json!(evidence)).await
    }

    async fn evidence(
        &mut self,
        hand: &Hand<'_>,
        rollout: &Rollout,
    ) -> Result<Evidence, ControllerError> {
        let counts = hand.store.rollout_counts(rollout).await?;
        let entered = DateTime::from_timestamp_millis(rollout.state.entered_at).unwrap_or_default();
        // After promotion only what has been labelled since then tells whether it was right.
        let since = match rollout.state.stage {
            Stage::Full => entered,
            Stage::Shadow | Stage::Canary { .. } => rollout.begun,
        };
        let mark = match rollout.training {
            Some(run) => hand.store.training(run).await?.map(|run| run.label_mark),
            None => None,
        };
        let labels = hand
            .store
            .labels_after(mark.unwrap_or_default(), rollout.begun)
            .await?;
        let pairs = match &mut self.pairs {
            Some(pairs) if pairs.rollout == rollout.id => pairs,
            held => {
                let champion = hand.registry.fetch(&rollout.champion).await?.dir;
                let candidate = hand.registry.fetch(&rollout.candidate).await?.dir;
                let of = (champion, candidate);
                let opened = Pairs::open(rollout.id, of, self.model.clone(), self.max_tokens).await;
                held.insert(opened.map_err(|error| ControllerError::Pairs(error.to_string()))?)
            }
        };
        let answered = pairs.answer(labels).await;
        answered.map_err(|error| ControllerError::Pairs(error.to_string()))?;
        Ok(Evidence {
            messages: counts.messages,
            labels: pairs.since(entered).labels,
            labelled: pairs.since(since),
            agreement: counts.agreement,
            confidence: counts.confidence,
            classes: counts.classes,
        })
    }
}

/// How a rollout ends for the sake of the next candidate's, if it does: one that nothing has proven serves nobody and may wait long
/// for labels, and one that is through only watches.
fn gives_way(rollout: &Rollout) -> Option<(RolloutOutcome, &'static str)> {
    match rollout.state.stage {
        _ if rollout.kind != RolloutKind::Rollout => None,
        Stage::Shadow if !rollout.state.passed => Some((
            RolloutOutcome::Cancelled,
            "Another candidate has come before this one was proven to be better.",
        )),
        Stage::Full => Some((
            RolloutOutcome::PromotedAndKept,
            "The next candidate's rollout begins.",
        )),
        Stage::Shadow | Stage::Canary { .. } => None,
    }
}

impl Hand<'_> {
    /// Brings a rollout in line with who is champion, where a step was cut off half-way or somebody has changed it by hand;
    /// whether that was needed.
    async fn catch_up(&self, rollout: &Rollout) -> Result<bool, ControllerError> {
        let champion = self.registry.champion().await?.unwrap_or_default();
        let is_full = rollout.state.stage == Stage::Full;
        if champion == rollout.candidate && !is_full {
            let state = State {
                stage: Stage::Full,
                entered_at: Utc::now().timestamp_millis(),
                ..rollout.state
            };
            let reason = "The candidate is the champion.";
            self.step(rollout, &state, Step::Promote, reason, &json!({}))
                .await?;
        } else if champion == rollout.champion && is_full {
            let reason = "The model before it is the champion again.";
            self.end(rollout, RolloutOutcome::RolledBack, reason)
                .await?;
        } else if champion != rollout.champion && champion != rollout.candidate {
            let reason = "Another model has become the champion.";
            self.end(rollout, RolloutOutcome::Cancelled, reason).await?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    async fn take(
        &self,
        rollout: &Rollout,
        decision: &policy::Decision,
        evidence: &Value,
    ) -> Result<(), ControllerError> {
        let reason = &decision.reason;
        let state = decision.state.unwrap_or(rollout.state);
        if decision.step == Step::Stay {
            if *reason != rollout.reason {
                self.step(rollout, &state, Step::Stay, reason, evidence)
                    .await?;
            }
            return Ok(());
        }
        let change = Change {
            by: self.instance,
            reason,
            detail: json!({"rollout": rollout.id, "evidence": evidence}),
            lease: Some(self.lease),
        };
        match decision.step {
            Step::Promote => {
                let seen = Some(rollout.champion.as_str());
                fault::point("controller-promoting");
                self.registry
                    .promote(&rollout.candidate, seen, &change)
                    .await?;
                fault::point("controller-promoted");
            }
            Step::RollBack => {
                let seen = Some(rollout.candidate.as_str());
                self.registry
                    .promote(&rollout.champion, seen, &change)
                    .await?;
                fault::point("controller-rolled-back");
            }
            Step::Halt => {
                self.registry
                    .set_alias(Alias::Candidate, None, &change)
                    .await?;
            }
            Step::Stay | Step::Advance | Step::Finish => {}
        }
        if !self
            .step(rollout, &state, decision.step, reason, evidence)
            .await?
        {
            return Ok(());
        }
        match decision.step {
            Step::Halt => self.end(rollout, RolloutOutcome::Halted, reason).await,
            Step::RollBack => self.end(rollout, RolloutOutcome::RolledBack, reason).await,
            Step::Finish => {
                self.end(rollout, RolloutOutcome::PromotedAndKept, reason)
                    .await
            }
            Step::Stay | Step::Advance | Step::Promote => Ok(()),
        }
    }

    async fn step(
        &self,
        rollout: &Rollout,
        state: &State,
        step: Step,
        reason: &str,
        evidence: &Value,
    ) -> Result<bool, ControllerError> {
        if step != Step::Stay {
            tracing::info!(
                rollout = rollout.id,
                candidate = rollout.candidate,
                step = step.as_str(),
                "the rollout goes on: {reason}"
            );
        }
        let lease = Some(self.lease);
        let stepped = self
            .store
            .step_rollout(rollout.id, state, step, reason, evidence, lease)
            .await?;
        fault::point("controller-stepped");
        Ok(stepped)
    }

    async fn end(
        &self,
        rollout: &Rollout,
        outcome: RolloutOutcome,
        reason: &str,
    ) -> Result<(), ControllerError> {
        self.store
            .end_rollout(rollout.id, outcome, reason, Some(self.lease))
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unproven_or_only_watched_gives_way_and_what_is_on_its_way_or_by_hand_does_not() {
        let ends = |kind, stage, passed| {
            let mut rollout = Rollout::at(stage);
            (rollout.kind, rollout.state.passed) = (kind, passed);
            gives_way(&rollout).map(|(outcome, _)| outcome)
        };
        let ours = RolloutKind::Rollout;
        let canary = Stage::Canary { share: 0.1 };
        assert_eq!(
            ends(ours, Stage::Shadow, false),
            Some(RolloutOutcome::Cancelled)
        );
        assert_eq!(
            ends(ours, Stage::Full, true),
            Some(RolloutOutcome::PromotedAndKept)
        );
        assert_eq!(ends(ours, Stage::Shadow, true), None);
        assert_eq!(ends(ours, canary, false), None);
        assert_eq!(ends(RolloutKind::Ab, canary, false), None);
    }
}
