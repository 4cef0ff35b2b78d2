//! Labelled messages as the original sees them.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::original::{Original, of_manifest};
use super::{RemedyError, Setting};
use crate::adjustment::Adjustment;
use crate::labels::{Sampling, canonical};
use crate::model::manifest::Manifest;
use crate::model::scorer::Scorer;
use crate::record::Origin;
use crate::store::AnsweredMessage;

/// Most labelled messages that are looked at, the newest.
const MOST: u32 = 20_000;
/// Most texts that are scored where the probabilities that are kept do not suffice.
const MOST_SCORED: usize = 5_000;

/// How many messages were left out, by their reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// With a label that is none of the model's.
    pub other_label: u64,
    /// Not chosen by chance, or with a chance that is not known while that of others is.
    pub unknown_chance: u64,
    /// Scored by another model than the original or one derived from it.
    pub other_model: u64,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "left out: {} with another label, {} of unknown chance, {} of other models",
            self.other_label, self.unknown_chance, self.other_model
        )
    }
}

/// A labelled message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) origin: Origin,
    pub(super) time: DateTime<Utc>,
    pub(super) truth: usize,
    /// What the original says of it.
    pub(super) original: Vec<f32>,
    /// How many messages it stands for, relative to the others.
    pub(super) weight: f64,
}

/// Labelled messages that stand for all.
#[derive(Debug, Default)]
pub(super) struct Material {
    /// In the order of their times.
    pub(super) rows: Vec<Row>,
    pub(super) left_out: LeftOut,
    /// Those whose text had to be scored.
    pub(super) scored: u64,
}

impl Material {
    /// Gathers the labelled messages written since, from what is kept of their predictions, and where these make fewer than
    /// `need`, by scoring texts.
    pub(super) async fn gather(
        setting: Setting<'_>,
        original: &Original,
        since: DateTime<Utc>,
        need: u32,
    ) -> Result<Self, RemedyError> {
        let messages = setting.store.answered_since(since, MOST).await?;
        let mut known: HashMap<String, Option<Adjustment>> = HashMap::new();
        for message in &messages {
            if !known.contains_key(&message.version) {
                let undone = undone(setting, original, &message.version).await?;
                known.insert(message.version.clone(), undone);
            }
        }
        let mut found = Self::of(&messages, original.labels(), &known);
        let lacking = found.worth() < f64::from(need);
        if lacking && found.left_out.other_model > 0 {
            let left = messages
                .into_iter()
                .filter(|message| known[&message.version].is_none() && message.text.is_some())
                .take(MOST_SCORED)
                .collect();
            let scored = score(setting, original, left).await?;
            let more = Self::of(
                &scored,
                original.labels(),
                &HashMap::from([(original.version.clone(), Some(Adjustment::default()))]),
            );
            found.scored = more.rows.len() as u64;
            found.left_out.other_model -= scored.len() as u64;
            found.left_out.other_label += more.left_out.other_label;
            found.left_out.unknown_chance += more.left_out.unknown_chance;
            found.rows.extend(more.rows);
        }
        found.choose();
        Ok(found)
    }

    /// The rows of messages whose models' probabilities say what the original's are: `known` holds what is to be undone in
    /// each model's. A weight of 0 stands for a chance that is not known.
    fn of(
        messages: &[AnsweredMessage],
        labels: &[String],
        known: &HashMap<String, Option<Adjustment>>,
    ) -> Self {
        let mut found = Self::default();
        for message in messages {
            let undone = known.get(&message.version).and_then(Option::as_ref);
            let truth = canonical(labels, &message.label)
                .and_then(|name| labels.iter().position(|label| label == name));
            let weight = match message.inclusion {
                Some(chance) if chance > 0.0 => 1.0 / chance,
                _ => 0.0,
            };
            let fits = message.probabilities.len() == labels.len();
            match (undone, truth) {
                (Some(_), _) if !fits => found.left_out.other_model += 1,
                (None, _) => found.left_out.other_model += 1,
                (_, None) => found.left_out.other_label += 1,
                (Some(_), Some(_)) if weight == 0.0 && message.sampling != Sampling::Random => {
                    found.left_out.unknown_chance += 1;
                }
                (Some(undone), Some(truth)) => found.rows.push(Row {
                    origin: message.origin.clone(),
                    time: message.event_time,
                    truth,
                    original: undone.undo(&message.probabilities),
                    weight,
                }),
            }
        }
        found
    }

