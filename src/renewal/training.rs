//! The process that trains, on a thread of its own, and what is told of it to Postgres.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::error::RenewalError;
use super::progress::Latest;
use super::{News, Tell};
use crate::metrics::Metrics;
use crate::retrain::config::RetrainConfig;
use crate::retrain::runner::{End, Event, Job, carry_out};
use crate::store::{Claim, Store};

/// How often the table is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Events on their way from the thread.
const WAITING: usize = 256;

/// Runs the job to its end; until then, the table is told how far it is.
///
/// It is stopped where `stop` says so, where this is dropped, and where another process has taken the training over.
pub(super) async fn train(
    job: Job,
    config: &RetrainConfig,
    (store, claim): (&Store, Claim),
    metrics: &Metrics,
    tell: Tell<'_>,
    stop: &CancellationToken,
) -> Result<End, RenewalError> {
    let stop = stop.child_token();
    let _stopped_with_this = stop.clone().drop_guard();
    let (mut events, ended) = match start(job, config, stop.clone()) {
        Ok(started) => started,
        Err(error) => {
            let reason = format!(
                "no thread can be started for the training ({error}); see what limits this machine's processes"
            );
            return Ok(End::NotStarted { reason });
        }
    };
    let (mut latest, mut is_ours) = (Latest::default(), true);
    let mut tick = tokio::time::interval(TELL_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    latest.take(&event);
                    metrics.training_progress.set(latest.share());
                    tell(News::Training(&event));
                }
                None => break,
            },
            _ = tick.tick(), if is_ours => {
                match store.training_progress(claim, &json!(latest)).await {
                    Ok(true) => {}
                    Ok(false) => {
                        is_ours = false;
                        stop.cancel();
                    }
                    // The training needs no database; it is told at the next tick.
                    Err(error) => tracing::warn!(run = claim.id, "the training's progress is not recorded: {error}"),
                }
            }
        }
    }
    if !is_ours {
        return Err(RenewalError::TakenOver(claim.id));
    }
    // So that the table has its last step; where it cannot be told, its end is told all the same.
    let _ = store.training_progress(claim, &json!(latest)).await;
    Ok(ended.await.unwrap_or_else(|_| End::NotStarted {
        reason: "the thread of the training has ended without a result; resume it".to_owned(),
    }))
}

/// The process dies with the thread that has started it, so it has one that waits for its end.
fn start(
    job: Job,
    config: &RetrainConfig,
    stop: CancellationToken,
) -> io::Result<(mpsc::Receiver<Event>, oneshot::Receiver<End>)> {
    let (sender, events) = mpsc::channel(WAITING);
    let (end, ended) = oneshot::channel();
    let (cluster, attempts) = (config.kubernetes.clone(), config.runner.attempts);
    std::thread::Builder::new()
        .name("training".to_owned())
        .spawn(move || {
            let mut pass_on = |event: &Event| drop(sender.blocking_send(event.clone()));
            let stop = || stop.is_cancelled();
            let ending = carry_out(cluster.as_ref(), &job, attempts, &mut pass_on, &stop);
            // Nobody waits where the whole was dropped.
            let _ = end.send(ending);
        })?;
    Ok((events, ended))
}
