//! The thread that commits: each chunk first to Postgres, then, with its offsets, to Kafka.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::encode::{Encoder, Record};
use super::error::PipelineError;
use super::flight::{Commit, Flight};
use super::outbox::{Failure, Outbox};
use super::transaction::Patience;
use crate::health::{Health, Part};
use crate::metrics::{Abandoned, Metrics, Stage, Target};
use crate::record::{Outcome, ScoredChunk};
use crate::store::{Store, StoreError};

/// The first pause after a failure; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause that nothing interrupts.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// After so long without an answer the probe says that it is waited for.
const SILENCE: Duration = Duration::from_secs(5);
/// Between two looks whether a chunk that is being written still counts.
const WATCH: Duration = Duration::from_millis(100);
/// For writing a chunk to Postgres: more than the longest statement and the longest wait for a lock may take there.
const WRITE: Duration = Duration::from_secs(75);
/// For confirming the epochs, while a transaction is open.
const CONFIRM: Duration = Duration::from_secs(5);
/// How long a rebalance may take to bring the metadata of the next generation.
const NEXT_GENERATION: Duration = Duration::from_secs(10);

/// What the thread works with.
pub(super) struct Sink {
    pub store: Store,
    pub delivery: Delivery,
    pub outbox: Outbox,
    pub encoder: Encoder,
    pub flight: Arc<Flight>,
    /// The service drains.
    pub stop: CancellationToken,
    pub runtime: Handle,
    pub metrics: Metrics,
    pub health: Health,
}

/// How the commit of a chunk ended.
enum End {
    Committed,
    Abandoned(Abandoned),
}

impl Sink {
    /// Commits chunk after chunk until no more come, or one cannot be committed and waiting would not help.
    pub(super) fn run(
        mut self,
        mut chunks: mpsc::Receiver<ScoredChunk>,
    ) -> Result<(), PipelineError> {
        loop {
            // Before there is anything to commit: a forerunner of this instance that still runs is fenced at once, and what
            // a failed commit has left open holds up nobody.
            self.open(&chunks)?;
            let Some(chunk) = chunks.blocking_recv() else {
                return Ok(());
            };
            let flight = Arc::clone(&self.flight);
            let end = match flight.enter(chunk.assignment) {
                None => End::Abandoned(Abandoned::Revoked),
                Some(commit) => match self.commit(&chunk, &commit)? {
                    End::Committed => {
                        commit.committed(&chunk.offsets);
                        End::Committed
                    }
                    End::Abandoned(reason) => {
                        commit.failed();
                        End::Abandoned(reason)
                    }
                },
            };
            self.metrics.chunks_in_flight.dec();
            match end {
                End::Committed => self.count(&chunk),
                End::Abandoned(reason) => {
                    self.metrics.chunks_abandoned.of(reason).inc();
                    tracing::info!(
                        ?reason,
                        messages = chunk.outcomes.len(),
                        "chunk abandoned; it will be read again"
                    );
                }
            }
        }
    }

