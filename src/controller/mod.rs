//! The controller closes the loop: it decides when to train, has the candidate trained and judged, rolls it out, and takes it
//! back. One instance at a time does so for all.
//!
//! Whoever holds the lease looks every few seconds at what stands in Postgres and does the one step that follows from it. Each
//! step is written down in a transaction that checks the lease, so a controller that has stood still and wakes late changes
//! nothing; and as a step follows from what is written down alone, a successor goes on where its predecessor died.

mod aside;
mod cure;
mod errand;
mod judging;
mod news;
mod pairs;
mod rolling;
mod situation;

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::cure::Cure;
use self::errand::Errand;
use self::judging::Judge;
use self::news::News;
use self::rolling::Rolling;
use crate::compare::config::HeldOutConfig;
use crate::fault;
use crate::gate::config::GateConfig;
use crate::metrics::Metrics;
use crate::model::config::ModelConfig;
use crate::notify::config::Webhook;
use crate::registry::{Registry, RegistryError};
use crate::renewal::Renewal;
use crate::retrain::config::RetrainConfig;
use crate::retrain::trigger::{self, Action, Decision};
use crate::rollout::config::RolloutConfig;
use crate::store::{Alias, Lease, NewDecision, Store, StoreError};

pub use self::situation::situation;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(3);
/// Between two considerations whether to train, which count labels.
const CONSIDER_EVERY: Duration = Duration::from_secs(10);
/// How long the duty is another's after its holder was heard last.
const LEASE: Duration = Duration::from_secs(15);
/// The duty is renewed so often while a step takes long.
const RENEW: Duration = Duration::from_secs(5);
/// For giving the duty back at the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// The name of the duty.
const DUTY: &str = "controller";
/// Rollouts that are looked at, the latest ones.
const ROLLOUTS: u32 = 1_000;
/// After a launch of which nothing came, the next one is not decided sooner.
const REST: Duration = Duration::from_secs(60);

/// What the controller needs.
pub struct Setting {
    pub store: Store,
    pub registry: Registry,
    pub retrain: RetrainConfig,
    pub held_out: HeldOutConfig,
    pub gate: GateConfig,
    pub rollout: RolloutConfig,
    /// Where models run; the path plays no part.
    pub model: ModelConfig,
    /// Padded tokens in a batch.
    pub max_tokens: usize,
    /// Who is told of what is done.
    pub webhooks: Vec<Webhook>,
    /// The name of this instance.
    pub instance: String,
    pub metrics: Metrics,
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
enum ControllerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(
        "a bundle that takes part in a rollout cannot be used, so labels are not compared: {0}"
    )]
    Pairs(String),
}

/// Closes the loop, where this instance is the one.
pub struct Controller {
    store: Store,
    registry: Registry,
    renewal: Renewal,
    judge: Judge,
    rolling: Rolling,
    news: News,
    metrics: Metrics,
    instance: String,
    /// Unique to the process: a successor of the same name is another.
    holder: String,
    /// The duty, as far as this instance knows.
    lease: Option<Lease>,
    /// What is done in the background: a training, or a comparison.
    errand: Option<Errand>,
    /// The decision before.
    decided: Option<Decision>,
    /// When it was considered last whether to train.
    considered: Option<Instant>,
    /// When something was launched last.
    rested: Option<Instant>,
    /// When a training that was cut off was gone on with last.
    gone_on: Option<Instant>,
}

