//! Trainings: which ran, which one runs, and how they ended.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, PgTransaction};

use super::leases::{self, Lease};
use super::{Store, StoreError, clean};

/// The key of the advisory lock that whoever trains has.
const TRAINING: i64 = 0x7469_6465_7472_6e67;
/// Most trainings that are listed, the latest first.
const MOST_LISTED: i64 = 1_000;

/// What has become of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingState {
    /// It is under way, or its process has died without a word.
    Running,
    /// It was stopped, or its process has died; it can go on.
    Stopped,
    /// There is no candidate; once the cause is mended it can go on.
    Failed,
    /// There is a candidate.
    Done,
}

impl TrainingState {
    const ALL: [Self; 4] = [Self::Running, Self::Stopped, Self::Failed, Self::Done];

    /// As it stands in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }

    fn named(name: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        // The table holds no other name.
        all.find(|state| state.as_str() == name)
            .unwrap_or(Self::Failed)
    }
}

/// The right to train, of one process at a time. It ends with its connection.
#[derive(Debug)]
pub struct TrainingLock {
    connection: PgConnection,
}

impl TrainingLock {
    /// Gives it back.
    pub async fn release(self) {
        // Where the server does not answer, the lock ends with the connection.
        let _ = self.connection.close().await;
    }
}

/// A training that is to begin.
#[derive(Debug, Clone)]
pub struct NewTraining<'a> {
    /// Of what it is trained on, and why.
    pub fingerprint: &'a str,
    pub cause: Value,
    /// Version of the champion.
    pub champion: Option<&'a str>,
    /// As sentences.
    pub reasons: &'a [String],
    /// What was chosen to train on.
    pub dataset: Value,
    pub by: &'a str,
    /// Number of the latest label among those that were chosen from.
    pub label_mark: i64,
    /// The decision that launches it, and the duty to decide; none by hand.
    pub decision: Option<(i64, &'a Lease)>,
}

/// What came of the wish to begin a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It is the caller's.
    Claimed(Claim),
    /// One with this fingerprint was begun before, and nothing was written.
    Repeated,
    /// The duty has passed to another instance, and nothing was written.
    LeaseLost,
}

/// A training that is under way, as whoever runs it knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub id: i64,
    /// Another one means that somebody else has taken the training over.
    pub attempt: i32,
}

/// A training as the table has it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingRun {
    pub id: i64,
    pub state: TrainingState,
    pub started: DateTime<Utc>,
    pub heard: DateTime<Utc>,
    pub ended: Option<DateTime<Utc>>,
    pub attempt: i32,
    pub fingerprint: String,
    pub champion: Option<String>,
    pub candidate: Option<String>,
    pub by: String,
    pub cause: Value,
    pub reasons: Value,
    pub dataset: Value,
    pub progress: Value,
    pub outcome: Option<Value>,
    /// The decision that launched it; none by hand.
    pub decision: Option<i64>,
    pub label_mark: i64,
    /// `pass`, `fail` or `inconclusive`, once the gate has judged its candidate.
    pub verdict: Option<String>,
    pub gated: Option<DateTime<Utc>>,
}

