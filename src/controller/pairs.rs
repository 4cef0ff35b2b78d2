//! Labelled messages that both models of a rollout have answered.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::aside::aside;
use crate::compare::Pair;
use crate::compare::error::CompareError;
use crate::labels::Sampling;
use crate::model::config::ModelConfig;
use crate::record::Origin;
use crate::rollout::sequential::Discordant;
use crate::store::FreshLabel;

/// Who was right: the champion, and the candidate.
type Right = (bool, bool);

/// The labelled messages of a rollout, each answered once by both models while the rollout lasts. That costs little, since labels
/// are few, and gives the strongest comparison: the same message, whichever model has served it.
pub(super) struct Pairs {
    /// Number of the rollout.
    pub(super) rollout: i64,
    pair: Arc<Mutex<Pair>>,
    answered: BTreeMap<Origin, (String, Option<Right>)>,
    labels: Vec<FreshLabel>,
}

impl Pairs {
    /// Opens both bundles.
    pub(super) async fn open(
        rollout: i64,
        (champion, candidate): (PathBuf, PathBuf),
        model: ModelConfig,
        max_tokens: usize,
    ) -> Result<Self, CompareError> {
        let opening = move || Pair::open(&champion, &candidate, &model, max_tokens);
        let pair = aside(opening).await?;
        Ok(Self {
            rollout,
            pair: Arc::new(Mutex::new(pair)),
            answered: BTreeMap::new(),
            labels: Vec::new(),
        })
    }

    /// Has both models answer what is new among the labelled messages. Given up in between, it is asked again at the next look.
    pub(super) async fn answer(&mut self, labels: Vec<FreshLabel>) -> Result<(), CompareError> {
        let is_new = |label: &&FreshLabel| {
            let answered = self.answered.get(&label.origin);
            answered.is_none_or(|(truth, _)| *truth != label.label)
        };
        let new: Vec<FreshLabel> = labels.iter().filter(is_new).cloned().collect();
        self.labels = labels;
        if new.is_empty() {
            return Ok(());
        }
        let (pair, stop) = (Arc::clone(&self.pair), CancellationToken::new());
        let _stopped_with_this = stop.clone().drop_guard();
        let answered = aside(move || {
            let mut pair = pair.lock().unwrap_or_else(PoisonError::into_inner);
            let texts: Vec<(&str, &str)> =
                new.iter().map(|new| (&*new.text, &*new.label)).collect();
            let right = pair.right(&texts, &|| stop.is_cancelled())?;
            Ok::<_, CompareError>(new.into_iter().zip(right).collect::<Vec<_>>())
        });
        for (label, right) in answered.await? {
            self.answered.insert(label.origin, (label.label, right));
        }
        Ok(())
    }

    /// The pairs of messages whose first label came at `since` or later, whatever the annotator's clock says.
    pub(super) fn since(&self, since: DateTime<Utc>) -> Discordant {
        let answers = self.labels.iter().filter(|label| label.received >= since);
        discordant(answers.filter_map(|label| {
            let (_, right) = self.answered.get(&label.origin)?;
            Some((label.sampling, label.inclusion, (*right)?))
        }))
    }
}

/// Messages weigh the smallest probability of being picked over their own; where the queue has picked none, those that were
/// chosen by chance weigh the same, and the others nothing.
fn discordant(answers: impl Iterator<Item = (Sampling, Option<f64>, Right)> + Clone) -> Discordant {
    let smallest = answers
        .clone()
        .filter_map(|(_, inclusion, _)| inclusion)
        .filter(|inclusion| *inclusion > 0.0)
        .reduce(f64::min);
    let mut pairs = Discordant::default();
    for (sampling, inclusion, (champion, candidate)) in answers {
        let weight = match (inclusion, smallest) {
            (Some(own), Some(smallest)) => smallest / own,
            (None, None) if sampling == Sampling::Random => 1.0,
            _ => continue,
        };
        pairs.add(champion, candidate, weight);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picked_messages_weigh_the_smallest_chance_over_their_own() {
        let answers = [
            (Sampling::Random, Some(0.1), (false, true)),
            (Sampling::Uncertain, Some(0.5), (false, true)),
            (Sampling::Random, None, (true, false)),
        ];
        let pairs = discordant(answers.into_iter());
        assert_eq!((pairs.labels, pairs.discordant), (2, 2));
        assert!((pairs.balance - 1.2).abs() < 1e-12);
    }

    #[test]
    fn without_a_queue_only_messages_chosen_by_chance_count() {
        let answers = [
            (Sampling::Random, None, (true, false)),
            (Sampling::Random, None, (true, true)),
            (Sampling::Uncertain, None, (false, true)),
        ];
        assert_eq!(
            discordant(answers.into_iter()),
            Discordant::of_counts(2, 0, 1)
        );
    }
}
