//! A remedy without training, on the word of an alarm.

use chrono::DateTime;
use serde_json::json;

use crate::drift::severity::Remedy;
use crate::model::config::ModelConfig;
use crate::registry::{Registry, RegistryError};
use crate::remedy::{self, RemedyError, Shares};
use crate::store::{Change, Lease, Store, StoreError};

/// Windows of the watch that class shares are estimated from together.
const WINDOWS: u32 = 5;

/// What is to be cured, and how.
pub(super) struct Cure {
    pub(super) remedy: Remedy,
    /// The model that serves.
    pub(super) champion: String,
    /// When the alarm was opened, in milliseconds since 1970.
    pub(super) since: i64,
    /// Labels that a temperature takes.
    pub(super) labels: u32,
    /// Where models run; the path plays no part.
    pub(super) model: ModelConfig,
    pub(super) max_tokens: usize,
    pub(super) instance: String,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum CureError {
    #[error(transparent)]
    Remedy(#[from] RemedyError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a rollout is under way, which it would end")]
    Rollout,
}

impl CureError {
    /// Whether trying again for the same alarm would come to the same.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Remedy(error) => error.is_refusal(),
            Self::Registry(_) | Self::Store(_) | Self::Rollout => false,
        }
    }
}

impl Cure {
    /// Makes the corrected model, and lets it serve; what was done, as a sentence.
    ///
    /// The check on labels that each remedy makes is its gate. The model before it stays the previous one, to which it is rolled
    /// back by hand; and labels go on to tell whether the new one is wrong more often.
    pub(super) async fn apply(
        self,
        store: &Store,
        registry: &Registry,
        decision: i64,
        lease: &Lease,
    ) -> Result<String, CureError> {
        if store.active_rollout().await?.is_some() {
            return Err(CureError::Rollout);
        }
        let setting = remedy::Setting {
            registry,
            store,
            model: &self.model,
            batch_tokens: self.max_tokens,
            by: &self.instance,
            dry_run: false,
        };
        let since = DateTime::from_timestamp_millis(self.since).unwrap_or_default();
        let cured = match self.remedy {
            Remedy::Recalibration => {
                remedy::recalibration(setting, &self.champion, since, self.labels).await?
            }
            _ => {
                let shares = Shares::Watched { windows: WINDOWS };
                remedy::prior_correction(setting, &self.champion, &shares, None, since).await?
            }
        };
        let version = cured.version.unwrap_or_default();
        let reason = format!("decision {decision}: {:?}", self.remedy);
        let change = Change {
            by: &self.instance,
            reason: &reason,
            detail: json!({"decision": decision, "report": cured.report}),
            lease: Some(lease),
        };
        let seen = Some(self.champion.as_str());
        registry.promote(&version, seen, &change).await?;
        Ok(format!("{version} serves instead of {}", self.champion))
    }
}