impl Store {
    /// Takes the right to train; `None` while another process has it.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn lock_training(&self) -> Result<Option<TrainingLock>, StoreError> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let has = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "has!""#, TRAINING)
            .fetch_one(&mut connection)
            .await?;
        Ok(has.then_some(TrainingLock { connection }))
    }

    /// Writes down that a training begins.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn begin_training(
        &self,
        _lock: &TrainingLock,
        new: &NewTraining<'_>,
    ) -> Result<Begun, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if let Some((_, lease)) = new.decision
            && !leases::hold(&mut transaction, lease).await?
        {
            return Ok(Begun::LeaseLost);
        }
        bury(&mut transaction).await?;
        let begun = sqlx::query_as!(
            Claim,
            "INSERT INTO training_runs (fingerprint, cause, champion, reasons, dataset, by_whom, label_mark, decision)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (fingerprint) DO NOTHING RETURNING id, attempt",
            new.fingerprint,
            clean::json(&new.cause),
            new.champion,
            clean::json(&json!(new.reasons)),
            clean::json(&new.dataset),
            &*clean::name(new.by),
            new.label_mark,
            new.decision.map(|(decision, _)| decision),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(claim) = begun else {
            return Ok(Begun::Repeated);
        };
        transaction.commit().await?;
        Ok(Begun::Claimed(claim))
    }

    /// Takes up a training that is not done; `None` where there is none of this number that could go on.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn resume_training(
        &self,
        _lock: &TrainingLock,
        id: i64,
    ) -> Result<Option<Claim>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        bury(&mut transaction).await?;
        let resumed = sqlx::query_as!(
            Claim,
            "UPDATE training_runs SET state = 'running', attempt = attempt + 1, heard = now(), ended = NULL, outcome = NULL
              WHERE id = $1 AND state <> 'done' RETURNING id, attempt",
            id,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        if resumed.is_some() {
            transaction.commit().await?;
        }
        Ok(resumed)
    }

    /// Says how far a training is; `false` where it is no longer the caller's.
    ///
    /// # Errors
    ///
    /// The database does not answer; saying it again is safe.
    pub async fn training_progress(
        &self,
        claim: Claim,
        progress: &Value,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "UPDATE training_runs SET heard = now(), progress = $3
              WHERE id = $1 AND attempt = $2 AND state = 'running'",
            claim.id,
            claim.attempt,
            clean::json(progress),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Says how a training has ended, with the version of the candidate where it is done; `false` where it is no longer the
    /// caller's.
    ///
    /// # Errors
    ///
    /// The database does not answer; saying it again is safe.
    pub async fn end_training(
        &self,
        claim: Claim,
        state: TrainingState,
        candidate: Option<&str>,
        outcome: &Value,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "UPDATE training_runs SET state = $3, candidate = $4, outcome = $5, heard = now(), ended = now()
              WHERE id = $1 AND attempt = $2 AND state = 'running'",
            claim.id,
            claim.attempt,
            state.as_str(),
            candidate,
            clean::json(outcome),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes down what the gate says of a training's candidate, by the duty to decide; `false` where that is another's, or
    /// there is a verdict already.
    ///
    /// # Errors
    ///
    /// The database does not answer; saying it again is safe.
    pub async fn gate_training(
        &self,
        lease: &Lease,
        id: i64,
        verdict: &str,
        gate: &Value,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !leases::hold(&mut transaction, lease).await? {
            return Ok(false);
        }
        let done = sqlx::query!(
            "UPDATE training_runs SET verdict = $2, gate = $3, gated_at = now()
              WHERE id = $1 AND state = 'done' AND verdict IS NULL",
            id,
            verdict,
            clean::json(gate),
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// What was compared at the gate, where a training's candidate has been there.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn gate_of(&self, id: i64) -> Result<Option<Value>, StoreError> {
        let row = sqlx::query_scalar!("SELECT gate FROM training_runs WHERE id = $1", id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.flatten())
    }

    /// Says of a training that was stopped, or has lost its process, that nobody goes on with it; `false` where it is under way,
    /// has ended, or the duty is another's.
    ///
    /// # Errors
    ///
    /// The database does not answer; saying it again is safe.
    pub async fn give_up_training(
        &self,
        lease: &Lease,
        id: i64,
        outcome: &Value,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !leases::hold(&mut transaction, lease).await? {
            return Ok(false);
        }
        let done = sqlx::query!(
            "UPDATE training_runs SET state = 'failed', outcome = $2, ended = now() WHERE id = $1 AND state = 'stopped'",
            id,
            clean::json(outcome),
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Marks as stopped every training that is said to run: whoever has the lock knows that none does.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn bury_trainings(&self, _lock: &TrainingLock) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        bury(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// All trainings, the latest first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn trainings(&self) -> Result<Vec<TrainingRun>, StoreError> {
        self.trainings_where(None, None).await
    }

    /// The training of a number.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn training(&self, id: i64) -> Result<Option<TrainingRun>, StoreError> {
        Ok(self.trainings_where(Some(id), None).await?.pop())
    }

    /// The training of a fingerprint.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn training_of(&self, fingerprint: &str) -> Result<Option<TrainingRun>, StoreError> {
        Ok(self.trainings_where(None, Some(fingerprint)).await?.pop())
    }

    async fn trainings_where(
        &self,
        id: Option<i64>,
        fingerprint: Option<&str>,
    ) -> Result<Vec<TrainingRun>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT id, state, started, heard, ended, attempt, fingerprint, champion, candidate, by_whom, cause, reasons,
                      dataset, progress, outcome, decision, label_mark, verdict, gated_at
                 FROM training_runs
                WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR fingerprint = $2)
                ORDER BY id DESC LIMIT $3"#,
            id,
            fingerprint,
            MOST_LISTED,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| TrainingRun {
                id: row.id,
                state: TrainingState::named(&row.state),
                started: row.started,
                heard: row.heard,
                ended: row.ended,
                attempt: row.attempt,
                fingerprint: row.fingerprint,
                champion: row.champion,
                candidate: row.candidate,
                by: row.by_whom,
                cause: row.cause,
                reasons: row.reasons,
                dataset: row.dataset,
                progress: row.progress,
                outcome: row.outcome,
                decision: row.decision,
                label_mark: row.label_mark,
                verdict: row.verdict,
                gated: row.gated_at,
            })
            .collect())
    }
}

/// Whoever has the lock knows that every training that is said to run has lost its process.
async fn bury(transaction: &mut PgTransaction<'_>) -> Result<(), StoreError> {
    let outcome = json!({"end": "died", "reason": "its process ended without a word"});
    sqlx::query!(
        "UPDATE training_runs SET state = 'stopped', ended = now(), outcome = $1 WHERE state = 'running'",
        outcome,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
