//! The built-in feed: posts and reviews made from templates and word lists, faults included.
//!
//! It is varied enough to look at and to trip over (sources, subjects, languages, emoji, links, moods that drift, broken
//! messages), and the same seed gives the same posts. It says nothing about a model's accuracy.

mod faults;
mod languages;
mod phrases;
mod slang;
mod subjects;
mod text;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::replay::{Post, PostFields};
use faults::{FAULTS, spoil};
use languages::LANGUAGES;
pub use phrases::Mood;
use subjects::SUBJECTS;
use text::{Source, english, foreign};

/// Posts between two changes of what everybody talks about.
const WAVE: u64 = 3_000;
const FOREIGN_SHARE: f64 = 0.08;
/// The same in the scene of other languages.
const MOSTLY_FOREIGN: f64 = 0.6;
/// The part of the posts that is in slang, in its scene.
const SLANG_SHARE: f64 = 0.85;
/// How many of a hundred posts are negative, neutral and positive, otherwise and in the scene of slang.
const MOODS: [u32; 3] = [30, 35, 35];
const ANGRIER: [u32; 3] = [45, 25, 30];
/// The subject that the story is about: its place among [`SUBJECTS`], and its name.
const STAR_SUBJECT: usize = 0;
pub(super) const STAR: &str = SUBJECTS[STAR_SUBJECT].name;
/// Its share of the posts on a calm day, and in the storm.
const STAR_SHARES: (f64, f64) = (0.12, 0.2);
/// Regulars write most posts, so that authors recur.
const AUTHORS: u32 = 4_000;

/// What goes on in the feed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scene {
    /// One subject after the other is on everybody's lips.
    #[default]
    Waves,
    /// Every day is like the others.
    Calm,
    /// People are angry about one subject.
    Storm,
    /// Most posts are in other languages.
    Foreign,
    /// Most posts are in slang, and more of them are angry.
    Slang,
}

/// An endless feed.
#[derive(Debug)]
pub struct Feed {
    rng: ChaCha8Rng,
    count: u64,
    wave: Wave,
    scene: Scene,
}

/// A post, and what only its author knows if it comes out broken.
#[derive(Debug)]
pub(super) struct Written {
    pub post: Post,
    pub id: String,
    pub text: String,
    pub mood: Mood,
}

/// For a while one subject is on everybody's lips, and mostly in one mood.
#[derive(Debug, Clone, Copy)]
struct Wave {
    subject: usize,
    mood: Mood,
}

/// What the storm is.
const STAR_STORM: Wave = Wave {
    subject: STAR_SUBJECT,
    mood: Mood::Negative,
};

impl Feed {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let wave = Wave::roll(&mut rng);
        Self {
            rng,
            count: 0,
            wave,
            scene: Scene::default(),
        }
    }

    /// What goes on from now on.
    pub fn set_scene(&mut self, scene: Scene) {
        self.scene = scene;
    }

    /// The next post, written at about `now`. The same seed and the same times give the same posts.
    pub fn next_post(&mut self, now: DateTime<Utc>) -> Post {
        self.next_written(now).post
    }

    /// The next post, with what its author wrote and feels.
    pub(super) fn next_written(&mut self, now: DateTime<Utc>) -> Written {
        if self.count > 0 && self.count.is_multiple_of(WAVE) {
            self.wave = Wave::roll(&mut self.rng);
        }
        self.count += 1;
        let (post, mood) = self.sound_post(now);
        let (id, text) = (post.id.clone().unwrap_or_default(), post.text.clone());
        let fault = self.fault();
        let post = match fault {
            None => Post::from(post),
            Some(fault) => {
                let event_time = post.event_time;
                let key = post.id.clone().map(String::into_bytes);
                // A time that is yet to come counts as the present, and in a story of days that is its end: all that follows
                // would be late.
                let past = self.scene != Scene::Waves;
                Post {
                    key,
                    value: spoil(&mut self.rng, fault, post, past),
                    event_time,
                }
            }
        };
        Written {
            post,
            id,
            text,
            mood,
        }
    }

    fn sound_post(&mut self, now: DateTime<Utc>) -> (PostFields, Mood) {
        let rng = &mut self.rng;
        let source = weighted(rng, &Source::ALL);
        let (subject, mood) = topic(rng, self.scene, self.wave);
        let subject = &SUBJECTS[subject];
        let foreign_share = if self.scene == Scene::Foreign {
            MOSTLY_FOREIGN
        } else {
            FOREIGN_SHARE
        };
        let (language, text) = if self.scene == Scene::Slang && rng.random_bool(SLANG_SHARE) {
            ("en", text::slang(rng, mood, subject))
        } else if rng.random_bool(foreign_share) {
            let language = LANGUAGES.choose(rng).expect("there are languages");
            (language.tag, foreign(rng, language, mood, subject))
        } else {
            ("en", english(rng, source, mood, subject))
        };
        // Squaring favours low numbers: few authors write much.
        let author = (rng.random::<f64>().powi(2) * f64::from(AUTHORS)) as u32;
        let fields = PostFields {
            id: Some(format!("{}-{:08}", source.name(), self.count)),
            text,
            author: Some(format!("user{author:04}")),
            source: Some(source.name().to_owned()),
            subject: Some(subject.name.to_owned()),
            // Not every feed knows the language.
            language: rng.random_bool(0.8).then(|| language.to_owned()),
            label: None,
            event_time: Some(now - lateness(rng)),
        };
        (fields, mood)
    }

    fn fault(&mut self) -> Option<faults::Fault> {
        let mut roll = self.rng.random_range(0..10_000);
        for (fault, share) in FAULTS {
            if roll < share {
                return Some(fault);
            }
            roll -= share;
        }
        None
    }
}

