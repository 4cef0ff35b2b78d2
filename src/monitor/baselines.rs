//! The baselines of models: the one this instance brings, and those that others have left in Postgres.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::drift::baseline::{Baseline, BaselineError};
use crate::model::manifest::{BASELINE_FILE, Bundle, TOKENIZER_FILE};
use crate::store::{Store, StoreError};

/// Why a model's baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineFault {
    #[error(
        "the baseline {path} cannot be read ({source}); check the path, or make one with `tidewatch baseline`"
    )]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the baseline {path} cannot be used: {source}")]
    Unusable {
        path: PathBuf,
        source: BaselineError,
    },
}

/// The baseline for a bundle: `given`, unless that is empty, or else the bundle's own, if it has one.
///
/// # Errors
/// The file is missing, is no baseline, or was made for another model.
pub fn of_bundle(bundle: &Bundle, given: &Path) -> Result<Option<Baseline>, BaselineFault> {
    let manifest = &bundle.manifest;
    let path = if given != Path::new("") {
        given.to_owned()
    } else if manifest.files.contains_key(BASELINE_FILE) {
        bundle.file(BASELINE_FILE)
    } else {
        return Ok(None);
    };
    let bytes = std::fs::read(&path).map_err(|source| BaselineFault::Read {
        path: path.clone(),
        source,
    })?;
    let opened = Baseline::parse(&bytes).and_then(|baseline| {
        let model = manifest.model_sha256();
        baseline.fits(&model, manifest.sha256(TOKENIZER_FILE))?;
        let adjustment = manifest.adjustment.as_ref();
        baseline
            .for_model(adjustment)
            .ok_or(BaselineError::OtherAdjustment)
    });
    opened
        .map(Some)
        .map_err(|source| BaselineFault::Unusable { path, source })
}

/// Baselines by model, read once.
#[derive(Default)]
pub(super) struct Baselines(BTreeMap<i32, Arc<Baseline>>);

impl Baselines {
    /// The model's baseline, if any instance has left one.
    pub(super) async fn of(
        &mut self,
        store: &Store,
        model: i32,
    ) -> Result<Option<Arc<Baseline>>, StoreError> {
        if let Some(baseline) = self.0.get(&model) {
            return Ok(Some(Arc::clone(baseline)));
        }
        let Some(bytes) = store.baseline_of(model).await? else {
            return Ok(None);
        };
        match Baseline::parse(&bytes) {
            Ok(baseline) => {
                let baseline = Arc::new(baseline);
                self.0.insert(model, Arc::clone(&baseline));
                Ok(Some(baseline))
            }
            Err(error) => {
                tracing::warn!(
                    model,
                    "the kept baseline of a model cannot be used: {error}"
                );
                Ok(None)
            }
        }
    }
}