impl Controller {
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let unique: u64 = rand::random();
        let mut retrain = setting.retrain;
        let limit = u64::from(retrain.trigger.run_minutes);
        let runner = &mut retrain.runner;
        runner.time_limit_minutes = runner.time_limit_minutes.min(limit);
        Self {
            holder: format!("{}/{unique:016x}", setting.instance),
            renewal: Renewal {
                store: setting.store.clone(),
                registry: setting.registry.clone(),
                config: retrain,
                held_out: setting.held_out.clone(),
                metrics: setting.metrics.clone(),
            },
            judge: Judge {
                gate: setting.gate,
                held_out: setting.held_out,
                model: setting.model.clone(),
                max_tokens: setting.max_tokens,
            },
            rolling: Rolling::new(setting.rollout, setting.model, setting.max_tokens),
            news: News::new(&setting.webhooks),
            store: setting.store,
            registry: setting.registry,
            metrics: setting.metrics,
            instance: setting.instance,
            lease: None,
            errand: None,
            decided: None,
            considered: None,
            rested: None,
            gone_on: None,
        }
    }

    /// Controls until `stop`; what runs then is stopped so that it can go on, and the duty is given back.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut fault: Option<String> = None;
        loop {
            let Some(looked) = stop.run_until_cancelled(self.look()).await else {
                break;
            };
            match looked {
                Ok(()) => fault = None,
                Err(error) => {
                    let error = error.to_string();
                    if fault.as_ref() != Some(&error) {
                        tracing::warn!("the controller waits: {error}");
                    }
                    fault = Some(error);
                }
            }
            self.metrics
                .controller_leader
                .set(i64::from(self.lease.is_some()));
            let pause = tokio::time::sleep(EVERY);
            if stop.run_until_cancelled(pause).await.is_none() {
                break;
            }
        }
        if let Some(errand) = self.errand.take() {
            errand.stop().await;
        }
        if let Some(lease) = self.lease.take() {
            let releasing = self.store.release(&lease);
            if !matches!(tokio::time::timeout(FAREWELL, releasing).await, Ok(Ok(()))) {
                tracing::info!("the controller's duty passes on when its lease ends");
            }
        }
    }

    /// Does what follows from what stands in Postgres, if this instance has the duty.
    async fn look(&mut self) -> Result<(), ControllerError> {
        let held = self.store.lease(DUTY, &self.holder, LEASE).await?;
        if held != self.lease
            && let Some(errand) = self.errand.take()
        {
            // It was begun under another token, and whoever has the duty now goes on with it.
            errand.stop().await;
        }
        self.lease.clone_from(&held);
        let Some(lease) = held else {
            (self.decided, self.considered, self.rested) = (None, None, None);
            self.gone_on = None;
            self.rolling.forget();
            return Ok(());
        };
        let (store, holder) = (self.store.clone(), self.holder.clone());
        let mut work = std::pin::pin!(self.work(&lease));
        loop {
            tokio::select! {
                worked = &mut work => return worked,
                () = tokio::time::sleep(RENEW) => {
                    // A step that takes long must not cost the duty; one that has lost it is given up.
                    let renewed = store.lease(DUTY, &holder, LEASE).await?;
                    if renewed.as_ref() != Some(&lease) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// One look of whoever has the duty.
    async fn work(&mut self, lease: &Lease) -> Result<(), ControllerError> {
        if self.errand.as_ref().is_some_and(Errand::is_over) {
            self.errand = None;
        }
        let rolled = self
            .rolling
            .look(&self.store, &self.registry, lease, &self.instance)
            .await;
        if self.errand.is_none() {
            self.errand = self.next_errand(lease).await?;
        }
        self.news.tell(&self.store).await?;
        rolled
    }

    /// What is to be done in the background now, if anything.
    async fn next_errand(&mut self, lease: &Lease) -> Result<Option<Errand>, ControllerError> {
        let runs = self.store.trainings().await?;
        let ours = || runs.iter().filter(|run| run.decision.is_some());
        // One that does not go on, as while another runs that somebody has begun by hand, is tried again after a while.
        let tried = self.gone_on.is_some_and(|last| last.elapsed() < REST);
        if let Some(run) = ours().find(|run| !tried && errand::can_go_on(run)) {
            self.gone_on = Some(Instant::now());
            let renewal = self.renewal.clone();
            let errand = Errand::resume(renewal, run, lease.clone(), self.instance.clone());
            return Ok(Some(errand));
        }
        if let Some(run) = ours().find(|run| errand::wants_a_verdict(run)) {
            let place = (self.store.clone(), self.registry.clone());
            return Ok(Some(Errand::judge(
                place,
                self.judge.clone(),
                run,
                self.renewal.folder(run).held_out(),
                lease.clone(),
                self.instance.clone(),
            )));
        }
        let aliases = self.store.aliases().await?;
        let candidate = aliases.iter().find(|of| of.alias == Alias::Candidate);
        let candidate = candidate.map(|of| of.version.as_str());
        let rollouts = self.store.rollouts(ROLLOUTS).await?;
        if let Some(run) = ours().find(|run| errand::wants_a_rollout(run, candidate, &rollouts))
            && self
                .rolling
                .begin(&self.store, &self.registry, run, lease, &self.instance)
                .await?
        {
            return Ok(None);
        }
        self.decide(lease).await
    }

    /// Decides, writes down what is new, and launches.
    async fn decide(&mut self, lease: &Lease) -> Result<Option<Errand>, ControllerError> {
        let is_too_soon =
            |last: Option<Instant>, pause| last.is_some_and(|last| last.elapsed() < pause);
        if is_too_soon(self.rested, REST) || is_too_soon(self.considered, CONSIDER_EVERY) {
            return Ok(None);
        }
        self.considered = Some(Instant::now());
        if self.rested.take().is_some() {
            // What was launched has ended one way or the other, and the next launch is another decision.
            self.decided = None;
        }
        let config = &self.renewal.config;
        let known = situation(&self.store, config).await?;
        let decision = trigger::decide(&config.trigger, &known, Utc::now().timestamp_millis());
        let answers: Vec<i64> = known
            .requests
            .iter()
            .filter_map(|request| request.id.parse().ok())
            .collect();
        if !decision.is_news(self.decided.as_ref()) && answers.is_empty() {
            return Ok(None);
        }
        let sentences: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
        let new = NewDecision {
            action: decision.action.as_str(),
            dry_run: decision.dry_run,
            champion: &known.champion,
            cause: match &decision.action {
                Action::Launch(cause) => json!(cause),
                Action::Remedy { remedy, alarm } => json!({"remedy": remedy, "alarm": alarm}),
                Action::Wait => json!({}),
            },
            fingerprint: decision.fingerprint.as_ref().map(|print| print.as_str()),
            reasons: json!(decision.reasons),
            sentences: json!(sentences),
            situation: json!(known),
            by: &self.instance,
            answers: &answers,
        };
        let Some(id) = self.store.record_decision(lease, &new).await? else {
            return Ok(None);
        };
        fault::point("controller-decided");
        self.metrics
            .training_decisions
            .with_label_values(&[decision.action.as_str()])
            .inc();
        tracing::info!(
            decision = id,
            action = decision.action.as_str(),
            dry_run = decision.dry_run,
            "decided on a training: {}",
            sentences.join(" ")
        );
        self.decided = Some(decision.clone());
        if decision.dry_run {
            return Ok(None);
        }
        match decision.action {
            Action::Launch(cause) => {
                self.rested = Some(Instant::now());
                let renewal = self.renewal.clone();
                let duty = (id, lease.clone());
                Ok(Some(Errand::launch(
                    renewal,
                    cause,
                    duty,
                    self.instance.clone(),
                )))
            }
            Action::Remedy { remedy, alarm } => {
                self.rested = Some(Instant::now());
                let since = known.alarms.iter().find(|open| open.id == alarm);
                let cure = Cure {
                    remedy,
                    champion: known.champion,
                    since: since.map_or(0, |open| open.since),
                    labels: self.renewal.config.trigger.recalibration_labels,
                    model: self.judge.model.clone(),
                    max_tokens: self.judge.max_tokens,
                    instance: self.instance.clone(),
                };
                let place = (self.store.clone(), self.registry.clone());
                Ok(Some(Errand::cure(place, cure, (id, lease.clone()))))
            }
            Action::Wait => Ok(None),
        }
    }
}