impl Wave {
    fn roll(rng: &mut ChaCha8Rng) -> Self {
        Self {
            subject: rng.random_range(0..SUBJECTS.len()),
            mood: weighted(rng, &[(Mood::Negative, 3), (Mood::Positive, 2)]),
        }
    }
}

/// What a post is about, and in which mood.
fn topic(rng: &mut ChaCha8Rng, scene: Scene, wave: Wave) -> (usize, Mood) {
    let (share, loud, angry) = match scene {
        Scene::Waves => (0.25, wave, 0.8),
        Scene::Calm | Scene::Foreign | Scene::Slang => (STAR_SHARES.0, STAR_STORM, 0.0),
        Scene::Storm => (STAR_SHARES.1, STAR_STORM, 0.9),
    };
    let is_loud = rng.random_bool(share);
    let subject = if is_loud {
        loud.subject
    } else {
        rng.random_range(0..SUBJECTS.len())
    };
    let mood = if is_loud && rng.random_bool(angry) {
        loud.mood
    } else {
        let [negative, neutral, positive] = if scene == Scene::Slang {
            ANGRIER
        } else {
            MOODS
        };
        weighted(
            rng,
            &[
                (Mood::Negative, negative),
                (Mood::Neutral, neutral),
                (Mood::Positive, positive),
            ],
        )
    };
    (subject, mood)
}

/// How long before its arrival a post was written: mostly a moment, sometimes minutes.
fn lateness(rng: &mut ChaCha8Rng) -> TimeDelta {
    let most = if rng.random_bool(0.05) {
        600_000
    } else {
        3_000
    };
    TimeDelta::milliseconds(rng.random_range(0..most))
}

