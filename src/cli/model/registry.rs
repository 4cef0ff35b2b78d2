//! What the commands of the registry share.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde_json::json;

use crate::cli::ConfigArgs;
use crate::cli::exit::BadInput;
use crate::cli::model::log_sparingly;
use crate::config::Config;
use crate::registry::{Registry, RegistryError};
use crate::store::{Change, Store};

/// Who does it, and why, for the history.
#[derive(Debug, Args)]
pub(in crate::cli) struct WhyArgs {
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    reason: String,
    /// Who does it, for the history
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    pub(super) by: String,
}

impl WhyArgs {
    pub(in crate::cli) fn change(&self) -> Change<'_> {
        Change {
            by: &self.by,
            reason: &self.reason,
            detail: json!({}),
            lease: None,
        }
    }
}

/// Loads the config, opens the database, and does something there.
pub(in crate::cli) fn with_store<T>(
    args: &ConfigArgs,
    work: impl AsyncFnOnce(Config, Store) -> Result<T, RegistryError>,
) -> anyhow::Result<T> {
    let config = args.load()?;
    log_sparingly();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime
        .block_on(async {
            let store = Store::connect(&config.postgres).await?;
            store.require_schema().await?;
            work(config, store).await
        })
        .map_err(in_order)
}

/// The same with the registry.
pub(super) fn with_registry<T>(
    args: &ConfigArgs,
    work: impl AsyncFnOnce(Registry, Store) -> Result<T, RegistryError>,
) -> anyhow::Result<T> {
    with_store(args, async |config, store| {
        let registry = Registry::open(&config.registry, &config.model, store.clone())?;
        work(registry, store).await
    })
}

/// An error with its exit code: 2 where the input is to blame.
fn in_order(error: RegistryError) -> anyhow::Error {
    match error {
        RegistryError::Unknown(_) | RegistryError::Config(_) => BadInput::from(error),
        // Its sentence holds the cause already.
        error => anyhow::Error::msg(error),
    }
}

/// So much of a version as people need to know it by.
pub(in crate::cli) fn short(version: &str) -> &str {
    version.get(..12).unwrap_or(version)
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

pub(in crate::cli) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
