//! What the controller has done in the background: a training, or a comparison of two models.

use std::path::PathBuf;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cure::Cure;
use super::judging::{Judge, Verdict};
use crate::fault;
use crate::registry::Registry;
use crate::renewal::{News, Outcome, Renewal, RenewalError, Start, Trainer};
use crate::retrain::trigger::cause::Cause;
use crate::store::{Alias, Change, Lease, Rollout, Store, TrainingRun, TrainingState};

/// A training that has been begun so many times in all is given up: something kills it again and again.
const MOST_ATTEMPTS: i32 = 6;

/// Something under way.
pub(super) struct Errand {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Whether a training was cut off, as far as the table tells.
pub(super) fn can_go_on(run: &TrainingRun) -> bool {
    matches!(run.state, TrainingState::Stopped | TrainingState::Running)
}

/// Whether a training has a candidate that the gate has not judged.
pub(super) fn wants_a_verdict(run: &TrainingRun) -> bool {
    run.state == TrainingState::Done && run.verdict.is_none()
}

/// Whether a training has the present candidate, which has not failed at the gate and was never rolled out.
pub(super) fn wants_a_rollout(
    run: &TrainingRun,
    candidate: Option<&str>,
    rollouts: &[Rollout],
) -> bool {
    let has_passed = matches!(run.verdict.as_deref(), Some("pass" | "inconclusive"));
    has_passed
        && run.candidate.as_deref() == candidate
        && !rollouts
            .iter()
            .any(|rollout| rollout.training == Some(run.id))
}

impl Errand {
    fn spawn<F: Future<Output = ()> + Send + 'static>(
        work: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(work(stop.clone()));
        Self { stop, task }
    }

    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Asks it to end, and waits until it has: a training keeps its state and can go on.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::error!("the controller's work had ended by a panic: {error}");
        }
    }

    /// A training that was just decided.
    pub(super) fn launch(
        renewal: Renewal,
        cause: Cause,
        (decision, lease): (i64, Lease),
        instance: String,
    ) -> Self {
        Self::spawn(async move |stop| {
            let done = tokio::select! {
                plan = renewal.plan(&Start::Best, cause) => match plan {
                    Ok(plan) => {
                        let by = Trainer { name: &instance, duty: Some((decision, &lease)) };
                        let store = renewal.store.clone();
                        let tell = &mut |news: News<'_>| settle(&store, decision, &news);
                        renewal.run(plan, by, tell, &stop).await
                    }
                    Err(error) => Err(error),
                },
                // Nothing has begun yet.
                () = stop.cancelled() => return,
            };
            log(&done);
            if let Err(error) = done
                && is_lasting(&error)
                && let Err(fault) = renewal
                    .store
                    .settle_decision(decision, &error.to_string(), true)
                    .await
            {
                tracing::warn!("that nothing came of decision {decision} is not recorded: {fault}");
            }
        })
    }

    /// A training that was cut off.
    pub(super) fn resume(
        renewal: Renewal,
        run: &TrainingRun,
        lease: Lease,
        instance: String,
    ) -> Self {
        let (id, attempt, decision) = (run.id, run.attempt, run.decision.unwrap_or_default());
        Self::spawn(async move |stop| {
            if attempt >= MOST_ATTEMPTS {
                give_up(&renewal, id, &lease, "it was cut off again and again").await;
                return;
            }
            let by = Trainer {
                name: &instance,
                duty: Some((decision, &lease)),
            };
            let store = renewal.store.clone();
            let tell = &mut |news: News<'_>| settle(&store, decision, &news);
            let done = renewal.resume(id, by, tell, &stop).await;
            log(&done);
            if let Err(error @ RenewalError::NoFolder { .. }) = done {
                give_up(&renewal, id, &lease, &error.to_string()).await;
            }
        })
    }

    /// A remedy without training that was just decided.
    pub(super) fn cure(
        (store, registry): (Store, Registry),
        cure: Cure,
        (decision, lease): (i64, Lease),
    ) -> Self {
        Self::spawn(async move |stop| {
            let applied = tokio::select! {
                applied = cure.apply(&store, &registry, decision, &lease) => applied,
                // What was imported by then serves nobody.
                () = stop.cancelled() => return,
            };
            let (outcome, refused) = match applied {
                Ok(done) => {
                    tracing::info!(decision, "a model was corrected without training: {done}");
                    (done, false)
                }
                Err(error) => {
                    tracing::warn!(decision, "nothing came of a remedy: {error}");
                    if !error.is_lasting() {
                        return;
                    }
                    (error.to_string(), true)
                }
            };
            if let Err(fault) = store.settle_decision(decision, &outcome, refused).await {
                tracing::warn!("what came of decision {decision} is not recorded: {fault}");
            }
        })
    }

    /// The gate, on a training's candidate.
    pub(super) fn judge(
        (store, registry): (Store, Registry),
        judge: Judge,
        run: &TrainingRun,
        held_out: Option<PathBuf>,
        lease: Lease,
        instance: String,
    ) -> Self {
        let (id, candidate) = (run.id, run.candidate.clone().unwrap_or_default());
        Self::spawn(async move |stop| {
            let judged = judge.judge(&registry, &candidate, held_out, &stop).await;
            let Verdict { verdict, gate } = match judged {
                Ok(verdict) => verdict,
                Err(error) => {
                    tracing::warn!(run = id, "the candidate is not judged for now: {error}");
                    return;
                }
            };
            match store.gate_training(&lease, id, verdict, &gate).await {
                Ok(true) => {
                    fault::point("controller-judged");
                    tracing::info!(run = id, candidate, verdict, "the candidate was judged");
                }
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(run = id, "the verdict is not recorded: {error}");
                    return;
                }
            }
            if verdict == "fail" {
                let reason = format!("training run {id} has failed at the gate");
                let change = Change {
                    by: &instance,
                    reason: &reason,
                    detail: json!({"training": id}),
                    lease: Some(&lease),
                };
                // Where that fails it stays a candidate, which serves nobody.
                if let Err(error) = registry.set_alias(Alias::Candidate, None, &change).await {
                    tracing::warn!(run = id, "it is still called the candidate: {error}");
                }
            }
        })
    }
}

