//! Made-up scored messages whose truth is known, for tests and for the study of the estimates.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::annotate::config::AnnotateConfig;
use crate::annotate::estimate::Labelled;
use crate::annotate::pick::{Candidate, Pick};
use crate::annotate::queue::Queue;
use crate::drift::reading::Fingerprint;
use crate::labels::Sampling;
use crate::record::Origin;

/// Classes of a made-up message.
pub const CLASSES: usize = 3;

/// A scored message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Made {
    pub truth: usize,
    pub predicted: usize,
    /// Of the two likeliest answers.
    pub margin: f64,
    pub author: u64,
}

/// Messages of three classes (20, 50 and 30 %). The model is sure of most: it errs with a chance of 0.55 where it is not
/// sure at all and of 0.02 where it is quite sure, and takes the first class for the second more often than others.
pub fn messages(count: usize, seed: u64) -> Vec<Made> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let message = |_| {
        let truth = match rng.random::<f64>() {
            u if u < 0.2 => 0,
            u if u < 0.7 => 1,
            _ => 2,
        };
        // Most margins are near 1, and the first class has smaller ones.
        let power = if truth == 0 { 0.8 } else { 0.45 };
        let margin = rng.random::<f64>().powf(power);
        let wrong = rng.random_bool(0.55 - 0.53 * margin);
        let predicted = match (truth, wrong) {
            (_, false) => truth,
            (0, true) => 1 + usize::from(rng.random_bool(0.2)),
            (1, true) => 2 * usize::from(rng.random_bool(0.6)),
            _ => usize::from(rng.random_bool(0.8)),
        };
        Made {
            truth,
            predicted,
            margin,
            author: rng.random_range(0..count as u64 / 4 + 1),
        }
    };
    (0..count).map(message).collect()
}

/// The share of right answers.
pub fn accuracy(messages: &[Made]) -> f64 {
    let right = messages
        .iter()
        .filter(|made| made.truth == made.predicted)
        .count();
    right as f64 / messages.len() as f64
}

/// The recall of each class, averaged.
pub fn macro_recall(messages: &[Made]) -> f64 {
    let recall = |class| {
        let of_class: Vec<Made> = messages
            .iter()
            .copied()
            .filter(|made| made.truth == class)
            .collect();
        accuracy(&of_class)
    };
    (0..CLASSES).map(recall).sum::<f64>() / CLASSES as f64
}

/// Where a made-up message stands.
pub fn origin(number: usize) -> Origin {
    Origin {
        topic: "posts".into(),
        partition: 0,
        offset: number as i64,
    }
}

/// What is picked of the messages with these settings, a random slice of `random` and `uncertain` others.
pub fn picked(
    messages: &[Made],
    config: &AnnotateConfig,
    random: f64,
    uncertain: u32,
) -> Vec<Pick> {
    let mut queue = Queue::new(config.clone(), uncertain);
    for (number, made) in messages.iter().enumerate() {
        let origin = origin(number);
        let candidate = Candidate {
            origin: &origin,
            print: Fingerprint {
                exact: number as u64,
                near: number as u64,
            },
            author: Some(made.author),
            words: 10,
            language: None,
            margin: made.margin,
        };
        queue
            .offer(&candidate, random)
            .expect("the period has room");
    }
    queue.close(0)
}

/// The labels of what was picked; `all`, or those of the random slice with the probability of that alone.
pub fn labelled(messages: &[Made], picks: &[Pick], all: bool) -> Vec<Labelled> {
    let wanted = picks
        .iter()
        .filter(|pick| all || pick.sampling == Sampling::Random);
    let label = |pick: &Pick| {
        let made = messages[pick.origin.offset as usize];
        Labelled {
            truth: made.truth,
            predicted: made.predicted,
            inclusion: if all {
                pick.chance.inclusion()
            } else {
                pick.chance.random
            },
        }
    };
    wanted.map(label).collect()
}