/// Takes one of a list, each as likely as its weight says.
fn weighted<T: Copy>(rng: &mut ChaCha8Rng, choices: &[(T, u32)]) -> T {
    choices
        .choose_weighted(rng, |(_, weight)| *weight)
        .expect("the weights are positive")
        .0
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use serde_json::Value;

    use super::*;

    fn posts(seed: u64, count: usize) -> Vec<Post> {
        let mut feed = Feed::new(seed);
        let start = DateTime::from_timestamp(1_700_000_000, 0).expect("a time of this century");
        (0..count)
            .map(|i| feed.next_post(start + TimeDelta::milliseconds(i as i64)))
            .collect()
    }

    fn objects(posts: &[Post]) -> Vec<Value> {
        posts
            .iter()
            .filter_map(|post| serde_json::from_slice(post.value.as_deref()?).ok())
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_posts_and_another_seed_others() {
        assert_eq!(posts(7, 500), posts(7, 500));
        assert_ne!(posts(7, 500), posts(8, 500));
    }

    #[test]
    fn a_few_thousand_posts_hold_every_source_subject_language_and_fault() {
        let posts = posts(1, 20_000);
        let objects = objects(&posts);
        let distinct = |member: &str| {
            let values = objects
                .iter()
                .filter_map(|object| object.get(member)?.as_str());
            values.map(str::to_owned).collect::<HashSet<_>>()
        };
        assert_eq!(distinct("source").len(), Source::ALL.len());
        assert_eq!(distinct("subject").len(), SUBJECTS.len());
        assert_eq!(distinct("language").len(), LANGUAGES.len() + 1);
        assert!(distinct("author").len() > 2_000);
        let texts = distinct("text");
        assert!(texts.len() > 9_000, "only {} different texts", texts.len());
        for needle in ["https://", "#", "@", "😡", "🎉", "\u{0}", "★"] {
            assert!(
                texts.iter().any(|text| text.contains(needle)),
                "no text has {needle:?}"
            );
        }
        assert!(
            texts.iter().any(|text| text.len() > 10_000),
            "no text is very long"
        );

        let tombstones = posts.iter().filter(|post| post.value.is_none()).count();
        let broken = posts
            .iter()
            .filter(|post| {
                post.value
                    .as_deref()
                    .is_some_and(|v| std::str::from_utf8(v).is_err())
            })
            .count();
        let not_json = posts.iter().filter(|post| post.value.is_some()).count() - objects.len();
        let no_text = objects
            .iter()
            .filter(|object| {
                object
                    .get("text")
                    .and_then(Value::as_str)
                    .is_none_or(|t| t.trim().is_empty())
            })
            .count();
        for (what, count) in [
            ("tombstone", tombstones),
            ("broken UTF-8", broken),
            ("not JSON", not_json),
            ("no text", no_text),
        ] {
            assert!((20..600).contains(&count), "{count} of 20,000 are {what}");
        }
    }

    #[test]
    fn event_times_are_near_the_present_but_for_a_few_wild_ones() {
        let posts = posts(3, 5_000);
        let wild = posts
            .iter()
            .zip(objects(&posts).iter())
            .filter_map(|(_, object)| object["event_time"].as_str().map(str::to_owned))
            .filter(|time| !time.starts_with("2023-11-14"))
            .count();
        assert!((1..50).contains(&wild), "{wild} wild times");
    }

    #[test]
    fn a_storm_is_about_one_subject_and_angry_and_calm_is_neither() {
        let star = |scene: Scene| {
            let mut feed = Feed::new(9);
            feed.set_scene(scene);
            let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
            let posts: Vec<Post> = (0..4_000).map(|_| feed.next_post(now)).collect();
            let about = |object: &Value| object["subject"] == STAR;
            objects(&posts).iter().filter(|o| about(o)).count()
        };
        let (calm, storm) = (star(Scene::Calm), star(Scene::Storm));
        assert!((450..800).contains(&calm), "{calm} of 4,000");
        assert!(storm > calm * 5 / 4, "{storm} after {calm}");
    }

    #[test]
    fn a_wave_makes_one_subject_stand_out() {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for object in objects(&posts(5, WAVE as usize)) {
            if let Some(subject) = object["subject"].as_str() {
                *counts.entry(subject.to_owned()).or_default() += 1;
            }
        }
        let most = counts.values().max().copied().unwrap_or_default();
        let rest = WAVE as usize - most;
        assert!(
            most > rest / (SUBJECTS.len() - 1) * 3,
            "the loudest subject has {most} of {WAVE}"
        );
    }

    #[test]
    fn in_the_scene_of_slang_most_posts_are_new_and_more_of_them_are_angry() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let written = |scene: Scene| -> Vec<Written> {
            let mut feed = Feed::new(11);
            feed.set_scene(scene);
            (0..3_000).map(|_| feed.next_written(now)).collect()
        };
        let (calm, slang) = (written(Scene::Calm), written(Scene::Slang));
        let angry = |posts: &[Written]| {
            let negative = posts.iter().filter(|post| post.mood == Mood::Negative);
            negative.count()
        };
        assert!(angry(&slang) > angry(&calm) * 5 / 4);
        let texts: HashSet<&str> = slang.iter().map(|post| &*post.text).collect();
        assert!(texts.len() > 2_700, "only {} different texts", texts.len());
    }
}
