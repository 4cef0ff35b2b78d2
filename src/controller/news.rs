//! Notices of what the closed loop does, for those who want to be told.
//!
//! They are made from what stands in the tables, not beside each step: whatever dies between a step and its notice, the next
//! look makes it, and its id is the same however often it is made.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::notify::config::{Kind, Webhook};
use crate::notify::receivers;
use crate::store::{
    KeptNotice, Rollout, RolloutStep, Store, StoreError, TrainingRun, TrainingState,
};

/// What is older is no news any more.
const DAY: TimeDelta = TimeDelta::days(1);
/// Rollouts that are looked at, the latest ones.
const ROLLOUTS: u32 = 20;

/// Tells what has happened.
pub(super) struct News {
    receivers: Vec<String>,
    /// What this process knows to have been told.
    told: HashSet<String>,
}

/// Something that has happened.
struct Item {
    id: String,
    event: &'static str,
    at: DateTime<Utc>,
    about: String,
    sentence: String,
    detail: Value,
}

impl News {
    pub(super) fn new(webhooks: &[Webhook]) -> Self {
        Self {
            receivers: receivers(Kind::Model, "", webhooks),
            told: HashSet::new(),
        }
    }

    /// Puts down what nobody was told of yet.
    pub(super) async fn tell(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.receivers.is_empty() {
            return Ok(());
        }
        let since = Utc::now() - DAY;
        let mut items = Vec::new();
        for run in store.trainings().await? {
            items.extend(of_training(&run));
        }
        for rollout in store.rollouts(ROLLOUTS).await? {
            if rollout.ended.is_none_or(|(at, _)| at >= since) {
                let steps = store.rollout_steps(rollout.id).await?;
                items.extend(steps.iter().filter_map(|step| of_step(&rollout, step)));
            }
        }
        items.retain(|item| item.at >= since);
        let current: HashSet<String> = items.iter().map(|item| item.id.clone()).collect();
        let new: Vec<KeptNotice> = items
            .into_iter()
            .filter(|item| !self.told.contains(&item.id))
            .map(|item| self.notice(item))
            .collect();
        if !new.is_empty() {
            store.put_notices(&new).await?;
        }
        self.told = current;
        Ok(())
    }

    fn notice(&self, item: Item) -> KeptNotice {
        let mut body = item.detail;
        body["event"] = json!(item.event);
        body["at"] = json!(item.at);
        body["sentence"] = json!(item.sentence);
        KeptNotice {
            id: item.id,
            kind: Kind::Model.as_str(),
            about: item.about,
            body,
            receivers: self.receivers.clone(),
        }
    }
}

/// What has become of a training so far.
fn of_training(run: &TrainingRun) -> Vec<Item> {
    let item = |event: &'static str, at, sentence: String| Item {
        id: format!("training-{}-{event}", run.id),
        event,
        at,
        about: format!("training-{}", run.id),
        sentence,
        detail: json!({
            "training": run.id, "cause": run.cause, "champion": run.champion, "candidate": run.candidate,
            "decision": run.decision, "reasons": run.reasons,
        }),
    };
    let mut items = vec![item(
        "training_started",
        run.started,
        format!("Training {} was started: {}.", run.id, why(run)),
    )];
    let ended = run.ended.unwrap_or(run.heard);
    match run.state {
        TrainingState::Done => items.push(item(
            "training_finished",
            ended,
            format!("Training {} has ended: there is a candidate.", run.id),
        )),
        TrainingState::Failed => items.push(item(
            "training_failed",
            ended,
            format!(
                "Training {} has failed; `tidewatch retrain list` says why.",
                run.id
            ),
        )),
        TrainingState::Running | TrainingState::Stopped => {}
    }
    if let (Some(verdict), Some(at)) = (&run.verdict, run.gated) {
        items.push(item(
            "gate",
            at,
            format!(
                "The gate says {verdict} of the candidate of training {}.",
                run.id
            ),
        ));
    }
    items
}

fn why(run: &TrainingRun) -> &str {
    let reasons = run.reasons.as_array();
    reasons
        .and_then(|reasons| reasons.first()?.as_str())
        .unwrap_or("by hand")
}

/// A step of a rollout; none of those that are only a new sentence.
fn of_step(rollout: &Rollout, step: &RolloutStep) -> Option<Item> {
    let event = match step.step.as_str() {
        "begin" => "rollout_begun",
        "advance" => "rollout_advanced",
        "promote" => "promoted",
        "halt" => "halted",
        "roll_back" => "rolled_back",
        "finish" => "rollout_finished",
        "cancel" => "rollout_cancelled",
        _ => return None,
    };
    let share = 100.0 * step.share;
    Some(Item {
        id: format!("rollout-{}-{}", rollout.id, step.number),
        event,
        at: step.at,
        about: format!("rollout-{}", rollout.id),
        sentence: match event {
            "rollout_advanced" => format!("The candidate serves {share:.0} % now: {}", step.reason),
            _ => step.reason.clone(),
        },
        detail: json!({
            "rollout": rollout.id, "training": rollout.training, "champion": rollout.champion,
            "candidate": rollout.candidate, "stage": step.stage, "share": step.share,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(state: TrainingState, verdict: Option<&str>) -> TrainingRun {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        TrainingRun {
            id: 3,
            state,
            started: at,
            heard: at,
            ended: (state != TrainingState::Running).then_some(at),
            attempt: 1,
            fingerprint: "ab".into(),
            champion: None,
            candidate: None,
            by: "tester".into(),
            cause: json!({"cause": "labels"}),
            reasons: json!(["there are 300 new labels"]),
            dataset: json!({}),
            progress: json!({}),
            outcome: None,
            decision: Some(1),
            label_mark: 0,
            verdict: verdict.map(str::to_owned),
            gated: verdict.map(|_| at),
        }
    }

    #[test]
    fn each_step_of_a_training_is_told_once_under_its_own_id() {
        let ids = |run: &TrainingRun| -> Vec<String> {
            of_training(run).into_iter().map(|item| item.id).collect()
        };
        assert_eq!(
            ids(&run(TrainingState::Running, None)),
            ["training-3-training_started"]
        );
        assert_eq!(
            ids(&run(TrainingState::Done, Some("pass"))),
            [
                "training-3-training_started",
                "training-3-training_finished",
                "training-3-gate"
            ]
        );
        let failed = of_training(&run(TrainingState::Failed, None));
        assert_eq!(failed[1].event, "training_failed");
        assert_eq!(
            failed[0].sentence,
            "Training 3 was started: there are 300 new labels."
        );
    }
}
