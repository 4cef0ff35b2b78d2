//! A model trained anew: from labelled messages in Postgres to a candidate in the registry.
//!
//! [`Renewal::plan`] chooses what to train on and writes nothing; [`Renewal::run`] carries a plan out, and
//! [`Renewal::resume`] goes on with one whose process was stopped or has died. Each training has a row in Postgres from its
//! first moment, and no two have the same fingerprint. Whether the candidate is better than the champion is not judged here,
//! and it does not serve by this.

mod error;
mod first;
mod folder;
mod plan;
mod progress;
mod training;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub use error::RenewalError;
pub use first::Start;
pub use folder::Folder;
pub use plan::Plan;

use crate::blocking::blocking;
use crate::compare::config::HeldOutConfig;
use crate::fault;
use crate::metrics::{Metrics, TrainingEnd};
use crate::model::manifest::Bundle;
use crate::registry::{Order, Registry, Taken};
use crate::retrain::config::RetrainConfig;
use crate::retrain::runner::{End, Event};
use crate::retrain::trigger::cause::Cause;
use crate::store::{
    Alias, Begun, Change, Claim, Lease, NewTraining, Store, TrainingLock, TrainingRun,
    TrainingState,
};

/// How often, and after which pauses, the right to train is asked for: a process that was killed loses it a moment later.
const ASKED: u32 = 10;
const PAUSE: Duration = Duration::from_millis(300);

/// Trainings by hand do not differ by who asks for them: the same rows give the same model.
const BY_HAND: &str = "by hand";

/// What trains, and where its results go.
#[derive(Debug, Clone)]
pub struct Renewal {
    pub store: Store,
    pub registry: Registry,
    pub config: RetrainConfig,
    /// The fixed set on which models are compared: its texts are never trained on.
    pub held_out: HeldOutConfig,
    pub metrics: Metrics,
}

/// Who has a model trained.
#[derive(Debug, Clone, Copy)]
pub struct Trainer<'a> {
    pub name: &'a str,
    /// The decision that launches it and the duty to decide, where an instance does it unasked.
    pub duty: Option<(i64, &'a Lease)>,
}

impl<'a> Trainer<'a> {
    /// Somebody who does it by hand.
    #[must_use]
    pub fn by_hand(name: &'a str) -> Self {
        Self { name, duty: None }
    }
}

