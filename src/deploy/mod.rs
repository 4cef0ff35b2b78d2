//! Which models this instance serves: it follows the registry's champion and the rollout under way while the stream runs.
//!
//! Every instance looks for itself, so all of a fleet have moved within [`EVERY`] and the time that loading takes. A model
//! that cannot be loaded changes nothing: what served goes on.

mod attempts;
mod beside;
mod load;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use self::attempts::Attempts;
use self::beside::Beside;
use self::load::load;
use crate::metrics::{Metrics, SwapEnd};
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::inference::{BatchRun, Interrupted};
use crate::model::live::{Arm, Live, Loaded, Serving, unload};
use crate::model::manifest::Bundle;
use crate::registry::{Order, Registry, RegistryError};
use crate::store::{self, Change, Rollout, Store, StoreError};

/// Between two looks at who is champion.
const EVERY: Duration = Duration::from_secs(1);
/// Between two words to the registry about what this instance serves.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How long chunks may still be scored by a model that was replaced before that is worth a warning.
const PATIENCE: Duration = Duration::from_secs(60);

/// What following needs.
pub struct Setting {
    pub registry: Registry,
    pub store: Store,
    pub live: Arc<Live>,
    /// Where models run; the path plays no part.
    pub model: ModelConfig,
    /// Padded tokens in a batch, for which a model is warmed.
    pub max_tokens: usize,
    /// The name of this instance.
    pub instance: String,
    pub metrics: Metrics,
}

/// Why a model does not serve.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the model cannot score what it is warmed with: {0}")]
    Warm(#[from] Interrupted),
    #[error("loading the model panicked: {0}")]
    Panicked(String),
}

/// The bundle that is to serve first: the champion's. Where there is none yet, the bundle of `model` is imported and becomes it.
///
/// # Errors
///
/// It is damaged, is refused by the registry, or the database does not answer.
pub async fn first(
    registry: &Registry,
    model: &ModelConfig,
    instance: &str,
) -> Result<Bundle, DeployError> {
    if let Some(champion) = registry.champion().await? {
        return Ok(registry.fetch(&champion).await?);
    }
    let order = Order {
        folder: &model.path,
        expected: None,
        origin: &model.path.display().to_string(),
        by: instance,
    };
    let taken = registry.import(&order).await?;
    let change = Change {
        by: instance,
        reason: "there was no champion, and the configuration names this bundle",
        detail: serde_json::json!({}),
        lease: None,
    };
    match registry.promote(&taken.version, None, &change).await {
        Ok(_) => tracing::info!(
            version = taken.version,
            "the configured bundle is the first champion"
        ),
        // Another instance was first.
        Err(RegistryError::Refused(_)) if registry.champion().await?.is_some() => {}
        Err(error) => return Err(error.into()),
    }
    let champion = registry.champion().await?.unwrap_or(taken.version);
    Ok(registry.fetch(&champion).await?)
}

/// Whoever counts a model's batches.
pub type Observer = Box<dyn FnMut(&BatchRun) + Send>;