    /// Keeps the messages whose chances can be reckoned with together: those with a known one if they tell more, each counting
    /// with its inverse, or else those that were chosen by chance without a record of it, which count alike.
    fn choose(&mut self) {
        let (mut picked, mut plain): (Vec<Row>, Vec<Row>) = std::mem::take(&mut self.rows)
            .into_iter()
            .partition(|row| row.weight > 0.0);
        let (kept, left) = if effective(picked.iter()) >= plain.len() as f64 {
            (&mut picked, &plain)
        } else {
            plain.iter_mut().for_each(|row| row.weight = 1.0);
            (&mut plain, &picked)
        };
        self.left_out.unknown_chance += left.len() as u64;
        kept.sort_by(|one, other| (one.time, &one.origin).cmp(&(other.time, &other.origin)));
        let mean = kept.iter().map(|row| row.weight).sum::<f64>() / kept.len().max(1) as f64;
        kept.iter_mut().for_each(|row| row.weight /= mean);
        self.rows = std::mem::take(kept);
    }

    /// The effective number of the messages that [`Material::choose`] would keep.
    fn worth(&self) -> f64 {
        let plain = self.rows.iter().filter(|row| row.weight == 0.0).count();
        effective(self.rows.iter()).max(plain as f64)
    }

    /// So many messages of equal weight would tell as much.
    pub(super) fn effective(&self) -> u32 {
        effective(self.rows.iter()).round() as u32
    }
}

/// Kish 1965; rows without a weight count for nothing.
fn effective<'a>(rows: impl Iterator<Item = &'a Row>) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for row in rows {
        sum += row.weight;
        squares += row.weight * row.weight;
    }
    if squares > 0.0 {
        sum * sum / squares
    } else {
        0.0
    }
}

/// What has to be undone in the probabilities of a model to have the original's; none where they do not tell these.
async fn undone(
    setting: Setting<'_>,
    original: &Original,
    version: &str,
) -> Result<Option<Adjustment>, RemedyError> {
    if version == original.version {
        return Ok(Some(Adjustment::default()));
    }
    let model = setting.store.registered(version).await?;
    let manifest = model
        .and_then(|model| model.imported)
        .and_then(|imported| serde_json::from_value::<Manifest>(imported.manifest).ok());
    Ok(manifest
        .filter(|manifest| of_manifest(manifest) == Some(&original.version))
        .and_then(|manifest| manifest.adjustment))
}

/// The same messages as if the original had scored them; those that it cannot score are left out.
async fn score(
    setting: Setting<'_>,
    original: &Original,
    messages: Vec<AnsweredMessage>,
) -> Result<Vec<AnsweredMessage>, RemedyError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let (bundle, version) = (original.bundle.clone(), original.version.clone());
    let (model, batch_tokens) = (setting.model.clone(), setting.batch_tokens);
    let scoring = tokio::task::spawn_blocking(move || {
        let mut scorer = Scorer::of(&bundle, &model)?;
        let texts: Vec<&str> = messages
            .iter()
            .map(|message| message.text.as_deref().unwrap_or_default())
            .collect();
        let answers = scorer
            .score(&texts, batch_tokens)
            .map_err(|error| RemedyError::Broken(error.to_string()))?;
        let mut scored = Vec::with_capacity(messages.len());
        for (message, (_, answer)) in messages.iter().zip(answers) {
            if let Ok(prediction) = answer {
                scored.push(AnsweredMessage {
                    version: version.clone(),
                    probabilities: prediction.probabilities,
                    ..message.clone()
                });
            }
        }
        Ok(scored)
    });
    match scoring.await {
        Ok(scored) => scored,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests;
