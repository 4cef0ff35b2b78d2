//! What the first training was like, what it was on, and what the next one starts from.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::error::RenewalError;
use crate::compare::config::HeldOutConfig;
use crate::drift::reading::Fingerprint;
use crate::model::manifest::Bundle;
use crate::posts;
use crate::retrain::config::BaseConfig;
use crate::retrain::dataset::rows::{Base, BaseRow};
use crate::train::backbone::{BUNDLE_WEIGHTS, CONFIG};
use crate::train::data::{self, Example};
use crate::train::recipe::{Backbone, Recipe, Role, Split};
use crate::train::split;

/// What a training starts from.
#[derive(Debug, Clone, Default)]
pub enum Start {
    /// The champion's weights where its bundle holds them, else the backbone that is configured.
    #[default]
    Best,
    /// The champion's weights, and nothing else.
    ChampionWeights,
    /// The backbone of this recipe, which is also how it is trained: as if for the first time.
    First(PathBuf),
}

/// The first recipe, and where its files are.
#[derive(Debug)]
pub(super) struct First {
    /// With the backbone that is configured, where one is; relative folders resolved.
    pub(super) recipe: Recipe,
    /// The champion's bundle, if the training starts from its weights.
    pub(super) champion: Option<PathBuf>,
    /// Where relative paths of `recipe.data` start.
    folder: PathBuf,
}

impl First {
    /// By what is configured, what was asked for, and what the champion's bundle says and holds.
    pub(super) fn find(
        config: &BaseConfig,
        start: &Start,
        champion: Option<&Bundle>,
    ) -> Result<Self, RenewalError> {
        let file = match start {
            Start::First(file) => Some(file.as_path()),
            _ => Some(config.recipe.as_path()).filter(|file| !file.as_os_str().is_empty()),
        };
        let (mut recipe, mut folder, mut has_backbone) = match file {
            Some(file) => {
                let mut recipe = Recipe::load(file)?;
                let folder = file.parent().unwrap_or(Path::new("")).to_owned();
                resolve(&mut recipe.backbone, &folder);
                (recipe, folder, true)
            }
            None => (told(champion)?, PathBuf::new(), false),
        };
        if let (Some(backbone), false) = (&config.backbone, matches!(start, Start::First(_))) {
            recipe.backbone = backbone.clone();
            resolve(&mut recipe.backbone, Path::new(""));
            has_backbone = true;
        }
        if !config.data.is_empty() {
            recipe.data.clone_from(&config.data);
        }
        if !config.folder.as_os_str().is_empty() {
            folder.clone_from(&config.folder);
        }
        if let Some(champion) = champion
            && champion.manifest.labels != recipe.labels.names
        {
            return Err(RenewalError::OtherLabels {
                recipe: recipe.labels.names,
                champion: champion.manifest.labels.clone(),
            });
        }
        let weights = match start {
            Start::First(_) => None,
            Start::Best => weights(champion).ok(),
            Start::ChampionWeights => Some(weights(champion).map_err(RenewalError::NoWeights)?),
        };
        if weights.is_none() && !has_backbone {
            let lacking = weights_lack(champion);
            return Err(RenewalError::NoStart(lacking));
        }
        Ok(Self {
            recipe,
            champion: weights,
            folder,
        })
    }

    /// Reads the base: its rows, the fingerprints of texts that are not to be trained on, and how many lines were no rows.
    pub(super) fn read(&self) -> Result<(Base, HashSet<u64>, usize), RenewalError> {
        let recipe = &self.recipe;
        if recipe.data.is_empty() {
            return Ok((Base::default(), HashSet::new(), 0));
        }
        let read = data::read(&recipe.data, &recipe.labels, &recipe.text, &self.folder)?;
        let (test, others): (Vec<Example>, Vec<Example>) = read
            .examples
            .into_iter()
            // What the first baseline was made of is no part of the base; it may validate, too.
            .filter(|example| example.role != Role::Baseline)
            .partition(|example| example.role == Role::Test);
        let held_out = test
            .iter()
            .map(|example| Fingerprint::of(&example.text).near)
            .collect();
        let (train, validation) = match &recipe.split {
            // Labelled messages may be all that validates.
            Split::Given => others
                .into_iter()
                .partition(|example| example.role == Role::Train),
            _ if others.is_empty() => (Vec::new(), Vec::new()),
            rule => {
                let parts = split::split(others, rule)?;
                (parts.train, parts.validation)
            }
        };
        let base = Base {
            train: train.into_iter().map(row).collect(),
            validation: validation.into_iter().map(row).collect(),
        };
        Ok((base, held_out, read.faults.len()))
    }
}

/// Fingerprints of the texts of the fixed set.
pub(super) fn fixed(config: &HeldOutConfig) -> Result<HashSet<u64>, RenewalError> {
    if config.files.is_empty() {
        return Ok(HashSet::new());
    }
    let options = config.options().map_err(RenewalError::HeldOut)?;
    let loaded = posts::load(&config.files, &options, &config.unescape)
        .map_err(|error| RenewalError::HeldOut(error.to_string()))?;
    let texts = loaded.posts.iter();
    Ok(texts
        .map(|post| Fingerprint::of(post.text.trim()).near)
        .collect())
}

/// The recipe that the champion's bundle tells, without its files, which lie where it was trained.
fn told(champion: Option<&Bundle>) -> Result<Recipe, RenewalError> {
    let Some(champion) = champion else {
        return Err(RenewalError::NoRecipe("there is no champion".to_owned()));
    };
    let told = serde_json::from_value(champion.manifest.recipe.clone());
    let mut recipe: Recipe = told.map_err(|error| RenewalError::NoRecipe(error.to_string()))?;
    recipe.data.clear();
    Ok(recipe)
}

/// The champion's folder if it can be trained on, or why it cannot.
fn weights(champion: Option<&Bundle>) -> Result<PathBuf, String> {
    let holds = |bundle: &&Bundle| {
        [CONFIG, BUNDLE_WEIGHTS]
            .iter()
            .all(|name| bundle.manifest.files.contains_key(*name))
    };
    match champion.filter(holds) {
        Some(bundle) => Ok(absolute(&bundle.dir)),
        None => Err(weights_lack(champion)),
    }
}

fn weights_lack(champion: Option<&Bundle>) -> String {
    match champion {
        Some(bundle) => format!(
            "the champion's bundle ({}) does not hold the weights as they were trained",
            bundle.version.get(..12).unwrap_or(&bundle.version)
        ),
        None => "there is no champion".to_owned(),
    }
}

/// A folder of the backbone as a path that holds wherever the recipe lies.
fn resolve(backbone: &mut Backbone, base: &Path) {
    if let Backbone::Folder(folder) = backbone {
        *folder = absolute(&base.join(&*folder));
    }
}

/// A path that stays true when the current folder is another.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn row(example: Example) -> BaseRow {
    BaseRow {
        id: example.id,
        text: example.text,
        label: example.label as usize,
        time: example.time.map(|time| time.timestamp_millis()),
    }
}