impl Drop for Errand {
    /// What nobody waits for ends by itself, and keeps its state.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Says what came of a launch as soon as its training stands in the table.
fn settle(store: &Store, decision: i64, news: &News<'_>) {
    if let News::Begun { run, folder } = news {
        tracing::info!(run, decision, folder = %folder.path().display(), "a training runs");
        let (store, outcome) = (store.clone(), format!("training run {run}"));
        tokio::spawn(async move {
            if let Err(error) = store.settle_decision(decision, &outcome, false).await {
                tracing::warn!("that decision {decision} was carried out is not recorded: {error}");
            }
        });
    }
}

fn log(done: &Result<Outcome, RenewalError>) {
    match done {
        Ok(Outcome::Candidate { run, taken, .. }) => {
            tracing::info!(
                run,
                candidate = taken.version,
                "a training has ended: there is a candidate"
            );
        }
        Ok(Outcome::Stopped { run }) => {
            tracing::info!(run, "the training was stopped, and can go on")
        }
        Ok(Outcome::Failed { run, end }) => {
            tracing::warn!(run, "the training has failed: {}", json!(end));
        }
        Err(error) => tracing::warn!("nothing came of a training: {error}"),
    }
}

/// Whether trying again with the same labels would come to the same.
fn is_lasting(error: &RenewalError) -> bool {
    !matches!(
        error,
        RenewalError::Busy { .. }
            | RenewalError::LeaseLost
            | RenewalError::TakenOver(_)
            | RenewalError::Store(_)
            | RenewalError::Registry(_)
            | RenewalError::Folder { .. }
    )
}

async fn give_up(renewal: &Renewal, run: i64, lease: &Lease, why: &str) {
    tracing::warn!(run, "the training is given up: {why}");
    if let Err(error) = renewal.give_up(run, lease, why).await {
        tracing::warn!(run, "that it is given up is not recorded: {error}");
    }
}
