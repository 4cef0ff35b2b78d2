//! Which model this instance serves: it follows the registry's champion while the stream runs.
//!
//! Every instance looks for itself, so all of a fleet have moved within [`EVERY`] and the time that loading takes. A model
//! that cannot be loaded changes nothing: what served goes on.

mod attempts;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use self::attempts::Attempts;
use crate::metrics::{Metrics, SwapEnd};
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::inference::{BatchRun, Interrupted};
use crate::model::live::{Live, Loaded, unload};
use crate::model::manifest::Bundle;
use crate::model::scorer::Scorer;
use crate::monitor;
use crate::record::ModelVersion;
use crate::registry::{Order, Registry, RegistryError};
use crate::store::{Change, Store, StoreError};

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

/// Follows the champion until `stop`; each model that is loaded gets an `observer`.
pub async fn follow(
    setting: Setting,
    observer: impl Fn() -> Observer + Send + Sync,
    stop: CancellationToken,
) {
    let mut attempts = Attempts::default();
    let mut told: Option<Instant> = None;
    let mut fault: Option<String> = None;
    loop {
        let looked = look(&setting, &observer, &mut attempts).await;
        match looked {
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
        if told.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
            let version = Arc::clone(setting.live.current().version());
            if tell(&setting, &version).await.is_ok() {
                told = Some(Instant::now());
                fault = None;
            }
        }
        let pause = tokio::time::sleep(EVERY);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

/// Looks at who is champion, and lets it serve; whether another model serves now.
async fn look(
    setting: &Setting,
    observer: &(impl Fn() -> Observer + Sync),
    attempts: &mut Attempts,
) -> Result<bool, RegistryError> {
    let serving = Arc::clone(setting.live.current().version());
    let now = Utc::now().timestamp_millis();
    let Some(champion) = setting.registry.champion().await? else {
        return Ok(false);
    };
    if champion == serving.version {
        attempts.forget();
        return Ok(false);
    }
    if !attempts.are_due(&champion, now) {
        return Ok(false);
    }
    let begun = Instant::now();
    match take(setting, &champion, observer()).await {
        Ok(before) => {
            attempts.forget();
            setting.metrics.model_swaps.of(SwapEnd::Served).inc();
            tracing::info!(
                version = champion,
                before = serving.version,
                loaded_in_ms = begun.elapsed().as_millis(),
                "another model serves from the next chunk on"
            );
            tokio::spawn(async move {
                if let Ok(false) = spawn_blocking(move || unload(before, PATIENCE)).await {
                    tracing::warn!(
                        "the model that was replaced is still in use, and stays in memory until it is not"
                    );
                }
            });
            Ok(true)
        }
        Err(error) => {
            setting.metrics.model_swaps.of(SwapEnd::Failed).inc();
            attempts.failed(&champion, now);
            tracing::error!(
                version = champion,
                serving = serving.version,
                "the champion cannot serve here, and what serves goes on: {error}"
            );
            Ok(false)
        }
    }
}

/// Loads and warms a model beside the one that serves, then lets it serve; what served until then.
async fn take(
    setting: &Setting,
    version: &str,
    observer: Observer,
) -> Result<Arc<Loaded>, DeployError> {
    let bundle = setting.registry.fetch(version).await?;
    keep_baseline(&setting.store, &bundle).await?;
    let (model, max_tokens) = (setting.model.clone(), setting.max_tokens);
    let name = bundle.manifest.name.clone();
    let loading = spawn_blocking(move || {
        let mut scorer = Scorer::of(&bundle, &model)?;
        scorer.warm(max_tokens)?;
        Ok::<_, DeployError>(Loaded::new(scorer, observer))
    });
    let loaded = match loading.await {
        Ok(loaded) => loaded?,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    setting.metrics.set_model(version, &name, loaded.device());
    Ok(setting.live.swap(loaded))
}

/// Lets whichever instance watches the feed know what this model's messages are compared with, before there are any.
async fn keep_baseline(store: &Store, bundle: &Bundle) -> Result<(), DeployError> {
    let id = store.model_id(&bundle.model_version()).await?;
    match monitor::of_bundle(bundle, Path::new("")) {
        Ok(Some(baseline)) => {
            if let Ok(json) = baseline.to_json() {
                store.keep_baseline(id, &json).await?;
            }
        }
        Ok(None) => tracing::warn!(
            "the new model's bundle has no baseline, so nothing can be said about drift: make one with `tidewatch baseline`"
        ),
        Err(fault) => tracing::warn!("nothing can be said about drift: {fault}"),
    }
    Ok(())
}

async fn tell(setting: &Setting, version: &ModelVersion) -> Result<(), StoreError> {
    let id = setting.store.model_id(version).await?;
    setting.store.serving(&setting.instance, id).await
}
