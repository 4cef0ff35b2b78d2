//! The registry of models: bundles by version, in a folder or a bucket, and in Postgres which of them serves.
//!
//! A bundle gets in by [`Registry::import`] alone: every hash verified, tried in a process of its own, copied, the copy
//! verified, and only then written down. What is not written down cannot be given an alias, and whoever loads a bundle takes
//! it from [`Registry::fetch`], which verifies it anew. So a corrupt or half-copied bundle never becomes live.

pub mod config;
pub mod trial;

mod bucket;
mod depot;
mod error;
mod gc;
mod import;
mod probe;
mod shelf;

use std::path::PathBuf;

pub use error::{Meaning, RegistryError};
pub use gc::{Sweep, Swept};
pub use import::{Order, Taken};

use config::RegistryConfig;
use depot::Depot;
use probe::Probe;

use crate::model::config::ModelConfig;
use crate::model::manifest::Bundle;
use crate::store::{Alias, Change, Store, Swap};

/// Fewest hex digits by which a version is known.
const FEWEST_DIGITS: usize = 6;

/// Bundles and what stands of them in Postgres. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    store: Store,
    depot: Depot,
    probe: Probe,
}

impl Registry {
    /// Over a store that has this version's schema. `model` says where bundles are tried; its path plays no part.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Config`] where there is no registry, or its place cannot be one.
    pub fn open(
        config: &RegistryConfig,
        model: &ModelConfig,
        store: Store,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            store,
            depot: Depot::open(config)?,
            probe: Probe::new(config.probe_limit(), model),
        })
    }

    /// Tries bundles by another program than this one, which must know `tidewatch model probe`: for whatever uses the library
    /// and is not `tidewatch`.
    #[must_use]
    pub fn trying_by(self, program: PathBuf) -> Self {
        Self {
            probe: self.probe.by(program),
            ..self
        }
    }

    /// Where its bundles are, for people.
    #[must_use]
    pub fn address(&self) -> String {
        self.depot.address()
    }

    /// A model's bundle in a folder of this machine, every file of it verified just now.
    ///
    /// From a bucket it is fetched once, into the cache; a copy there that is not what it was is fetched anew.
    ///
    /// # Errors
    ///
    /// There is none, it is damaged, or the place cannot be read.
    pub async fn fetch(&self, version: &str) -> Result<Bundle, RegistryError> {
        self.depot.fetch(version).await
    }

    /// The version of the champion, if there is one.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn champion(&self) -> Result<Option<String>, RegistryError> {
        self.holder(Alias::Champion).await
    }

    async fn holder(&self, alias: Alias) -> Result<Option<String>, RegistryError> {
        let aliases = self.store.aliases().await?;
        let holder = aliases.into_iter().find(|of| of.alias == alias);
        Ok(holder.map(|of| of.version))
    }

    /// Makes a model the champion, and the champion the previous one, if the champion is still `seen`; its bundle is verified
    /// first. Returns who was champion, and whether anything has changed.
    ///
    /// # Errors
    ///
    /// The bundle is not whole, or was never imported; another change came first; the database does not answer.
    pub async fn promote(
        &self,
        version: &str,
        seen: Option<&str>,
        change: &Change<'_>,
    ) -> Result<bool, RegistryError> {
        self.require_kept(version).await?;
        self.fetch(version).await?;
        let swap = self.store.promote(version, seen, change).await?;
        done(swap, version)
    }

    /// Makes the previous model the champion again, and the champion the previous one, if the champion is still `seen`; its
    /// bundle is verified first. Returns the version that is champion now.
    ///
    /// # Errors
    ///
    /// There is no previous one, its bundle is not whole, another change came first, or the database does not answer.
    pub async fn rollback(
        &self,
        seen: Option<&str>,
        change: &Change<'_>,
    ) -> Result<String, RegistryError> {
        let Some(previous) = self.holder(Alias::Previous).await? else {
            return Err(refused(Swap::NoPrevious, ""));
        };
        self.fetch(&previous).await?;
        let swap = self.store.rollback(seen, change).await?;
        done(swap, &previous)?;
        Ok(previous)
    }

    /// Makes a model the candidate or the shadow, or nobody. Returns whether anything has changed.
    ///
    /// # Errors
    ///
    /// The model was never imported, or the database does not answer.
    ///
    /// # Panics
    ///
    /// For the champion and the previous one, which change by promotion and roll-back only.
    pub async fn set_alias(
        &self,
        alias: Alias,
        version: Option<&str>,
        change: &Change<'_>,
    ) -> Result<bool, RegistryError> {
        let swap = self.store.set_alias(alias, version, change).await?;
        done(swap, version.unwrap_or_default())
    }

    async fn require_kept(&self, version: &str) -> Result<(), RegistryError> {
        match self.store.registered(version).await? {
            Some(model) if model.is_kept() => Ok(()),
            _ => Err(refused(Swap::NotImported, version)),
        }
    }
}