/// What happens in a training.
#[derive(Debug)]
pub enum News<'a> {
    /// It stands in the table and works in this folder.
    Begun { run: i64, folder: &'a Folder },
    /// Its process was started, or has told something.
    Training(&'a Event),
}

/// Whoever is told.
pub type Tell<'a> = &'a mut (dyn FnMut(News<'_>) + Send);

/// What came of a training.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is in the registry, and the candidate.
    Candidate {
        run: i64,
        taken: Taken,
        folder: Folder,
        /// The folder of its bundle in the registry, or in the cache of it.
        bundle: PathBuf,
        /// The same of the model that was champion when it began.
        champion: Option<PathBuf>,
    },
    /// It was stopped, and can go on.
    Stopped { run: i64 },
    /// There is no model.
    Failed { run: i64, end: End },
}

/// Why somebody asks for a training on the command line.
#[must_use]
pub fn by_hand(by: &str) -> Cause {
    Cause::Request {
        id: BY_HAND.to_owned(),
        by: by.to_owned(),
        force: false,
    }
}

impl Renewal {
    /// Chooses what to train on. Nothing is written.
    ///
    /// # Errors
    ///
    /// There is nothing to start from or too little to train on; something cannot be read.
    pub async fn plan(&self, start: &Start, cause: Cause) -> Result<Plan, RenewalError> {
        let champion = self.champion().await?;
        let labelled = self.store.labelled_texts().await?;
        let (config, start) = (self.config.clone(), start.clone());
        let held_out = self.held_out.clone();
        blocking(move || {
            let fixed = first::fixed(&held_out)?;
            Plan::make(&config, &start, champion.as_ref(), (labelled, fixed), cause)
        })
        .await
    }

    /// Carries out a plan.
    ///
    /// # Errors
    ///
    /// The same was trained before, or another training is under way; something cannot be read or written.
    pub async fn run(
        &self,
        plan: Plan,
        by: Trainer<'_>,
        tell: Tell<'_>,
        stop: &CancellationToken,
    ) -> Result<Outcome, RenewalError> {
        let lock = self.lock().await?;
        let fingerprint = plan.fingerprint.as_str().to_owned();
        self.require_new(&fingerprint).await?;
        let folder = Folder::of(&self.config.folder, &fingerprint);
        // Before it stands in the table: so whatever stands there can be gone on with.
        let written = folder.clone();
        let plan = blocking(move || written.write(&plan).map(|()| plan)).await?;
        let new = NewTraining {
            fingerprint: &fingerprint,
            cause: json!(plan.cause),
            champion: plan.champion.as_deref(),
            reasons: &plan.reasons(),
            dataset: json!(plan.report()),
            by: by.name,
            label_mark: plan.label_mark,
            decision: by.duty,
        };
        let claim = match self.store.begin_training(&lock, &new).await? {
            Begun::Claimed(claim) => claim,
            Begun::LeaseLost => return Err(RenewalError::LeaseLost),
            Begun::Repeated => {
                self.require_new(&fingerprint).await?;
                return Err(RenewalError::Busy { run: None });
            }
        };
        self.go(lock, claim, (&folder, plan.champion), by, tell, stop)
            .await
    }

    /// Goes on with a training that was stopped, has failed, or whose process has died.
    ///
    /// # Errors
    ///
    /// There is none that could go on, or it cannot here; another one is under way; something cannot be read or written.
    pub async fn resume(
        &self,
        run: i64,
        by: Trainer<'_>,
        tell: Tell<'_>,
        stop: &CancellationToken,
    ) -> Result<Outcome, RenewalError> {
        let refuse = |why| RenewalError::NotResumable(run, why);
        let lock = self.lock().await?;
        let held = self.store.training(run).await?;
        let held = held.ok_or(refuse("there is no such run"))?;
        let folder = Folder::of(&self.config.folder, &held.fingerprint);
        if held.state == TrainingState::Done {
            return Err(refuse("it is done"));
        }
        if !folder.is_whole() {
            let folder = folder.path().to_owned();
            return Err(RenewalError::NoFolder { run, folder });
        }
        // From a bucket, its bundle may have to be fetched anew. Where it cannot be had and is needed, the trainer says so.
        if let Some(champion) = &held.champion {
            let _ = self.registry.fetch(champion).await;
        }
        let claim = self.store.resume_training(&lock, run).await?;
        let claim = claim.ok_or(refuse("it is done"))?;
        self.go(lock, claim, (&folder, held.champion), by, tell, stop)
            .await
    }

    /// Says of a training that was cut off that nobody goes on with it; `false` where it has ended, or the duty is another's.
    ///
    /// # Errors
    ///
    /// Another one is under way; the database does not answer.
    pub async fn give_up(&self, run: i64, lease: &Lease, why: &str) -> Result<bool, RenewalError> {
        let lock = self.lock().await?;
        self.store.bury_trainings(&lock).await?;
        let outcome = json!({"end": "given_up", "reason": why});
        let given_up = self.store.give_up_training(lease, run, &outcome).await?;
        lock.release().await;
        Ok(given_up)
    }

    /// The folder in which a training works, or has worked, if that was on this machine.
    #[must_use]
    pub fn folder(&self, run: &TrainingRun) -> Folder {
        Folder::of(&self.config.folder, &run.fingerprint)
    }

    /// From a training that stands in the table to its end there.
    async fn go(
        &self,
        lock: TrainingLock,
        claim: Claim,
        (folder, champion): (&Folder, Option<String>),
        by: Trainer<'_>,
        tell: Tell<'_>,
        stop: &CancellationToken,
    ) -> Result<Outcome, RenewalError> {
        let run = claim.id;
        fault::point("training-begun");
        tell(News::Begun { run, folder });
        self.metrics.training_running.set(1);
        let job = self.config.runner.job(&folder.task());
        let place = (&self.store, claim);
        let trained = training::train(job, &self.config, place, &self.metrics, tell, stop).await;
        self.metrics.training_running.set(0);
        let trained = trained?;
        fault::point("training-ended");
        let outcome = match trained {
            End::Done { .. } => self.take(claim, folder, champion, by).await?,
            end @ End::Stopped { .. } => {
                self.end(claim, TrainingState::Stopped, None, &json!(end))
                    .await?;
                Outcome::Stopped { run }
            }
            end => {
                self.end(claim, TrainingState::Failed, None, &json!(end))
                    .await?;
                Outcome::Failed { run, end }
            }
        };
        lock.release().await;
        Ok(outcome)
    }

    /// Takes the bundle into the registry as the candidate.
    async fn take(
        &self,
        claim: Claim,
        folder: &Folder,
        champion: Option<String>,
        by: Trainer<'_>,
    ) -> Result<Outcome, RenewalError> {
        let run = claim.id;
        let bundle = folder.bundle();
        let origin = format!("training run {run}, {}", bundle.display());
        let order = Order {
            folder: &bundle,
            expected: None,
            origin: &origin,
            by: by.name,
        };
        let reason = format!("training run {run}");
        let change = Change {
            by: by.name,
            reason: &reason,
            detail: json!({"training": run, "champion": champion}),
            lease: by.duty.map(|(_, lease)| lease),
        };
        let imported = self
            .registry
            .import_as(&order, Alias::Candidate, &change)
            .await;
        let taken = match imported {
            Ok(taken) => taken,
            Err(error) => {
                let outcome = json!({"end": "not_imported", "reason": error.to_string()});
                self.end(claim, TrainingState::Failed, None, &outcome)
                    .await?;
                return Err(error.into());
            }
        };
        fault::point("training-imported");
        let outcome = json!({"end": "done"});
        self.end(claim, TrainingState::Done, Some(&taken.version), &outcome)
            .await?;
        let kept = self.registry.fetch(&taken.version).await?;
        let done = folder.clone();
        blocking(move || done.clear()).await;
        let champion = match champion {
            Some(version) => self.registry.fetch(&version).await.ok(),
            None => None,
        };
        Ok(Outcome::Candidate {
            run,
            taken,
            folder: folder.clone(),
            bundle: kept.dir,
            champion: champion.map(|bundle| bundle.dir),
        })
    }

    async fn end(
        &self,
        claim: Claim,
        state: TrainingState,
        candidate: Option<&str>,
        outcome: &Value,
    ) -> Result<(), RenewalError> {
        let end = match state {
            TrainingState::Done => TrainingEnd::Done,
            TrainingState::Stopped | TrainingState::Running => TrainingEnd::Stopped,
            TrainingState::Failed => TrainingEnd::Failed,
        };
        self.metrics.trainings.of(end).inc();
        let ours = self
            .store
            .end_training(claim, state, candidate, outcome)
            .await?;
        if ours {
            Ok(())
        } else {
            Err(RenewalError::TakenOver(claim.id))
        }
    }

    async fn champion(&self) -> Result<Option<Bundle>, RenewalError> {
        match self.registry.champion().await? {
            Some(version) => Ok(Some(self.registry.fetch(&version).await?)),
            None => Ok(None),
        }
    }

    async fn require_new(&self, fingerprint: &str) -> Result<(), RenewalError> {
        match self.store.training_of(fingerprint).await? {
            None => Ok(()),
            Some(TrainingRun { id: run, state, .. }) => Err(RenewalError::Repeated { run, state }),
        }
    }

    async fn lock(&self) -> Result<TrainingLock, RenewalError> {
        for _ in 0..ASKED {
            if let Some(lock) = self.store.lock_training().await? {
                return Ok(lock);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let runs = self.store.trainings().await?;
        let running = runs
            .iter()
            .find(|run| run.state == TrainingState::Running)
            .map(|run| run.id);
        Err(RenewalError::Busy { run: running })
    }
}
