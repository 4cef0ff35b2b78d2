//! Rollouts: which is under way, each step of it, and how it ended.

use serde_json::{Value, json};
use sqlx::PgTransaction;

use super::deployments::{Change, begin, champion};
use super::leases::{self, Lease};
use super::registry::kept;
use super::rollout::{
    NewRollout, Rollout, RolloutKind, RolloutOutcome, RolloutStep, entered, stage_name,
    together_name,
};
use super::{Store, StoreError, clean};
use crate::rollout::policy::{Stage, State, Step};
use crate::rollout::share::KeepTogether;

impl Store {
    /// Begins a rollout; `None` where another is under way, the duty is lost, or the champion is another than the caller has seen.
    ///
    /// # Errors
    ///
    /// The database does not answer, or ([`StoreError::Denied`]) the candidate is not in the registry, is the champion, or has
    /// other labels.
    pub async fn begin_rollout(
        &self,
        new: &NewRollout<'_>,
        lease: Option<&Lease>,
    ) -> Result<Option<i64>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let change = Change {
            by: new.by,
            reason: new.reason,
            detail: json!({}),
            lease,
        };
        // No alias is given and no bundle removed before this has ended.
        if !begin(&mut transaction, &change).await? {
            return Ok(None);
        }
        let held = champion(&mut transaction).await?;
        let Some(held) = held.filter(|held| held.version == new.champion) else {
            return Ok(None);
        };
        let Some(candidate) = kept(&mut transaction, new.candidate).await? else {
            return Err(StoreError::denied(format!(
                "the model {} is not in the registry: take it in with `tidewatch model import`",
                new.candidate
            )));
        };
        if candidate.id == held.id {
            return Err(StoreError::denied(format!(
                "the model {} serves already: name another",
                new.candidate
            )));
        }
        if (&candidate.labels, &candidate.problem) != (&held.labels, &held.problem) {
            return Err(StoreError::denied(format!(
                "the model {} has other labels than the champion, so results would change their meaning: name one with its labels",
                new.candidate
            )));
        }
        let id = sqlx::query_scalar!(
            "INSERT INTO rollouts (entered_at, training, share, shadow_share, champion, candidate, passed, kind, stage, keep_together,
                                   salt, reason, by_whom, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING RETURNING id",
            entered(&new.state),
            new.training,
            new.state.stage.share(),
            new.shadow_share,
            held.id,
            candidate.id,
            new.state.passed,
            new.kind.as_str(),
            stage_name(new.state.stage),
            together_name(new.keep_together),
            &*clean::name(new.salt),
            &*clean::text(new.reason),
            &*clean::name(new.by),
            clean::json(&new.detail),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(id) = id {
            let stage = new.state.stage;
            note(
                &mut transaction,
                id,
                "begin",
                stage,
                new.reason,
                &new.detail,
            )
            .await?;
            transaction.commit().await?;
        }
        Ok(id)
    }

