//! The database at the start: it may not be there yet.

use std::time::Duration;

use super::AppError;
use crate::health::{Health, Part};
use crate::store::config::StoreConfig;
use crate::store::{Store, StoreError};

/// Between two attempts to reach it.
const RECONNECT: Duration = Duration::from_secs(1);

/// Connects to a database with the right schema, waiting as long as it is only not available.
pub(super) async fn connect(config: &StoreConfig, health: &Health) -> Result<Store, AppError> {
    let mut told = false;
    loop {
        let attempt = async {
            let store = Store::connect(config).await?;
            store.require_schema().await?;
            Ok::<Store, StoreError>(store)
        };
        match attempt.await {
            Err(error) if error.is_retryable() => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("waiting: {error}");
                }
                health.not_ready(Part::Postgres, error.to_string());
                tokio::time::sleep(RECONNECT).await;
            }
            result => return Ok(result?),
        }
    }
}
