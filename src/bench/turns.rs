//! Two models that take turns while the service is measured.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::error::BenchError;
use crate::config::Config;
use crate::registry::{Order, Registry, RegistryError};
use crate::store::{Change, Store};

/// How long one of them is the champion.
const TURN: Duration = Duration::from_secs(5);

/// Both in a registry whose bundles lie in a folder of its own.
pub(super) struct Turns {
    folder: TempDir,
    registry: Registry,
    /// The one that is measured, and the other.
    versions: [String; 2],
}

impl Turns {
    /// Takes the bundle of `config` and the other one into a registry.
    ///
    /// # Errors
    ///
    /// It does not take them, there is no room for them, or the database has a champion that others may serve.
    pub(super) async fn prepare(
        config: &Config,
        store: &Store,
        other: &Path,
    ) -> Result<Self, BenchError> {
        let folder = tempfile::Builder::new()
            .prefix("tidewatch-bench-")
            .tempdir()
            .map_err(BenchError::Folder)?;
        let mut settings = config.registry.clone();
        settings.url = folder.path().display().to_string();
        let registry = Registry::open(&settings, &config.model, store.clone())?;
        let mut versions = <[String; 2]>::default();
        for (version, bundle) in versions.iter_mut().zip([&*config.model.path, other]) {
            let order = Order {
                folder: bundle,
                expected: None,
                origin: &bundle.display().to_string(),
                by: "tidewatch bench",
            };
            *version = registry.import(&order).await?.version;
        }
        // Whoever follows this registry would look for bundles that are gone after the measurement.
        if let Some(champion) = registry.champion().await?
            && !versions.contains(&champion)
        {
            return Err(BenchError::Registry(RegistryError::Refused(format!(
                "the database has a registry whose champion is {champion}: --swap needs one of its own, so leave --database-url out or \
                 name a scratch database"
            ))));
        }
        Ok(Self {
            folder,
            registry,
            versions,
        })
    }

    /// Makes the model that is measured the champion, and a service with this config follow who is.
    pub(super) async fn begin(&self, config: &mut Config) -> Result<(), BenchError> {
        config.registry.url = self.folder.path().display().to_string();
        Ok(self.promote(0).await?)
    }

    /// Makes the other one the champion, and so on by turns, until it is dropped.
    ///
    /// # Errors
    ///
    /// The registry does not do it.
    pub(super) async fn take(&self) -> Result<Infallible, BenchError> {
        loop {
            for number in [1, 0] {
                tokio::time::sleep(TURN).await;
                self.promote(number).await?;
            }
        }
    }

    async fn promote(&self, number: usize) -> Result<(), RegistryError> {
        let seen = self.registry.champion().await?;
        let change = Change {
            by: "tidewatch bench",
            reason: "it is its turn",
            detail: json!({}),
            lease: None,
        };
        let version = &self.versions[number];
        self.registry
            .promote(version, seen.as_deref(), &change)
            .await?;
        Ok(())
    }
}
