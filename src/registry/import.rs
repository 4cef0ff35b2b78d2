//! Taking a bundle in.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::shelf::{is_version, require_version};
use super::trial::Passed;
use super::{Meaning, Registry, RegistryError};
use crate::blocking::blocking;
use crate::fault;
use crate::model::manifest::{Bundle, MANIFEST_FILE};
use crate::record::Problem;
use crate::store::{Alias, BundleLock, Change, Import, RegisteredModel, kept_name};

/// How long an import waits for a removal of bundles to end, and how often it asks.
const WAIT: Duration = Duration::from_secs(120);
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What is to be imported, and as what.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// The bundle's folder.
    pub folder: &'a Path,
    /// The version that it must have, where that is known.
    pub expected: Option<&'a str>,
    /// Where it came from, for people.
    pub origin: &'a str,
    pub by: &'a str,
}

/// A bundle that is in the registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    pub version: String,
    pub name: String,
    /// Size of all its files.
    pub bytes: u64,
    /// How it did in its trial; none where it was in the registry already.
    pub passed: Option<Passed>,
}

impl Registry {
    /// Takes a bundle in: verifies every hash, compares its labels with the champion's, tries it in a process of its own,
    /// copies it, verifies the copy, and writes it down. Where any of that fails, nothing can be taken for a bundle. Doing it
    /// again changes nothing, but mends a copy that is damaged.
    ///
    /// # Errors
    ///
    /// What is wrong with the bundle, or what could not be read, written or asked.
    pub async fn import(&self, order: &Order<'_>) -> Result<Taken, RegistryError> {
        let bundle = open(order).await?;
        let known = self.store.registered(&bundle.version).await?;
        self.require_labels(&bundle).await?;
        let lock = self.lock().await?;
        let taken = self.take(&bundle, order, known).await;
        lock.release().await;
        taken
    }

    async fn take(
        &self,
        bundle: &Bundle,
        order: &Order<'_>,
        known: Option<RegisteredModel>,
    ) -> Result<Taken, RegistryError> {
        let manifest = &bundle.manifest;
        let bytes = size(bundle)?;
        let is_known = known.is_some_and(|model| model.is_kept());
        // What was tried once is the same bytes now.
        let passed = if is_known {
            None
        } else {
            Some(self.probe.run(bundle).await?)
        };
        self.depot.put(bundle).await?;
        fault::point("bundle-in-depot");
        self.store
            .register(&Import {
                model: &bundle.model_version(),
                name: &manifest.name,
                parent: manifest.parent.as_deref(),
                code_version: &manifest.code_version,
                bytes,
                origin: order.origin,
                by: order.by,
                manifest: json!(manifest),
            })
            .await?;
        Ok(Taken {
            version: bundle.version.clone(),
            name: manifest.name.clone(),
            bytes,
            passed,
        })
    }

    /// Refuses a bundle whose results would not mean what the champion's do.
    async fn require_labels(&self, bundle: &Bundle) -> Result<(), RegistryError> {
        let Some(version) = self.champion().await? else {
            return Ok(());
        };
        let Some(champion) = self.store.registered(&version).await? else {
            return Ok(());
        };
        let labels: Vec<String> = bundle
            .manifest
            .labels
            .iter()
            .map(|label| kept_name(label))
            .collect();
        if labels == champion.labels && bundle.manifest.problem == champion.problem {
            return Ok(());
        }
        Err(RegistryError::OtherLabels {
            version: bundle.version.clone(),
            meaning: Box::new(Meaning {
                labels,
                problem: in_words(bundle.manifest.problem),
            }),
            champion: version,
            expected: Box::new(Meaning {
                labels: champion.labels,
                problem: in_words(champion.problem),
            }),
        })
    }

    /// Keeps bundles from being removed meanwhile.
    async fn lock(&self) -> Result<BundleLock, RegistryError> {
        let started = Instant::now();
        loop {
            if let Some(lock) = self.store.lock_bundles(false).await? {
                return Ok(lock);
            }
            if started.elapsed() > WAIT {
                return Err(RegistryError::Busy { doing: "removed" });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Takes a bundle in and makes it the candidate or the shadow.
    ///
    /// # Errors
    ///
    /// As [`Registry::import`]; where the alias cannot be given, the bundle is in the registry all the same.
    ///
    /// # Panics
    ///
    /// As [`Registry::set_alias`].
    pub async fn import_as(
        &self,
        order: &Order<'_>,
        alias: Alias,
        change: &Change<'_>,
    ) -> Result<Taken, RegistryError> {
        let taken = self.import(order).await?;
        self.set_alias(alias, Some(&taken.version), change).await?;
        Ok(taken)
    }
}

/// Opens the bundle and verifies every file.
async fn open(order: &Order<'_>) -> Result<Bundle, RegistryError> {
    let folder = order.folder.to_owned();
    let bundle = blocking(move || {
        let bundle = Bundle::open(folder)?;
        bundle.verify()?;
        Ok::<_, RegistryError>(bundle)
    })
    .await?;
    // A folder that is called by a version says which bundle was put there.
    let called = order.folder.file_name().and_then(|name| name.to_str());
    for version in called
        .filter(|name| is_version(name))
        .into_iter()
        .chain(order.expected)
    {
        require_version(&bundle, version)?;
    }
    Ok(bundle)
}

fn size(bundle: &Bundle) -> Result<u64, RegistryError> {
    let names = bundle.manifest.files.keys().map(String::as_str);
    names.chain([MANIFEST_FILE]).try_fold(0, |sum, name| {
        let path = bundle.file(name);
        match std::fs::metadata(&path) {
            Ok(file) => Ok(sum + file.len()),
            Err(source) => Err(RegistryError::Folder {
                path,
                done: "read",
                source,
            }),
        }
    })
}

fn in_words(problem: Problem) -> &'static str {
    match problem {
        Problem::SingleLabel => "one of them",
        Problem::MultiLabel => "any of them",
    }
}