    /// The rollout that is under way.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn active_rollout(&self) -> Result<Option<Rollout>, StoreError> {
        Ok(self.rollouts_where(true, 1).await?.pop())
    }

    /// All rollouts, the latest first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn rollouts(&self, limit: u32) -> Result<Vec<Rollout>, StoreError> {
        self.rollouts_where(false, limit).await
    }

    async fn rollouts_where(&self, active: bool, limit: u32) -> Result<Vec<Rollout>, StoreError> {
        let rows = sqlx::query!(
            "SELECT r.id, r.begun, r.entered_at, r.ended, r.training, r.share, r.shadow_share, r.passed, r.kind, r.stage,
                    r.keep_together, r.salt, r.outcome, r.reason, r.by_whom, r.detail, champion.version AS champion,
                    candidate.version AS candidate
               FROM rollouts r
               JOIN models champion ON champion.id = r.champion
               JOIN models candidate ON candidate.id = r.candidate
              WHERE r.ended IS NULL OR NOT $1
              ORDER BY r.id DESC LIMIT $2",
            active,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Rollout {
                id: row.id,
                kind: if row.kind == RolloutKind::Ab.as_str() {
                    RolloutKind::Ab
                } else {
                    RolloutKind::Rollout
                },
                champion: row.champion,
                candidate: row.candidate,
                salt: row.salt,
                state: State {
                    stage: match row.stage.as_str() {
                        "full" => Stage::Full,
                        "canary" => Stage::Canary { share: row.share },
                        _ => Stage::Shadow,
                    },
                    entered_at: row.entered_at.timestamp_millis(),
                    passed: row.passed,
                },
                shadow_share: row.shadow_share,
                keep_together: if row.keep_together == together_name(KeepTogether::Subject) {
                    KeepTogether::Subject
                } else {
                    KeepTogether::Author
                },
                training: row.training,
                begun: row.begun,
                ended: row.ended.zip(row.outcome).and_then(|(at, outcome)| {
                    let mut all = RolloutOutcome::ALL.into_iter();
                    Some((at, all.find(|known| known.as_str() == outcome)?))
                }),
                by: row.by_whom,
                reason: row.reason,
                detail: row.detail,
            })
            .collect())
    }

    /// Brings a rollout into `state`; `false` where it has ended or the duty is lost. [`Step::Stay`] leaves the state as it is, and
    /// its sentence is kept instead of the last one; every other step is kept with its evidence.
    ///
    /// A promotion comes before its step, so that who looks in between finds the candidate serving all.
    ///
    /// # Errors
    ///
    /// The database does not answer; then it may have been done all the same.
    pub async fn step_rollout(
        &self,
        id: i64,
        state: &State,
        step: Step,
        reason: &str,
        evidence: &Value,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(lease) = lease
            && !leases::hold(&mut transaction, lease).await?
        {
            return Ok(false);
        }
        let done = sqlx::query!(
            "UPDATE rollouts
                SET stage = CASE WHEN $2 THEN stage ELSE $3 END, share = CASE WHEN $2 THEN share ELSE $4 END,
                    entered_at = CASE WHEN $2 THEN entered_at ELSE $5 END, passed = CASE WHEN $2 THEN passed ELSE $6 END,
                    reason = $7
              WHERE id = $1 AND ended IS NULL",
            id,
            step == Step::Stay,
            stage_name(state.stage),
            state.stage.share(),
            entered(state),
            state.passed,
            &*clean::text(reason),
        )
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if step != Step::Stay {
            note(
                &mut transaction,
                id,
                step.as_str(),
                state.stage,
                reason,
                evidence,
            )
            .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Ends a rollout; `false` where it has ended or the duty is lost. The step that ends it is kept, unless it was kept as the last
    /// one already.
    ///
    /// # Errors
    ///
    /// The database does not answer; then it may have been done all the same.
    pub async fn end_rollout(
        &self,
        id: i64,
        outcome: RolloutOutcome,
        reason: &str,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(lease) = lease
            && !leases::hold(&mut transaction, lease).await?
        {
            return Ok(false);
        }
        let done = sqlx::query!(
            "UPDATE rollouts SET ended = now(), outcome = $2, reason = $3 WHERE id = $1 AND ended IS NULL",
            id,
            outcome.as_str(),
            &*clean::text(reason),
        )
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query!(
            "INSERT INTO rollout_steps (rollout, share, step, stage, reason, evidence)
             SELECT r.id, r.share, $2, r.stage, $3, '{}' FROM rollouts r
              WHERE r.id = $1 AND $2 IS DISTINCT FROM
                    (SELECT last.step FROM rollout_steps last WHERE last.rollout = $1 ORDER BY last.number DESC LIMIT 1)",
            id,
            outcome.step(),
            &*clean::text(reason),
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The steps of a rollout in their order.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn rollout_steps(&self, id: i64) -> Result<Vec<RolloutStep>, StoreError> {
        Ok(sqlx::query_as!(
            RolloutStep,
            "SELECT number, at, step, stage, share, reason, evidence FROM rollout_steps WHERE rollout = $1 ORDER BY number",
            id,
        )
        .fetch_all(&self.pool)
        .await?)
    }
}

async fn note(
    transaction: &mut PgTransaction<'_>,
    rollout: i64,
    step: &str,
    stage: Stage,
    reason: &str,
    evidence: &Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO rollout_steps (rollout, share, step, stage, reason, evidence) VALUES ($1, $2, $3, $4, $5, $6)",
        rollout,
        stage.share(),
        step,
        stage_name(stage),
        &*clean::text(reason),
        clean::json(evidence),
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
