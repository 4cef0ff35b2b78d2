//! What happens in the built-in feed: calm days, a storm over one subject, calm again, then other languages.
//!
//! Some days of event time pass in the demo's minute, since what is normal is learnt from days.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::feed::{STAR, Scene};

/// Days of event time in a story.
const DAYS: i32 = 12;
/// How long a story takes where the demo has no end.
const LENGTH: Duration = Duration::from_secs(90);

/// When each scene begins, as a part of the whole.
const SCENES: [(f64, Scene); 4] = [
    (0.0, Scene::Calm),
    (0.5, Scene::Storm),
    (0.65, Scene::Calm),
    (0.8, Scene::Foreign),
];

/// A story that ends at the present.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Story {
    length: Duration,
    /// Event time at its end.
    end: DateTime<Utc>,
}

impl Story {
    /// A story that begins `now` and takes as long as the demo, if that has an end.
    #[must_use]
    pub fn new(now: DateTime<Utc>, length: Option<Duration>) -> Self {
        let length = length.unwrap_or(LENGTH).max(Duration::from_secs(1));
        let end = TimeDelta::from_std(length).map_or(now, |length| now + length);
        Self { length, end }
    }

    /// The scene so long after its beginning. After the story one subject after the other is on everybody's lips.
    #[must_use]
    pub fn scene(&self, elapsed: Duration) -> Scene {
        let part = self.part(elapsed);
        if part >= 1.0 {
            return Scene::Waves;
        }
        let begun = SCENES.iter().rev().find(|(from, _)| *from <= part);
        begun.map_or(Scene::Calm, |(_, scene)| *scene)
    }

    /// The event time so long after its beginning: days before the end, then the present.
    #[must_use]
    pub fn time(&self, elapsed: Duration) -> DateTime<Utc> {
        let part = self.part(elapsed);
        if part >= 1.0 {
            let after = elapsed.saturating_sub(self.length);
            return self.end + TimeDelta::from_std(after).unwrap_or_default();
        }
        let span = TimeDelta::days(i64::from(DAYS)).num_milliseconds() as f64;
        self.end - TimeDelta::milliseconds(((1.0 - part) * span) as i64)
    }

    fn part(&self, elapsed: Duration) -> f64 {
        elapsed.as_secs_f64() / self.length.as_secs_f64()
    }
}

/// What is said when a scene begins.
#[must_use]
pub fn announce(before: Option<Scene>, scene: Scene) -> String {
    match (before, scene) {
        (None, _) => format!(
            "{DAYS} days pass in this demo: calm at first, while it is learnt what is normal"
        ),
        (_, Scene::Storm) => format!("a storm breaks out over {STAR}"),
        (_, Scene::Calm) => "the storm has blown over".to_owned(),
        (_, Scene::Foreign) => "from now on most posts are in other languages".to_owned(),
        (_, Scene::Waves) => {
            "the days have passed: from now on posts are of the present".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story() -> Story {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        Story::new(now, Some(Duration::from_secs(100)))
    }

    #[test]
    fn scenes_follow_each_other_and_then_it_is_the_present() {
        let scenes =
            [0, 49, 50, 64, 65, 80, 99, 100].map(|s| story().scene(Duration::from_secs(s)));
        assert_eq!(
            scenes,
            [
                Scene::Calm,
                Scene::Calm,
                Scene::Storm,
                Scene::Storm,
                Scene::Calm,
                Scene::Foreign,
                Scene::Foreign,
                Scene::Waves
            ]
        );
    }

    #[test]
    fn event_time_runs_from_days_ago_to_the_present_and_on() {
        let story = story();
        let at = |seconds| story.time(Duration::from_secs(seconds));
        assert_eq!(at(0), story.end - TimeDelta::days(i64::from(DAYS)));
        assert_eq!(at(50), story.end - TimeDelta::days(i64::from(DAYS) / 2));
        assert_eq!(at(100), story.end);
        assert_eq!(at(130), story.end + TimeDelta::seconds(30));
    }
}