/// Follows the champion and the rollout until `stop`; each model that is loaded gets an `observer`.
pub async fn follow(
    setting: Setting,
    observer: impl Fn() -> Observer + Send + Sync,
    stop: CancellationToken,
) {
    let mut follower = Follower {
        setting,
        observer,
        champions: Attempts::default(),
        arms: Attempts::default(),
        stranger: None,
    };
    let mut told: Option<Instant> = None;
    let mut fault: Option<String> = None;
    loop {
        match follower.look().await {
            Ok(false) => {}
            Ok(true) => told = None,
            Err(error) => {
                let error = error.to_string();
                if fault.as_ref() != Some(&error) {
                    tracing::warn!(
                        "the champion cannot be asked for, and what serves goes on: {error}"
                    );
                }
                fault = Some(error);
            }
        }
        if told.is_none_or(|last| last.elapsed() >= TELL_EVERY) && follower.tell().await.is_ok() {
            told = Some(Instant::now());
            fault = None;
        }
        let pause = tokio::time::sleep(EVERY);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

/// What following remembers.
struct Follower<O> {
    setting: Setting,
    observer: O,
    /// At a champion, and at a model beside it.
    champions: Attempts,
    arms: Attempts,
    /// The rollout that is not about the champion, once that was said.
    stranger: Option<i64>,
}

impl<O: Fn() -> Observer + Send + Sync> Follower<O> {
    /// Looks at who is champion and which rollout is under way, and lets their models serve; whether others serve now, or others of
    /// the messages.
    async fn look(&mut self) -> Result<bool, DeployError> {
        let Some(champion) = self.setting.registry.champion().await? else {
            return Ok(false);
        };
        let rollout = self.setting.store.active_rollout().await?;
        let before = self.setting.live.serving();
        let crowned = self.champion(&champion, &before).await?;
        if let Some(next) = &crowned {
            // At once: the model beside it may take its time to load.
            let arm = before.arm.clone();
            self.setting.live.replace(Serving {
                champion: Arc::clone(next),
                arm: arm.filter(|arm| !Arc::ptr_eq(arm.model(), next)),
            });
        }
        let serving = crowned.as_ref().unwrap_or(&before.champion);
        let arm = self
            .arm(&champion, serving, rollout.as_ref(), &before)
            .await;
        let same = match (&arm, &before.arm) {
            (None, None) => true,
            (Some(arm), Some(other)) => Arc::ptr_eq(arm, other),
            _ => false,
        };
        if crowned.is_none() && same {
            return Ok(false);
        }
        self.setting.live.replace(Serving {
            champion: Arc::clone(serving),
            arm,
        });
        if before.arm.is_some() && self.setting.live.serving().arm.is_none() {
            tracing::info!("no model is beside the champion from the next chunk on");
        }
        drop(crowned);
        self.retire(before);
        Ok(true)
    }

    /// The champion, where it is not what serves and is to from now on.
    async fn champion(
        &mut self,
        champion: &str,
        before: &Serving,
    ) -> Result<Option<Arc<Loaded>>, DeployError> {
        let serving = &before.champion.version().version;
        if serving == champion {
            self.champions.forget();
            return Ok(None);
        }
        let now = Utc::now().timestamp_millis();
        let loaded = match ready(before, champion) {
            // What has served some of the messages already is not loaded again.
            Some(model) => {
                let known = self.setting.store.registered(champion).await?;
                let imported = known.and_then(|known| known.imported);
                Ok((
                    model,
                    imported.map_or_else(String::new, |imported| imported.name),
                ))
            }
            None if !self.champions.are_due(champion, now) => return Ok(None),
            None => self.load(champion).await,
        };
        match loaded {
            Ok((model, name)) => {
                self.champions.forget();
                self.setting.metrics.model_swaps.of(SwapEnd::Served).inc();
                self.setting
                    .metrics
                    .set_model(champion, &name, model.device());
                tracing::info!(
                    version = champion,
                    before = serving,
                    "another model serves from the next chunk on"
                );
                Ok(Some(model))
            }
            Err(error) => {
                self.setting.metrics.model_swaps.of(SwapEnd::Failed).inc();
                self.champions.failed(champion, now);
                tracing::error!(
                    version = champion,
                    serving,
                    "the champion cannot serve here, and what serves goes on: {error}"
                );
                Ok(None)
            }
        }
    }

    /// The model that is to be beside the champion from now on.
    async fn arm(
        &mut self,
        champion: &str,
        serving: &Loaded,
        rollout: Option<&Rollout>,
        before: &Serving,
    ) -> Option<Arc<Arm>> {
        let Some(rollout) = rollout else {
            self.arms.forget();
            return None;
        };
        let Some(beside) = Beside::of(champion, rollout) else {
            if self.stranger.replace(rollout.id) != Some(rollout.id) {
                tracing::warn!(
                    rollout = rollout.id,
                    champion,
                    "the champion is none of the rollout's models, so it is not followed: end it with `tidewatch rollout stop`"
                );
            }
            return None;
        };
        // An instance that cannot take the champion serves what is to be beside it.
        if serving.version().version == beside.version {
            return None;
        }
        let division = match beside.division() {
            Ok(division) => division,
            Err(error) => {
                tracing::error!(rollout = rollout.id, "the rollout is not followed: {error}");
                return None;
            }
        };
        let now = Utc::now().timestamp_millis();
        if let Some(arm) = &before.arm
            && arm.model().version().version == beside.version
        {
            if arm.is_given_up() {
                self.arms.failed(beside.version, now);
            } else if arm.rollout() == rollout.id && *arm.division() == division {
                return Some(Arc::clone(arm));
            }
        }
        let model = match ready(before, beside.version) {
            Some(model) => model,
            None if !self.arms.are_due(beside.version, now) => return None,
            None => match self.load(beside.version).await {
                Ok((model, _)) => {
                    self.setting.metrics.arm_loads.of(SwapEnd::Served).inc();
                    model
                }
                Err(error) => {
                    self.setting.metrics.arm_loads.of(SwapEnd::Failed).inc();
                    self.arms.failed(beside.version, now);
                    tracing::error!(
                        version = beside.version,
                        rollout = rollout.id,
                        "the model beside the champion cannot score here, and the champion serves everything: {error}"
                    );
                    return None;
                }
            },
        };
        tracing::info!(
            version = beside.version,
            rollout = rollout.id,
            share = beside.share,
            shadow_share = beside.shadow_share,
            "a model is beside the champion from the next chunk on"
        );
        Some(Arc::new(Arm::new(model, rollout.id, division)))
    }

    /// Unloads what served and is not needed any more.
    fn retire(&self, before: Serving) {
        let now = self.setting.live.serving();
        let beside = now.arm.as_ref().map(|arm| arm.model());
        let Serving { champion, arm } = before;
        let arm = arm.map(|arm| Arc::clone(arm.model()));
        for model in [Some(champion), arm].into_iter().flatten() {
            let in_use = [Some(&now.champion), beside].into_iter().flatten();
            if in_use.into_iter().any(|used| Arc::ptr_eq(used, &model)) {
                continue;
            }
            tokio::spawn(async move {
                if let Ok(false) = spawn_blocking(move || unload(model, PATIENCE)).await {
                    tracing::warn!(
                        "a model that was replaced is still in use, and stays in memory until it is not"
                    );
                }
            });
        }
    }

    async fn load(&self, version: &str) -> Result<(Arc<Loaded>, String), DeployError> {
        load(&self.setting, version, (self.observer)()).await
    }

    /// Tells the registry what this instance serves, and which rollout it follows.
    async fn tell(&self) -> Result<(), StoreError> {
        let setting = &self.setting;
        let Serving { champion, arm } = setting.live.serving();
        let arm = arm.filter(|arm| !arm.is_given_up());
        let (rollout, share) = arm.as_ref().map_or((None, 0.0), |arm| {
            (Some(arm.rollout()), arm.division().share())
        });
        let mut loaded = vec![store::Loaded {
            model: setting.store.model_id(champion.version()).await?,
            rollout,
            share: 1.0 - share,
        }];
        if let Some(arm) = &arm {
            loaded.push(store::Loaded {
                model: setting.store.model_id(arm.model().version()).await?,
                rollout,
                share,
            });
        }
        setting.store.serving(&setting.instance, &loaded).await
    }
}

/// A model that serves some of the messages, if this is one.
fn ready(serving: &Serving, version: &str) -> Option<Arc<Loaded>> {
    let arm = serving.arm.as_ref().filter(|arm| !arm.is_given_up());
    [Some(&serving.champion), arm.map(|arm| arm.model())]
        .into_iter()
        .flatten()
        .find(|model| model.version().version == version)
        .map(Arc::clone)
}
