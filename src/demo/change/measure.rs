//! How often the served model was right, before the change, after it, and once another model serves.
//!
//! The demo knows what each author felt. A text that a model was trained on, or one like it, measures nothing and is left out.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::super::feed::{Mood, Scene};
use super::super::pump::Told;
use super::super::reader::Scored;

/// A stretch of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Posts as the first model knows them.
    Before,
    /// Posts in the new way of speaking, and still the first model.
    Drifted,
    /// Posts in the new way of speaking that were sent after the promotion, and the model that was promoted.
    After,
}

/// How many texts were measured, and the recall of each label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Recalls {
    pub messages: u64,
    /// Negative, neutral, positive; none where no author felt so.
    pub recalls: [Option<f64>; 3],
}

impl Recalls {
    /// The mean of the recalls; none where a label has none.
    #[must_use]
    pub fn macro_recall(&self) -> Option<f64> {
        let recalls: Option<Vec<f64>> = self.recalls.into_iter().collect();
        let recalls = recalls?;
        Some(recalls.iter().sum::<f64>() / recalls.len() as f64)
    }
}

/// Right answers and all, by label.
type Counts = [(u64, u64); 3];

/// A post that was sent and not yet scored.
#[derive(Debug, Clone, Copy)]
struct Sent {
    mood: Mood,
    scene: Scene,
    near: u64,
    /// Whether another model was promoted before it was sent.
    late: bool,
}

/// Counts answers as they come.
#[derive(Debug)]
pub(super) struct Measure {
    /// The version of the first model.
    first: String,
    /// The version that was promoted after it.
    promoted: Option<String>,
    waiting: HashMap<String, Sent>,
    /// Texts that the first model was trained on.
    known: HashSet<u64>,
    /// Texts that people have labelled since.
    labelled: HashSet<u64>,
    counts: [Counts; 3],
}

impl Measure {
    pub(super) fn new(first: String, known: HashSet<u64>) -> Self {
        Self {
            first,
            promoted: None,
            waiting: HashMap::new(),
            known,
            labelled: HashSet::new(),
            counts: <[Counts; 3]>::default(),
        }
    }

    /// From now on this model serves.
    pub(super) fn promote(&mut self, version: &str) {
        self.promoted = Some(version.to_owned());
    }

    /// A post was sent.
    pub(super) fn sent(&mut self, told: &Told) {
        let sent = Sent {
            mood: told.mood,
            scene: told.scene,
            near: told.near,
            late: self.promoted.is_some(),
        };
        self.waiting.insert(told.id.clone(), sent);
    }

    /// Its text was given to people to label.
    pub(super) fn labelled(&mut self, near: u64) {
        self.labelled.insert(near);
    }

    /// A model has answered.
    pub(super) fn scored(&mut self, scored: &Scored) {
        let Some(sent) = scored.id.as_ref().and_then(|id| self.waiting.remove(id)) else {
            return;
        };
        let Some(phase) = self.phase(&sent, &scored.model) else {
            return;
        };
        let is_known = self.known.contains(&sent.near);
        if is_known || (phase == Phase::After && self.labelled.contains(&sent.near)) {
            return;
        }
        let truth = Mood::ALL.iter().position(|mood| *mood == sent.mood);
        if let Some(truth) = truth {
            let count = &mut self.counts[phase as usize][truth];
            count.0 += u64::from(scored.label == sent.mood.label());
            count.1 += 1;
        }
    }

    fn phase(&self, sent: &Sent, model: &str) -> Option<Phase> {
        let is_first = model == self.first;
        match sent.scene {
            Scene::Slang if is_first => Some(Phase::Drifted),
            Scene::Slang if sent.late && self.promoted.as_deref() == Some(model) => {
                Some(Phase::After)
            }
            Scene::Calm if is_first => Some(Phase::Before),
            _ => None,
        }
    }

    /// What was measured in a phase so far.
    pub(super) fn of(&self, phase: Phase) -> Recalls {
        let counts = self.counts[phase as usize];
        Recalls {
            messages: counts.iter().map(|(_, all)| all).sum(),
            recalls: counts.map(|(right, all)| (all > 0).then(|| right as f64 / all as f64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: &str, mood: Mood, scene: Scene, near: u64) -> Told {
        Told {
            id: id.into(),
            mood,
            scene,
            near,
        }
    }

    fn scored(id: &str, label: &str, model: &str) -> Scored {
        Scored {
            id: Some(id.into()),
            label: label.into(),
            model: model.into(),
        }
    }

    #[test]
    fn answers_count_in_the_phase_of_their_post_and_their_model() {
        let mut measure = Measure::new("one".into(), HashSet::new());
        let posts = [("a", Scene::Calm), ("b", Scene::Slang), ("c", Scene::Slang)];
        for (near, (id, scene)) in posts.into_iter().enumerate() {
            measure.sent(&told(id, Mood::Negative, scene, near as u64));
        }
        measure.scored(&scored("a", "negative", "one"));
        measure.scored(&scored("b", "positive", "one"));
        // A post that the canary has answered belongs to no phase.
        measure.scored(&scored("c", "negative", "two"));
        measure.promote("two");
        measure.sent(&told("d", Mood::Negative, Scene::Slang, 9));
        measure.scored(&scored("d", "negative", "two"));
        let of = |phase| (measure.of(phase).messages, measure.of(phase).recalls[0]);
        assert_eq!(of(Phase::Before), (1, Some(1.0)));
        assert_eq!(of(Phase::Drifted), (1, Some(0.0)));
        assert_eq!(of(Phase::After), (1, Some(1.0)));
        assert_eq!(measure.of(Phase::After).macro_recall(), None);
    }

    #[test]
    fn texts_that_a_model_was_trained_on_are_left_out() {
        let mut measure = Measure::new("one".into(), HashSet::from([1]));
        measure.sent(&told("a", Mood::Neutral, Scene::Calm, 1));
        measure.scored(&scored("a", "neutral", "one"));
        measure.labelled(2);
        measure.promote("two");
        measure.sent(&told("b", Mood::Neutral, Scene::Slang, 2));
        measure.scored(&scored("b", "neutral", "two"));
        assert_eq!(measure.of(Phase::Before).messages, 0);
        assert_eq!(measure.of(Phase::After).messages, 0);
    }

    #[test]
    fn macro_recall_is_the_mean_of_the_recalls() {
        let recalls = Recalls {
            messages: 9,
            recalls: [Some(0.5), Some(1.0), Some(0.0)],
        };
        assert_eq!(recalls.macro_recall(), Some(0.5));
    }
}
