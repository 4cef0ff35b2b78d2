//! Where bundles are kept: in a folder, or in a bucket.

use super::bucket::Bucket;
use super::config::{Place, RegistryConfig};
use super::error::RegistryError;
use super::shelf::{Entry, Shelf};
use crate::blocking::blocking;
use crate::model::manifest::Bundle;

/// Bundles by version: `version/file`, and `version/manifest.json` last, so that its presence says that all is there.
#[derive(Debug, Clone)]
pub(super) enum Depot {
    Folder(Shelf),
    Bucket(Bucket),
}

impl Depot {
    /// Finds out where it is; asks nothing of a server yet.
    pub(super) fn open(config: &RegistryConfig) -> Result<Self, RegistryError> {
        if !config.is_on() {
            return Err(RegistryError::Config(
                "there is no registry: name a folder or s3://bucket/prefix in [registry] url"
                    .to_owned(),
            ));
        }
        match config.place().map_err(RegistryError::Config)? {
            Place::Folder(root) => Ok(Self::Folder(Shelf::new(root))),
            Place::Bucket { bucket, prefix } => Ok(Self::Bucket(Bucket::open(
                &bucket,
                &prefix,
                &config.client,
                config.cache.clone(),
            )?)),
        }
    }

    /// Its address, for people.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Folder(shelf) => shelf.root().display().to_string(),
            Self::Bucket(bucket) => bucket.url().to_owned(),
        }
    }

    /// Takes a bundle in, unless it is there whole; says whether it was taken in.
    pub(super) async fn put(&self, bundle: &Bundle) -> Result<bool, RegistryError> {
        match self {
            Self::Folder(shelf) => {
                let (shelf, bundle) = (shelf.clone(), bundle.clone());
                blocking(move || shelf.put(&bundle)).await
            }
            Self::Bucket(bucket) => bucket.put(bundle).await,
        }
    }

    /// The bundle of a version in a folder of this machine, every file of it verified.
    pub(super) async fn fetch(&self, version: &str) -> Result<Bundle, RegistryError> {
        match self {
            Self::Folder(shelf) => {
                let (wanted, name) = (shelf.clone(), version.to_owned());
                let bundle = blocking(move || wanted.get(&name)).await?;
                bundle.ok_or_else(|| RegistryError::Missing {
                    depot: self.address(),
                    version: version.to_owned(),
                })
            }
            Self::Bucket(bucket) => bucket.fetch(version).await,
        }
    }

    /// All that stands there, also what is no bundle (yet, or any more).
    pub(super) async fn list(&self) -> Result<Vec<Entry>, RegistryError> {
        match self {
            Self::Folder(shelf) => {
                let shelf = shelf.clone();
                blocking(move || shelf.list()).await
            }
            Self::Bucket(bucket) => bucket.list().await,
        }
    }

    /// Deletes what stands under a name of [`Depot::list`].
    pub(super) async fn remove(&self, name: &str) -> Result<(), RegistryError> {
        match self {
            Self::Folder(shelf) => {
                let (shelf, name) = (shelf.clone(), name.to_owned());
                blocking(move || shelf.remove(&name)).await
            }
            Self::Bucket(bucket) => bucket.remove(name).await,
        }
    }

    /// The folder of this machine that fetched bundles are in, where it is not the depot itself.
    pub(super) fn cache(&self) -> Option<&Shelf> {
        match self {
            Self::Folder(_) => None,
            Self::Bucket(bucket) => Some(bucket.cache()),
        }
    }
}
