//! Loading a model beside those that serve.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::spawn_blocking;

use super::{DeployError, Observer, Setting};
use crate::model::live::Loaded;
use crate::model::manifest::Bundle;
use crate::model::scorer::Scorer;
use crate::monitor;
use crate::store::Store;

/// Loads and warms a model beside those that serve; with it comes its name.
pub(super) async fn load(
    setting: &Setting,
    version: &str,
    observer: Observer,
) -> Result<(Arc<Loaded>, String), DeployError> {
    let begun = Instant::now();
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
        Err(error) => return Err(DeployError::Panicked(error.to_string())),
    };
    tracing::info!(
        version,
        loaded_in_ms = begun.elapsed().as_millis(),
        "a model is loaded beside the one that serves"
    );
    Ok((Arc::new(loaded), name))
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
