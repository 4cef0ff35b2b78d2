//! Bundles made of other bundles without any training: taken into the registry like any others, and named by the hash of
//! their manifests as these are.
//!
//! [`bundle`] writes one into a folder of its own, [`take_in`] imports it. [`ensemble`] makes one of several models; what
//! corrects one model is in [`remedy`](crate::remedy).

pub mod bundle;
pub mod ensemble;
mod error;

use tempfile::TempDir;

pub use bundle::Content;
pub use error::DeriveError;

use crate::registry::{Order, Registry, Taken};

/// A folder for a bundle in the making, removed with what is in it when dropped.
///
/// # Errors
/// It cannot be made.
pub fn workshop() -> Result<TempDir, DeriveError> {
    tempfile::Builder::new()
        .prefix("tidewatch-derived-")
        .tempdir()
        .map_err(|source| DeriveError::Write {
            path: std::env::temp_dir(),
            source,
        })
}

/// Takes a bundle in, with all that an import asks of any.
///
/// # Errors
/// As [`Registry::import`].
pub async fn take_in(
    registry: &Registry,
    folder: &TempDir,
    origin: &str,
    by: &str,
) -> Result<Taken, DeriveError> {
    let order = Order {
        folder: folder.path(),
        expected: None,
        origin,
        by,
    };
    Ok(registry.import(&order).await?)
}
