//! What happens in the built-in feed: calm days, a storm over one subject, calm again, then other languages.
//!
//! The story goes by messages, not by seconds, so that it is the same on a slow machine and on a fast one. Days of event time
//! pass in it, since what is normal is learnt from days.

use chrono::{DateTime, TimeDelta, Utc};

use super::feed::{STAR, Scene};

/// A part of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chapter {
    scene: Scene,
    /// How many messages it takes.
    messages: u64,
    /// How much event time passes in it.
    hours: i64,
}

/// What the rule of `[alerts]` needs decides the first three: a normal needs three full days that are over for a day; a change
/// needs 50 distinct texts within 24 hours, of which the star subject has 200; an end needs 50 texts within some hours.
/// The last holds five of the demo's windows.
const DAYS: [Chapter; 4] = [
    Chapter {
        scene: Scene::Calm,
        messages: 3_000,
        hours: 144,
    },
    Chapter {
        scene: Scene::Storm,
        messages: 1_800,
        hours: 36,
    },
    Chapter {
        scene: Scene::Calm,
        messages: 1_200,
        hours: 36,
    },
    Chapter {
        scene: Scene::Foreign,
        messages: 1_500,
        hours: 72,
    },
];

/// The feed before it changes: enough for some windows and to measure the model.
const CHANGE: [Chapter; 1] = [Chapter {
    scene: Scene::Calm,
    messages: 1_600,
    hours: 0,
}];

/// A story, told by the number of messages sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Story {
    chapters: &'static [Chapter],
    /// What goes on when it is told.
    after: Scene,
}

impl Story {
    /// An alert that opens and resolves, and a drift alarm, in twelve days.
    #[must_use]
    pub fn of_days() -> Self {
        Self {
            chapters: &DAYS,
            after: Scene::Waves,
        }
    }

    /// A feed that speaks otherwise from some message on, in the present.
    #[must_use]
    pub fn of_change() -> Self {
        Self {
            chapters: &CHANGE,
            after: Scene::Slang,
        }
    }

    /// How many messages it takes to tell it.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.chapters.iter().map(|chapter| chapter.messages).sum()
    }

    /// How many messages of it are left when so many were sent.
    #[must_use]
    pub fn left(&self, sent: u64) -> u64 {
        self.messages().saturating_sub(sent)
    }

    /// The scene of the message that so many were sent before.
    #[must_use]
    pub fn scene(&self, sent: u64) -> Scene {
        let mut left = sent;
        for chapter in self.chapters {
            if left < chapter.messages {
                return chapter.scene;
            }
            left -= chapter.messages;
        }
        self.after
    }

    /// The event time of the message that so many were sent before: what is left of the story before `now`, and after the
    /// story the present.
    #[must_use]
    pub fn time(&self, sent: u64, now: DateTime<Utc>) -> DateTime<Utc> {
        let mut left = sent;
        let mut ahead = 0.0;
        for chapter in self.chapters {
            let told = left.min(chapter.messages);
            left -= told;
            ahead += (chapter.messages - told) as f64 / chapter.messages as f64
                * TimeDelta::hours(chapter.hours).num_milliseconds() as f64;
        }
        now - TimeDelta::milliseconds(ahead as i64)
    }

    /// What is said when a scene begins.
    #[must_use]
    pub fn announce(&self, before: Option<Scene>, scene: Scene) -> String {
        match (before, scene) {
            (None, _) => {
                let hours: i64 = self.chapters.iter().map(|chapter| chapter.hours).sum();
                if hours == 0 {
                    return "posts are as the model knows them".to_owned();
                }
                format!(
                    "{} days pass in this demo: calm at first, while it is learnt what is normal",
                    hours / 24
                )
            }
            (_, Scene::Storm) => format!("a storm breaks out over {STAR}"),
            (_, Scene::Calm) => "the storm has blown over".to_owned(),
            (_, Scene::Foreign) => "from now on most posts are in other languages".to_owned(),
            (_, Scene::Slang) => {
                "from now on most posts are in slang, and more of them are angry".to_owned()
            }
            (_, Scene::Waves) => {
                "the days have passed: from now on posts are of the present".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests;
