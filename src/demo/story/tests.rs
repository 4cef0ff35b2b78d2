//! Tests of the story: its order and its times, and that it shows what it is to show.

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::super::feed::{Feed, Mood, Written};
use super::super::setting;
use super::*;
use crate::alerts::gather::{Gathering, Post};
use crate::alerts::{Book, Event, Status, position};
use crate::config::Config;
use crate::drift::reading::Fingerprint;
use crate::record::TopicPartition;
use crate::watermark::Watermark;

const LABELS: [&str; 3] = ["negative", "neutral", "positive"];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

#[test]
fn scenes_follow_each_other_by_messages_and_then_comes_what_comes_after() {
    let story = Story::of_days();
    let end = story.messages();
    assert_eq!(
        [0, 2_999, 3_000, 4_799, 4_800, 5_999, 6_000, end - 1, end].map(|sent| story.scene(sent)),
        [
            Scene::Calm,
            Scene::Calm,
            Scene::Storm,
            Scene::Storm,
            Scene::Calm,
            Scene::Calm,
            Scene::Foreign,
            Scene::Foreign,
            Scene::Waves
        ]
    );
    assert_eq!(
        [0, end - 1, end, end + 9].map(|sent| story.left(sent)),
        [end, 1, 0, 0]
    );
}

#[test]
fn event_time_runs_from_days_ago_to_the_present_and_stays_there() {
    let story = Story::of_days();
    let ago = |sent| now() - story.time(sent, now());
    assert_eq!(ago(0), TimeDelta::days(12));
    assert_eq!(ago(1_500), TimeDelta::days(9));
    assert_eq!(ago(3_000), TimeDelta::days(6));
    assert_eq!(ago(3_900), TimeDelta::hours(126));
    assert_eq!(ago(story.messages()), TimeDelta::zero());
    assert_eq!(ago(story.messages() + 50), TimeDelta::zero());
}

/// What a model as good as the default one on these posts makes of a mood: of the star's posts it calls a quarter negative on
/// calm days and rather more than a half in the storm, where people felt so in three and in eight of ten.
fn read(rng: &mut ChaCha8Rng, mood: Mood) -> usize {
    let share = if mood == Mood::Negative { 0.68 } else { 0.07 };
    if rng.random_bool(share) {
        return 0;
    }
    if mood == Mood::Positive { 2 } else { 1 }
}

/// What waits on its way at once, and is read partition by partition; and what is counted in one look.
const BACKLOG: usize = 700;
const LOOK: usize = 128;

/// A post as it is counted, with its partition.
struct Counted {
    partition: i32,
    time: i64,
    source: String,
    subject: String,
    print: u64,
    author: Option<u64>,
    label: usize,
}

/// The first messages of the story that have a text, in the order in which a backlog is read.
fn counted(seed: u64, messages: u64) -> Vec<Counted> {
    let story = Story::of_days();
    let (mut feed, mut rng) = (Feed::new(seed), ChaCha8Rng::seed_from_u64(seed));
    let mut all = Vec::new();
    for sent in 0..messages {
        feed.set_scene(story.scene(sent));
        let Written { post, mood, .. } = feed.next_written(story.time(sent, now()));
        let label = read(&mut rng, mood);
        let Some(object) = post
            .value
            .and_then(|value| serde_json::from_slice::<Value>(&value).ok())
        else {
            continue;
        };
        let said = |member: &str| object.get(member).and_then(Value::as_str);
        let Some(text) = said("text").filter(|text| !text.trim().is_empty()) else {
            continue;
        };
        let time: DateTime<Utc> = said("event_time").unwrap().parse().unwrap();
        // A time that is yet to come counts as the present, which is the end of the story.
        assert!(time <= story.time(sent, now()), "{object}");
        let id = Fingerprint::of(said("id").unwrap_or_default()).exact;
        all.push(Counted {
            partition: (id % 4) as i32,
            time: time.timestamp_millis(),
            source: said("source").unwrap_or_default().to_owned(),
            subject: said("subject").unwrap_or_default().to_owned(),
            print: Fingerprint::of(text).near,
            author: said("author").map(|author| Fingerprint::of(author).exact),
            label,
        });
    }
    for backlog in all.chunks_mut(BACKLOG) {
        backlog.sort_by_key(|post| post.partition);
    }
    all
}

/// What the watch over sentiment says of the story, of whose messages so many are sent.
fn watched(seed: u64, messages: u64) -> Vec<Event> {
    let mut config = Config::load(None).unwrap();
    setting::shorten(&mut config);
    let labels: Vec<Arc<str>> = LABELS.map(Arc::from).to_vec();
    let mut book = Book::new(&config.alerts, &labels).unwrap();
    let windows = config.drift.windows();
    let mut gathering = Gathering::new(
        config.alerts.levels(),
        LABELS.len(),
        config.alerts.step(),
        Watermark::new(windows.lateness, windows.idle),
    );
    let partitions = [0, 1, 2, 3].map(|partition| TopicPartition {
        topic: Arc::from("posts"),
        partition,
    });
    for partition in &partitions {
        gathering.expect(partition, 0);
    }
    let (mut events, mut begun) = (Vec::new(), false);
    for look in counted(seed, messages).chunks(LOOK) {
        for post in look {
            let counted = Post {
                time: post.time,
                source: &post.source,
                subject: &post.subject,
                print: post.print,
                author: post.author,
                label: post.label,
                score: position(post.label, LABELS.len()),
            };
            gathering.push(&partitions[post.partition as usize], counted, 0);
        }
        begun |= gathering.begins(0).is_some();
        if begun {
            for cell in gathering.close(0) {
                events.extend(book.observe(&cell));
            }
        }
    }
    events
}

fn of_star(events: &[Event], status: Status) -> usize {
    let of =
        |event: &&Event| event.status == status && event.alert.key.subject.as_deref() == Some(STAR);
    events.iter().filter(of).count()
}

#[test]
fn the_story_opens_an_alert_over_its_star_and_resolves_it_whatever_the_seed() {
    for seed in 1..=12 {
        let events = watched(seed, Story::of_days().messages());
        let (opened, resolved) = (
            of_star(&events, Status::Opened),
            of_star(&events, Status::Resolved),
        );
        assert!(opened > 0 && resolved > 0, "seed {seed}: {events:#?}");
    }
}

#[test]
fn before_the_storm_there_is_no_alert() {
    for seed in 1..=12 {
        assert_eq!(watched(seed, 3_000), [], "seed {seed}");
    }
}