    /// Opens the producer, unless it is open.
    fn open(&mut self, chunks: &mpsc::Receiver<ScoredChunk>) -> Result<(), PipelineError> {
        let mut pause = FIRST_PAUSE;
        loop {
            // A drain does not wait for it: the stages before this one could not hand over what they hold.
            if chunks.is_closed() || self.stop.is_cancelled() {
                return Ok(());
            }
            let Err(failure) = self.outbox.open() else {
                self.flight.set_transacts(true);
                return Ok(());
            };
            match failure {
                Failure::Fatal(error) => return Err(error),
                Failure::Unconfirmed(error) => return Err(error.into()),
                Failure::Generation(said) | Failure::Later(said) | Failure::Unknown(said) => {
                    self.trouble(format!(
                        "the transactional producer cannot be opened: {said}"
                    ));
                }
            }
            self.metrics.retries.of(Target::Kafka).inc();
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_SLEEP);
        }
    }

    /// Transactions do not work: the probe says so until they do.
    fn trouble(&self, reason: String) {
        self.flight.set_transacts(false);
        self.health.not_ready(Part::Kafka, reason);
    }

    fn commit(&mut self, chunk: &ScoredChunk, commit: &Commit<'_>) -> Result<End, PipelineError> {
        let begun = Instant::now();
        if let Some(reason) = self.write_rows(chunk, commit)? {
            return Ok(End::Abandoned(reason));
        }
        let written = Instant::now();
        self.metrics
            .stage_seconds
            .of(Stage::Postgres)
            .observe((written - begun).as_secs_f64());
        if let Some(reason) = self.write_records(chunk, commit)? {
            return Ok(End::Abandoned(reason));
        }
        self.metrics
            .stage_seconds
            .of(Stage::Kafka)
            .observe(written.elapsed().as_secs_f64());
        Ok(End::Committed)
    }

    /// Writes the rows; the reason where the chunk must be abandoned.
    fn write_rows(
        &self,
        chunk: &ScoredChunk,
        commit: &Commit<'_>,
    ) -> Result<Option<Abandoned>, PipelineError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let writing = async {
                let write = async {
                    match self.delivery {
                        Delivery::ExactlyOnce => {
                            self.store.write_chunk(chunk, &commit.epochs).await
                        }
                        Delivery::Unguarded => self.store.insert_chunk(chunk).await,
                    }
                };
                tokio::select! {
                    written = within(WRITE, write) => Some(written),
                    () = self.wait_void(commit) => None,
                }
            };
            let Some(written) = self.runtime.block_on(writing) else {
                // Whatever becomes of it, whoever reads the chunk again replaces it, behind the fence.
                return Ok(Some(Abandoned::Revoked));
            };
            match written {
                Ok(()) => {
                    self.health.ready(Part::Postgres);
                    return Ok(None);
                }
                Err(error) => {
                    if let Some(reason) = self.judge(error, commit, &mut pause)? {
                        return Ok(Some(reason));
                    }
                }
            }
        }
    }

    /// What Postgres' error means for the chunk: the reason to abandon it, nothing where it may be tried again, which this
    /// waits for.
    fn judge(
        &self,
        error: StoreError,
        commit: &Commit<'_>,
        pause: &mut Duration,
    ) -> Result<Option<Abandoned>, PipelineError> {
        match error {
            StoreError::Fenced { .. } => {
                tracing::warn!("{error}");
                // Should the group still think it ours, claiming it again at once would only fence the other.
                commit.back_off(LAST_PAUSE);
                Ok(Some(Abandoned::Fenced))
            }
            error if error.is_retryable() => {
                self.health.not_ready(Part::Postgres, error.to_string());
                if !commit.may_retry() {
                    return Ok(Some(Abandoned::Revoked));
                }
                self.metrics.retries.of(Target::Postgres).inc();
                wait(commit, pause);
                Ok(None)
            }
            error => Err(error.into()),
        }
    }

    /// Returns once the chunk that is being written no longer counts; meanwhile tells the probe of a silent server.
    async fn wait_void(&self, commit: &Commit<'_>) {
        let begun = Instant::now();
        while commit.counts_still() {
            tokio::time::sleep(WATCH).await;
            let silent = begun.elapsed();
            if silent >= SILENCE {
                let reason = format!("Postgres has not answered for {} s", silent.as_secs());
                self.health.not_ready(Part::Postgres, reason);
            }
        }
    }

    /// Writes the records and commits the offsets; the reason where the chunk must be abandoned.
    fn write_records(
        &mut self,
        chunk: &ScoredChunk,
        commit: &Commit<'_>,
    ) -> Result<Option<Abandoned>, PipelineError> {
        let encoder = self.encoder.clone();
        let records: Vec<Record<'_>> = chunk
            .outcomes
            .iter()
            .map(|outcome| encoder.encode(outcome))
            .collect();
        let (flight, health) = (Arc::clone(&self.flight), self.health.clone());
        let trouble = |said: &str| {
            flight.set_transacts(false);
            health.not_ready(
                Part::Kafka,
                format!("a transaction is not answered: {said}"),
            );
        };
        let mut pause = FIRST_PAUSE;
        let Some(mut membership) = commit.membership() else {
            return Ok(Some(Abandoned::Revoked));
        };
        loop {
            let begun = Instant::now();
            let patience = Patience {
                lasts: &|| commit.may_retry(),
                waiting: &trouble,
            };
            let metadata = &membership.metadata;
            let confirm = || {
                let partitions = chunk.offsets.0.keys();
                let confirming = self.store.confirm(partitions, &commit.epochs);
                self.runtime.block_on(within(CONFIRM, confirming))?;
                self.health.ready(Part::Postgres);
                Ok(())
            };
            let sent = match self.delivery {
                Delivery::ExactlyOnce => {
                    self.outbox
                        .commit(&records, &chunk.offsets, metadata, &patience, confirm)
                }
                Delivery::Unguarded => self.outbox.send_unguarded(&records),
            };
            match sent {
                Ok(()) => {
                    self.flight.set_transacts(true);
                    self.metrics
                        .commit_seconds
                        .observe(begun.elapsed().as_secs_f64());
                    return Ok(None);
                }
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Generation(said)) => {
                    tracing::info!("the group has moved on ({said})");
                    match commit.newer_membership(membership.number, NEXT_GENERATION) {
                        Some(newer) => membership = newer,
                        None => return Ok(Some(Abandoned::Revoked)),
                    }
                }
                Err(Failure::Unconfirmed(error)) => {
                    if let Some(reason) = self.judge(error, commit, &mut pause)? {
                        return Ok(Some(reason));
                    }
                    continue;
                }
                Err(Failure::Unknown(said)) => {
                    self.trouble(format!("a transaction was not answered: {said}"));
                    tracing::warn!(
                        "whether a transaction has committed is not known ({said}): the committed offsets will tell"
                    );
                    return Ok(Some(Abandoned::Failed));
                }
                Err(Failure::Later(said)) => {
                    self.trouble(format!("a transaction failed: {said}"));
                    if !commit.may_retry() {
                        return Ok(Some(Abandoned::Failed));
                    }
                    wait(commit, &mut pause);
                }
            }
            self.metrics.retries.of(Target::Kafka).inc();
        }
    }

    fn count(&self, chunk: &ScoredChunk) {
        self.metrics.chunks_committed.inc();
        self.metrics
            .latency_seconds
            .observe(chunk.started.elapsed().as_secs_f64());
        for outcome in &chunk.outcomes {
            match outcome {
                Outcome::Scored(scored) => {
                    let label = scored
                        .model
                        .labels
                        .get(scored.prediction.label)
                        .map_or("", String::as_str);
                    self.metrics.add_predictions(label, 1);
                    self.metrics.truncated.inc_by(u64::from(scored.truncated));
                }
                Outcome::Dead(letter) => self.metrics.dead_letters.of(letter.reason).inc(),
            }
        }
        if let Some(first) = chunk.outcomes.first() {
            let age = chrono::Utc::now() - first.raw().kafka_time;
            self.metrics
                .age_seconds
                .observe(age.as_seconds_f64().max(0.0));
        }
    }
}

/// Waits before another attempt, longer each time and not in step with other instances.
fn wait(commit: &Commit<'_>, pause: &mut Duration) {
    commit.back_off(pause.mul_f64(rand::random_range(0.5..1.0)));
    *pause = (*pause * 2).min(LAST_PAUSE);
}

/// Bounds the wait: a server that has gone silent would never answer.
async fn within<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(limit, asking)
        .await
        .unwrap_or_else(|_| {
            Err(StoreError::Unavailable {
                problem: format!("no answer within {} s", limit.as_secs()),
            })
        })
}
