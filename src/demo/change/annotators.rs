//! The annotation team: it labels some messages, some seconds after they were written.
//!
//! Before an alarm it looks at one message of twenty; an alarm asks for labels, and from then on it looks at three of five.
//! Which ones a coin decides, so the labels measure how good the model is on all messages.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::super::pump::Told;
use crate::replay::Post;

/// Share of the messages that are labelled, before an alarm and from then on.
const SHARES: (f64, f64) = (0.05, 0.6);
/// Seconds until a label is given.
const DELAY: std::ops::Range<f64> = 2.0..6.0;
const TEAM: [&str; 3] = ["ada", "ben", "cleo"];

/// A message that somebody looks at.
#[derive(Debug)]
struct Task {
    due: Instant,
    told: Told,
    annotator: &'static str,
}

/// The people who label.
#[derive(Debug)]
pub(super) struct Annotators {
    rng: ChaCha8Rng,
    alarmed: bool,
    /// In the order in which messages came; due within seconds of each other.
    tasks: VecDeque<Task>,
    given: u64,
}

impl Annotators {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            alarmed: false,
            tasks: VecDeque::new(),
            given: 0,
        }
    }

    /// Somebody asks for more labels.
    pub(super) fn alarm(&mut self) {
        self.alarmed = true;
    }

    /// Labels given so far.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// A message was sent at `now`; whether it will be labelled.
    pub(super) fn see(&mut self, told: &Told, now: Instant) -> bool {
        let share = if self.alarmed { SHARES.1 } else { SHARES.0 };
        if !self.rng.random_bool(share) {
            return false;
        }
        let delay = Duration::from_secs_f64(self.rng.random_range(DELAY));
        self.tasks.push_back(Task {
            due: now + delay,
            told: told.clone(),
            annotator: TEAM[self.rng.random_range(0..TEAM.len())],
        });
        true
    }

    /// The labels that are given by now, as records for the topic of labels.
    pub(super) fn due(&mut self, now: Instant, at: DateTime<Utc>) -> Vec<Post> {
        let mut due = Vec::new();
        self.tasks.retain(|task| {
            let is_due = task.due <= now;
            if is_due {
                due.push(record(task, at));
            }
            !is_due
        });
        self.given += due.len() as u64;
        due
    }
}

fn record(task: &Task, at: DateTime<Utc>) -> Post {
    let label = json!({
        "id": task.told.id,
        "label": task.told.mood.label(),
        "annotator": task.annotator,
        "labelled_at": at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "sampling": "random",
    });
    Post {
        key: Some(task.told.id.clone().into_bytes()),
        value: Some(label.to_string().into_bytes()),
        event_time: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::feed::{Mood, Scene};
    use super::*;

    fn told(number: usize) -> Told {
        Told {
            id: number.to_string(),
            mood: Mood::Positive,
            scene: Scene::Calm,
            near: number as u64,
        }
    }

    #[test]
    fn labels_come_late_and_an_alarm_brings_more_of_them() {
        let (mut team, now) = (Annotators::new(1), Instant::now());
        let seen = |team: &mut Annotators| (0..1_000).filter(|n| team.see(&told(*n), now)).count();
        let few = seen(&mut team);
        team.alarm();
        let many = seen(&mut team);
        assert!((20..90).contains(&few), "{few}");
        assert!((530..670).contains(&many), "{many}");
        assert_eq!(team.due(now + Duration::from_secs(1), Utc::now()), []);
        let due = team.due(now + Duration::from_secs(6), Utc::now());
        assert_eq!((due.len(), team.given()), (few + many, (few + many) as u64));
        let label: serde_json::Value =
            serde_json::from_slice(due[0].value.as_ref().unwrap()).unwrap();
        assert_eq!(label["label"], "positive");
        assert_eq!(label["sampling"], "random");
    }
}
