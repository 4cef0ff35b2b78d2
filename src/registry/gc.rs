//! Removing bundles that nothing refers to any more, and what dead imports have left.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::Registry;
use super::error::RegistryError;
use super::shelf::{Entry, is_version};
use crate::blocking::blocking;
use crate::store::{Change, RegisteredModel, Unreferenced};

/// What an import has left half done is removed after this long: its process has surely ended.
const REMAINS: Duration = Duration::from_secs(24 * 60 * 60);

/// What is to be kept, beside what has an alias or was loaded by an instance within the last day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// So many of the models that were promoted last.
    pub keep: u32,
    /// What was imported within so many days.
    pub days: u32,
    /// Only say what would be removed.
    pub look_only: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Bundles that nothing refers to.
    pub unreferenced: Vec<Unreferenced>,
    /// Names in the depot of what an import or a removal has left half done.
    pub remains: Vec<String>,
    /// Whole bundles that stand in the depot and not in this database; they stay.
    pub unknown: Vec<String>,
    /// Bundles that stand in this database and are not whole in the depot.
    pub missing: Vec<String>,
    /// Bytes that were freed.
    pub bytes: u64,
}

impl Registry {
    /// Removes what nothing refers to. First it is marked in the database, so that it can be given no alias any more, then it
    /// is deleted; whatever a death in between leaves, the next time removes.
    ///
    /// # Errors
    ///
    /// An import is under way ([`RegistryError::Busy`]), the depot cannot be read or written, or the database does not answer.
    pub async fn sweep(&self, sweep: &Sweep, change: &Change<'_>) -> Result<Swept, RegistryError> {
        if sweep.look_only {
            return self.sweep_alone(sweep, change).await;
        }
        let lock = self.store.lock_bundles(true).await?;
        let lock = lock.ok_or(RegistryError::Busy {
            doing: "imported or removed",
        })?;
        let swept = self.sweep_alone(sweep, change).await;
        lock.release().await;
        swept
    }

    async fn sweep_alone(
        &self,
        sweep: &Sweep,
        change: &Change<'_>,
    ) -> Result<Swept, RegistryError> {
        let unreferenced = self
            .store
            .retire_unreferenced(sweep.keep, sweep.days, sweep.look_only, change)
            .await?;
        let retired: HashSet<&str> = unreferenced
            .iter()
            .map(|model| model.version.as_str())
            .collect();
        let models = self.store.all_models().await?;
        let is_kept =
            |model: &&RegisteredModel| model.is_kept() && !retired.contains(model.version.as_str());
        let kept: HashSet<&str> = models
            .iter()
            .filter(is_kept)
            .map(|model| model.version.as_str())
            .collect();
        let known: HashSet<&str> = models
            .iter()
            .filter(|model| model.imported.is_some())
            .map(|model| model.version.as_str())
            .collect();
        let entries = self.depot.list().await?;
        let mut swept = Swept {
            missing: missing(&kept, &entries),
            ..Swept::default()
        };
        let mut doomed = Vec::new();
        for entry in &entries {
            let name = entry.name.as_str();
            if kept.contains(name) {
                continue;
            }
            if known.contains(name) {
                doomed.push(entry);
            } else if entry.is_whole {
                swept.unknown.push(entry.name.clone());
            } else if is_old(entry) {
                swept.remains.push(entry.name.clone());
                doomed.push(entry);
            }
        }
        swept.bytes = doomed.iter().map(|entry| entry.bytes).sum();
        if !sweep.look_only {
            for entry in doomed {
                self.depot.remove(&entry.name).await?;
            }
            self.trim_cache(&kept.iter().copied().collect::<Vec<_>>())
                .await?;
        }
        swept.unreferenced = unreferenced;
        Ok(swept)
    }

    /// Removes all bundles but these from this machine's cache of a bucket. A model that is loaded needs its files no more.
    ///
    /// # Errors
    ///
    /// The cache cannot be read or written.
    pub async fn trim_cache(&self, keep: &[&str]) -> Result<(), RegistryError> {
        let Some(cache) = self.depot.cache().cloned() else {
            return Ok(());
        };
        let keep: HashSet<String> = keep.iter().map(|&version| version.to_owned()).collect();
        blocking(move || {
            for entry in cache.list()? {
                let is_wanted = if is_version(&entry.name) {
                    keep.contains(&entry.name)
                } else {
                    !is_old(&entry)
                };
                if !is_wanted {
                    cache.remove(&entry.name)?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn is_old(entry: &Entry) -> bool {
    let age = SystemTime::now().duration_since(entry.modified);
    age.is_ok_and(|age| age > REMAINS)
}

/// Which of the bundles that must be there are not.
fn missing(kept: &HashSet<&str>, entries: &[Entry]) -> Vec<String> {
    let whole: HashSet<&str> = entries
        .iter()
        .filter(|entry| entry.is_whole)
        .map(|entry| entry.name.as_str())
        .collect();
    let mut missing: Vec<String> = kept
        .difference(&whole)
        .map(|&name| name.to_owned())
        .collect();
    missing.sort();
    missing
}
