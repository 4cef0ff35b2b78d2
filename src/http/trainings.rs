//! The routes of trainings: asking for one, and what was decided and done.

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Admitted, Refusal, items};
use super::query;
use crate::store::{KeptDecision, TrainingRun};

/// How many are listed where nobody says, and at most.
const LISTED: u32 = 20;
const MOST_LISTED: u32 = 1_000;

/// Who asks for a training, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    by: String,
    #[serde(default)]
    reason: String,
    /// Neither cool-down nor breaker shall stop it.
    #[serde(default)]
    force: bool,
}

/// `POST /v1/trainings`: asks for a training, which the instance that has the duty decides on.
pub(super) async fn ask(
    admitted: Admitted,
    parts: Parts,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let refuse = |sentence: String| Refusal(StatusCode::BAD_REQUEST, sentence);
    let [wish] = <[Value; 1]>::try_from(items(&parts, &body)?)
        .map_err(|_| refuse("ask for one training at a time".to_owned()))?;
    let wish: Wish = serde_json::from_value(wish)
        .map_err(|error| refuse(format!("this is no request for a training: {error}")))?;
    let asked = admitted
        .store
        .request_training(&wish.by, &wish.reason, wish.force)
        .await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "request": asked }))))
}

/// `GET /v1/trainings?limit=`: trainings, the latest first.
pub(super) async fn list(admitted: Admitted, parts: Parts) -> Result<Json<Value>, Refusal> {
    let limit = limit(&parts)? as usize;
    let runs = admitted.store.trainings().await?;
    let shown: Vec<Value> = runs.iter().take(limit).map(training).collect();
    Ok(Json(json!({ "trainings": shown })))
}

/// `GET /v1/decisions?limit=`: decisions on trainings with their reasons, the latest first.
pub(super) async fn decisions(admitted: Admitted, parts: Parts) -> Result<Json<Value>, Refusal> {
    let decisions = admitted.store.decisions(limit(&parts)?).await?;
    let shown: Vec<Value> = decisions.iter().map(decision).collect();
    Ok(Json(json!({ "decisions": shown })))
}

fn limit(parts: &Parts) -> Result<u32, Refusal> {
    match query::value(parts.uri.query(), "limit").map(|limit| limit.parse()) {
        None => Ok(LISTED),
        Some(Ok(limit @ 1..=MOST_LISTED)) => Ok(limit),
        Some(_) => {
            let sentence = format!("limit must be a number from 1 to {MOST_LISTED}");
            Err(Refusal(StatusCode::BAD_REQUEST, sentence))
        }
    }
}

/// A training as programs are shown it.
#[must_use]
pub fn training(run: &TrainingRun) -> Value {
    json!({
        "run": run.id, "state": run.state.as_str(), "started": run.started, "heard": run.heard, "ended": run.ended,
        "attempt": run.attempt, "fingerprint": run.fingerprint, "champion": run.champion, "candidate": run.candidate,
        "by": run.by, "cause": run.cause, "reasons": run.reasons, "dataset": run.dataset, "progress": run.progress,
        "outcome": run.outcome, "decision": run.decision, "verdict": run.verdict, "gated": run.gated,
    })
}

/// A decision as programs are shown it.
#[must_use]
pub fn decision(decision: &KeptDecision) -> Value {
    json!({
        "decision": decision.id, "at": decision.at, "action": decision.action, "dry_run": decision.dry_run,
        "champion": decision.champion, "cause": decision.cause, "fingerprint": decision.fingerprint, "by": decision.by,
        "reasons": decision.reasons, "sentences": decision.sentences, "outcome": decision.outcome,
        "refused": decision.refused, "situation": decision.situation,
    })
}