/// Where the depot is, for people, and how many whole bundles are there.
///
/// # Errors
///
/// There is no registry, or its place cannot be read.
pub async fn look(config: &RegistryConfig) -> Result<(String, usize), RegistryError> {
    let depot = Depot::open(config)?;
    let entries = depot.list().await?;
    let whole = entries.iter().filter(|entry| entry.is_whole).count();
    Ok((depot.address(), whole))
}

/// The version that somebody means by an alias, a version, or so many of its first digits that no other begins so.
///
/// # Errors
///
/// [`RegistryError::Unknown`] where that is none or several; or the database does not answer.
pub async fn resolve(store: &Store, name: &str) -> Result<String, RegistryError> {
    if let Some(alias) = Alias::parse(name) {
        let aliases = store.aliases().await?;
        let holder = aliases.into_iter().find(|of| of.alias == alias);
        return holder.map(|of| of.version).ok_or_else(|| {
            RegistryError::Unknown(format!(
                "there is no {name}: `tidewatch model list` shows what there is"
            ))
        });
    }
    if !may_be_version(name) {
        return Err(RegistryError::Unknown(format!(
            "{name:?} names no model: give an alias (champion, candidate, shadow, previous), a version, or at least \
             {FEWEST_DIGITS} of its first digits"
        )));
    }
    let mut versions = store.versions_from(&name.to_ascii_lowercase()).await?;
    match (versions.pop(), versions.pop()) {
        (Some(version), None) => Ok(version),
        (Some(one), Some(other)) => Err(RegistryError::Unknown(format!(
            "several models begin with {name}, such as {other} and {one}: give more digits"
        ))),
        (None, _) => Err(RegistryError::Unknown(format!(
            "there is no model {name}: `tidewatch model import` takes one in, `tidewatch model list` shows what there is"
        ))),
    }
}

/// Whether it may be meant as the name of a model of the registry, rather than as a folder.
#[must_use]
pub fn may_name(text: &str) -> bool {
    Alias::parse(text).is_some() || may_be_version(text)
}

/// Whether it may be a version, or the beginning of one.
fn may_be_version(text: &str) -> bool {
    text.len() >= FEWEST_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether something was changed.
fn done(swap: Swap, version: &str) -> Result<bool, RegistryError> {
    match swap {
        Swap::Done { .. } => Ok(true),
        Swap::Unchanged => Ok(false),
        refusal => Err(refused(refusal, version)),
    }
}

fn refused(swap: Swap, version: &str) -> RegistryError {
    RegistryError::Refused(match swap {
        Swap::Done { .. } | Swap::Unchanged => unreachable!("these are no refusals"),
        Swap::Moved { champion } => format!(
            "another change came first, and the champion is {} now: look at `tidewatch model history` before trying again",
            champion.as_deref().unwrap_or("nobody")
        ),
        Swap::NotImported => format!(
            "the model {version} is not in the registry: import its bundle first (`tidewatch model import DIR`)"
        ),
        Swap::OtherLabels { labels, champion } => format!(
            "the model {version} gives the labels {labels:?} and the champion {champion:?}, or they are of another kind: \
             results would change their meaning, so train it on the same labels in the same order"
        ),
        Swap::NoPrevious => {
            "there is no previous model to roll back to: it comes with the second promotion"
                .to_owned()
        }
        Swap::LeaseLost => {
            "another instance has taken this duty over, and nothing was changed".to_owned()
        }
    })
}
