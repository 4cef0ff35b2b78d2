//! The `[retrain]` section.

use std::path::PathBuf;

use serde::Deserialize;

use super::dataset::config::DatasetConfig;
use super::runner::{KubernetesConfig, RunnerConfig};
use super::trigger::config::TriggerConfig;
use crate::train::recipe::{Backbone, Source};

/// How a model is trained anew.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrainConfig {
    /// The folder in which each training has a folder of its own.
    pub folder: PathBuf,
    /// Fewest labelled messages to train on.
    pub min_rows: u32,
    pub dataset: DatasetConfig,
    pub runner: RunnerConfig,
    /// Where in a cluster trainings run, instead of on this machine.
    #[serde(default)]
    pub kubernetes: Option<KubernetesConfig>,
    pub base: BaseConfig,
    pub trigger: TriggerConfig,
}

/// What the first training was like, and what it was on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaseConfig {
    /// Its recipe; empty: the one that the champion's bundle tells.
    pub recipe: PathBuf,
    /// Where relative paths of the files start; empty: the recipe's folder, or the current one.
    pub folder: PathBuf,
    /// What to start from where the champion's bundle does not hold its weights, if not the recipe's.
    pub backbone: Option<Backbone>,
    /// The files, if not the recipe's. Texts of those with the role `test` are never trained on.
    pub data: Vec<Source>,
}

impl RetrainConfig {
    /// Says what makes no sense, if anything does.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn check(&self) -> Result<(), String> {
        if self.min_rows == 0 {
            return Err("[retrain] min_rows must be at least 1".to_owned());
        }
        if self.folder.as_os_str().is_empty() {
            return Err("[retrain] folder is empty: name a folder for trainings".to_owned());
        }
        self.dataset.check()?;
        if let Some(cluster) = &self.kubernetes {
            cluster.check()?;
        }
        self.trigger.check()?;
        self.runner.check()
    }
}
