//! What is known when it is decided whether to train, out of Postgres.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::drift::accuracy::Loss;
use crate::retrain::config::RetrainConfig;
use crate::retrain::trigger::fingerprint::Fingerprint;
use crate::retrain::trigger::situation::{LabelStock, OpenAlarm, Request, Run, RunEnd, Situation};
use crate::rollout::policy::Stage;
use crate::store::{
    Alias, OpenDrift, Rollout, RolloutOutcome, Store, StoreError, TrainingRun, TrainingState,
};

/// Runs that are looked at: those of so many days. More are not needed for budgets of a day and the breaker's longest pause.
const DAYS: u64 = 90;
/// Rollouts that are looked at, the latest ones.
const ROLLOUTS: u32 = 1_000;

/// The serving model and what speaks for or against another one, as it stands in Postgres.
///
/// # Errors
///
/// The database does not answer.
pub async fn situation(store: &Store, config: &RetrainConfig) -> Result<Situation, StoreError> {
    let aliases = store.aliases().await?;
    let champion = aliases.into_iter().find(|of| of.alias == Alias::Champion);
    let champion = champion.map(|of| of.version).unwrap_or_default();
    let runs = store.trainings().await?;
    let rollouts = store.rollouts(ROLLOUTS).await?;
    let mark = runs
        .iter()
        .filter(|run| run.verdict.is_some())
        .map(|run| run.label_mark)
        .max();
    let labels = store
        .label_counts(&champion, mark.unwrap_or_default())
        .await?;
    let drifts = store.open_drift(&champion).await?;
    let window = store.latest_window(&champion).await?;
    let requests = store.open_requests().await?;
    let decided = store.decided_for(&champion).await?;
    let decided: Vec<Fingerprint> = decided
        .into_iter()
        .map(|(digits, _)| Fingerprint::kept(digits))
        .collect();
    let since = Utc::now() - Duration::from_secs(DAYS * 24 * 3600);
    Ok(Situation {
        recipe: recipe(config),
        labels: LabelStock {
            usable: u64::try_from(labels.usable).unwrap_or(0),
            random: u64::try_from(labels.random).unwrap_or(0),
            mark: labels.mark,
            rows: None,
        },
        // None is read to train on: `tidewatch-finetune` has no such training.
        texts: 0,
        alarms: drifts.iter().filter_map(alarm).collect(),
        measured: drifts.iter().find_map(measured),
        estimated: window.and_then(|detail| read(&detail["estimates"]["loss"])),
        requests: requests
            .into_iter()
            .map(|request| Request {
                id: request.id.to_string(),
                by: request.by,
                force: request.forced,
            })
            .collect(),
        runs: runs
            .iter()
            .filter(|run| run.started >= since)
            .map(|run| {
                let rollout = rollouts
                    .iter()
                    .find(|rollout| rollout.training == Some(run.id));
                past(run, rollout)
            })
            .collect(),
        applied: decided.clone(),
        decided,
        champion,
    })
}

/// Tells trainings of one configuration from those of another: what is trained on, and from what.
fn recipe(config: &RetrainConfig) -> String {
    let text = format!("{:?} {:?} {}", config.base, config.dataset, config.min_rows);
    hex::encode(Sha256::digest(text))
}

/// An alarm with what was decided on it last; none where nothing was.
fn alarm(drift: &OpenDrift) -> Option<OpenAlarm> {
    let decision = [&drift.latest, &drift.first]
        .into_iter()
        .map(|report| &report["alarm"])
        .find(|alarm| alarm.is_object())?;
    Some(OpenAlarm {
        id: drift.id.clone(),
        since: drift.opened.timestamp_millis(),
        severity: read(&decision["severity"])?,
        remedy: read(&decision["remedy"])?,
    })
}

/// The loss that an alarm of the labels has found.
fn measured(drift: &OpenDrift) -> Option<Loss> {
    if drift.statistic != "errors" {
        return None;
    }
    let baseline = drift.latest["baseline"]["value"].as_f64()?;
    let accuracy = &drift.latest["measured"]["accuracy"];
    let lost = |end: &str| Some(100.0 * (baseline - accuracy[end].as_f64()?));
    Some(Loss {
        points: lost("value")?,
        low: lost("high")?,
        high: lost("low")?,
    })
}

/// A training and how it ended, with the rollout of its candidate, if there was one.
fn past(run: &TrainingRun, rollout: Option<&Rollout>) -> Run {
    let at = |moment: Option<DateTime<Utc>>| moment.unwrap_or(run.heard).timestamp_millis();
    let by_hand = run.decision.is_none();
    let end = match run.state {
        TrainingState::Running => None,
        // Whoever has stopped one by hand may go on with it or not; with its own the controller goes on.
        TrainingState::Stopped if by_hand => Some((at(run.ended), RunEnd::Stopped)),
        TrainingState::Stopped => None,
        TrainingState::Failed => Some((at(run.ended), failure(run.outcome.as_ref()))),
        TrainingState::Done if run.verdict.is_none() => {
            by_hand.then_some((at(run.ended), RunEnd::Inconclusive))
        }
        TrainingState::Done => verdict(run, rollout).map(|end| (at(run.gated), end)),
    };
    Run {
        fingerprint: Fingerprint::kept(run.fingerprint.clone()),
        started: run.started.timestamp_millis(),
        ended: end,
    }
}

