//! What would be trained: chosen and counted, nothing written.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest, Sha256};

use super::error::RenewalError;
use super::first::{First, Start};
use crate::model::manifest::Bundle;
use crate::retrain::config::RetrainConfig;
use crate::retrain::dataset::report::Report;
use crate::retrain::dataset::rows::{Base, FeedbackRow};
use crate::retrain::dataset::{Input, Selection, choose, recipe};
use crate::retrain::trigger::cause::Cause;
use crate::retrain::trigger::fingerprint::Fingerprint;
use crate::retrain::trigger::situation::{LabelStock, Situation};
use crate::store::LabelledText;
use crate::train::recipe::{Backbone, Recipe, Role};

/// A training that could begin.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Version of the champion, if there is one.
    pub champion: Option<String>,
    /// What it starts from, for people.
    pub start: String,
    /// The same plan has the same one: it is carried out once.
    pub fingerprint: Fingerprint,
    pub cause: Cause,
    /// Lines of the base data that were no rows.
    pub faults: usize,
    /// Number of the latest first label that was there.
    pub label_mark: i64,
    pub(super) recipe: Recipe,
    pub(super) selection: Selection,
}

impl Plan {
    /// What was chosen, and what was left out and why.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.selection.report
    }

    /// Why, and on what, as sentences.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let report = self.report();
        let sum = |classes: &BTreeMap<String, u64>| classes.values().sum::<u64>();
        let why = match &self.cause {
            Cause::Request { by, .. } => format!("{by} asked for it"),
            Cause::Alarm { id, .. } => format!("the alarm {id} proposes it"),
            Cause::Loss { points, .. } => format!("{points:.1} points of accuracy were lost"),
            Cause::Labels { new } => format!("there are {new} new labels"),
        };
        let mut reasons = vec![
            why,
            format!("it starts from {}", self.start),
            format!(
                "it is trained on {} labelled messages and {} rows of the base, and validated on {}",
                sum(&report.feedback),
                sum(&report.base),
                sum(&report.validation)
            ),
            format!(
                "{} labelled messages are held out for the comparison with the champion",
                sum(&report.held_out)
            ),
        ];
        let baseline = sum(&report.baseline);
        if baseline > 0 {
            reasons.push(format!(
                "its drift baseline is made of the newest {baseline} messages labelled by chance that it is not trained on"
            ));
        }
        reasons
    }

    /// Chooses the rows and writes the recipe, in memory; texts with the fingerprints `fixed` are not trained on.
    pub(super) fn make(
        config: &RetrainConfig,
        start: &Start,
        champion: Option<&Bundle>,
        (labelled, fixed): (Vec<LabelledText>, HashSet<u64>),
        cause: Cause,
    ) -> Result<Self, RenewalError> {
        let first = First::find(&config.base, start, champion)?;
        let (base, mut held_out, faults) = first.read()?;
        held_out.extend(fixed);
        let marks = labelled.iter().map(|message| message.first_label);
        let label_mark = marks.max().unwrap_or(0);
        let feedback: Vec<FeedbackRow> = labelled.into_iter().map(feedback).collect();
        let selection = chosen(config, &first, &feedback, &base, &held_out)?;
        let from = first.champion.as_deref();
        let recipe = recipe::retraining(&first.recipe, from, &config.dataset, &selection);
        let version = champion.map(|bundle| bundle.version.clone());
        let situation = Situation {
            champion: version.clone().unwrap_or_default(),
            recipe: hash(&recipe, from.is_some())?,
            labels: LabelStock {
                rows: Some(selection.report.hash.clone()),
                ..LabelStock::default()
            },
            ..Situation::default()
        };
        Ok(Self {
            fingerprint: Fingerprint::of_training(&situation, &cause),
            start: match (&version, from, &recipe.backbone) {
                (Some(version), Some(_), _) => format!("the weights of the champion ({version})"),
                (_, _, Backbone::Folder(folder)) => format!("the backbone {}", folder.display()),
                (_, _, Backbone::Hub(id)) => format!("the backbone {id} of the hub"),
            },
            champion: version,
            cause,
            faults,
            label_mark,
            recipe,
            selection,
        })
    }
}

fn chosen(
    config: &RetrainConfig,
    first: &First,
    feedback: &[FeedbackRow],
    base: &Base,
    held_out: &HashSet<u64>,
) -> Result<Selection, RenewalError> {
    let too_few = |rows: usize, left_out: String| RenewalError::TooFew {
        rows,
        wanted: config.min_rows,
        left_out,
    };
    if feedback.is_empty() {
        return Err(too_few(0, String::new()));
    }
    let selection = choose(
        &config.dataset,
        &Input {
            labels: &first.recipe.labels.names,
            feedback,
            base,
            unlabelled: &[],
            held_out,
        },
    )?;
    let rows = selection.feedback.len();
    if rows < config.min_rows as usize {
        return Err(too_few(rows, left_out(&selection)));
    }
    Ok(selection)
}

/// What became of the other labelled messages, as the end of a sentence.
fn left_out(selection: &Selection) -> String {
    let report = &selection.report;
    let held = selection.held_out.len();
    let other = report
        .left_out
        .iter()
        .filter(|(reason, _)| !reason.is_base())
        .map(|(reason, rows)| format!("{rows} {}", reason.in_words()));
    let parts: Vec<String> = std::iter::once(format!("{held} held out for the gate"))
        .chain(other)
        .collect();
    format!(" (others: {})", parts.join(", "))
}

/// Hex SHA-256 of how it is trained. Where the champion's bundle lies does not count, nor what the baseline is made of.
fn hash(recipe: &Recipe, from_champion: bool) -> Result<String, RenewalError> {
    let mut recipe = recipe.clone();
    if from_champion {
        recipe.backbone = Backbone::Folder("champion".into());
    }
    recipe.data.retain(|source| source.role != Role::Baseline);
    let text = recipe::write(&recipe)?;
    Ok(hex::encode(Sha256::digest(text.as_bytes())))
}

/// A labelled message as the choice takes it.
fn feedback(message: LabelledText) -> FeedbackRow {
    FeedbackRow {
        arrived: message.first_label,
        message_id: message.message_id,
        text: message.text.unwrap_or_default(),
        votes: message.votes,
        inclusion: message.inclusion,
        author: message.author.map(hex::encode),
        source: message.source,
        subject: message.subject,
        event_time: message.event_time.timestamp_millis(),
        origin: message.origin,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_the_baseline_is_made_of_makes_no_other_training() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let recipe = Recipe::load(&recipes.join("closed-loop.toml")).unwrap();
        let mut more = recipe.clone();
        let mut source = recipe.data[0].clone();
        source.role = Role::Baseline;
        more.data.push(source.clone());
        let hash = |recipe: &Recipe| hash(recipe, false).unwrap();
        assert_eq!(hash(&more), hash(&recipe));
        source.role = Role::Test;
        more.data.push(source);
        assert_ne!(hash(&more), hash(&recipe));
    }
}