/// What the gate has said of a training's candidate, and what its rollout has shown; none where that is not known yet.
fn verdict(run: &TrainingRun, rollout: Option<&Rollout>) -> Option<RunEnd> {
    let passed = match run.verdict.as_deref() {
        Some("fail") => return Some(RunEnd::Failed),
        verdict => verdict == Some("pass"),
    };
    let unheard = if passed {
        RunEnd::Passed
    } else {
        RunEnd::Inconclusive
    };
    let Some(rollout) = rollout else {
        return Some(unheard);
    };
    match rollout.ended {
        None if rollout.state.stage == Stage::Full => Some(RunEnd::Passed),
        // It serves nobody and may wait long for labels: nothing waits for it in turn.
        None if rollout.state.stage == Stage::Shadow && !passed => Some(unheard),
        None => None,
        Some((_, RolloutOutcome::PromotedAndKept)) => Some(RunEnd::Passed),
        Some((_, RolloutOutcome::Halted | RolloutOutcome::RolledBack)) => Some(RunEnd::RolledBack),
        Some((_, RolloutOutcome::Cancelled)) => Some(unheard),
    }
}

/// What kind of failure the runner has told of.
fn failure(outcome: Option<&Value>) -> RunEnd {
    match outcome.and_then(|outcome| outcome["end"].as_str()) {
        Some("refused" | "unfit" | "not_imported") => RunEnd::Refused,
        _ => RunEnd::Died,
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::drift::severity::{Remedy, Severity};

    fn drift(statistic: &str, first: Value, latest: Value) -> OpenDrift {
        OpenDrift {
            id: "1-7-opened".into(),
            statistic: statistic.into(),
            opened: DateTime::from_timestamp_millis(1_000).unwrap_or_default(),
            first,
            latest,
        }
    }

    fn run(state: TrainingState, verdict: Option<&str>, decision: Option<i64>) -> TrainingRun {
        let time = |ms| DateTime::from_timestamp_millis(ms).unwrap_or_default();
        TrainingRun {
            id: 3,
            state,
            started: time(1_000),
            heard: time(2_000),
            ended: Some(time(3_000)),
            attempt: 1,
            fingerprint: "ab".into(),
            champion: None,
            candidate: None,
            by: "tester".into(),
            cause: json!({}),
            reasons: json!([]),
            dataset: json!({}),
            progress: json!({}),
            outcome: None,
            decision,
            label_mark: 0,
            verdict: verdict.map(str::to_owned),
            gated: verdict.map(|_| time(4_000)),
        }
    }

    #[test]
    fn an_alarm_is_as_it_was_decided_last() {
        let opened = json!({"alarm": {"severity": "low", "remedy": "ask_for_labels"}});
        let updated = json!({"alarm": {"severity": "high", "remedy": "retrain"}});
        let told = alarm(&drift("feed", opened.clone(), updated)).unwrap();
        assert_eq!(
            (told.severity, told.remedy, told.since),
            (Severity::High, Remedy::Retrain, 1_000)
        );
        let told = alarm(&drift("feed", opened.clone(), json!({}))).unwrap();
        assert_eq!(told.remedy, Remedy::AskForLabels);
        assert_eq!(alarm(&drift("errors", json!({}), json!({}))), None);
    }

    #[test]
    fn labels_measure_a_loss_and_windows_do_not() {
        let report = json!({
            "baseline": {"value": 0.8}, "measured": {"accuracy": {"value": 0.7, "low": 0.6, "high": 0.75}},
        });
        let loss = measured(&drift("errors", json!({}), report.clone())).unwrap();
        assert!((loss.points - 10.0).abs() < 1e-9 && (loss.low - 5.0).abs() < 1e-9);
        assert_eq!(measured(&drift("feed", json!({}), report)), None);
    }

    #[test]
    fn a_training_has_not_ended_before_its_candidate_was_judged() {
        let end = |state, verdict, decision| past(&run(state, verdict, decision), None).ended;
        assert_eq!(end(TrainingState::Done, None, Some(1)), None);
        assert_eq!(end(TrainingState::Stopped, None, Some(1)), None);
        assert_eq!(end(TrainingState::Running, None, None), None);
        assert_eq!(
            end(TrainingState::Done, Some("fail"), Some(1)),
            Some((4_000, RunEnd::Failed))
        );
        assert_eq!(
            end(TrainingState::Done, Some("pass"), Some(1)),
            Some((4_000, RunEnd::Passed))
        );
        assert_eq!(
            end(TrainingState::Failed, None, Some(1)),
            Some((3_000, RunEnd::Died))
        );
        assert_eq!(
            end(TrainingState::Stopped, None, None),
            Some((3_000, RunEnd::Stopped))
        );
    }
}
