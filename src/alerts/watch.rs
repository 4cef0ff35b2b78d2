//! The life of a rule's alerts on one series: one is opened for a change, told of, and resolved.

use super::alert::{Event, Resolution, Status};
use super::config::Direction;
use super::hours::Hour;
use super::normal::Normal;
use super::open::Open;
use super::scan::{Found, Sought, Sums, retreat, scan};
use super::settings::Watched;

/// Milliseconds in an hour.
pub(super) const HOUR: i64 = 3_600_000;
/// A change that has lasted for so long is the new normal.
const NEW_NORMAL: i64 = 7 * 24 * HOUR;
/// A series of which nothing was heard for so long is silent, and its alert over.
const SILENCE: i64 = 24 * HOUR;
/// Hours for which the share must have been back near normal, at least.
const CALM_HOURS: i64 = 6;
/// How much likelier the last hours must be under the normal share than under the changed one before an alert is over: e^3.
const CALM: f64 = 3.0;
/// An alert that nothing else is to be said of is told of again after so long.
const REMINDER: i64 = 24 * HOUR;

/// State of a rule on a series, stored as it is.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Watch {
    /// The rule's name.
    #[prost(string, tag = "1")]
    pub rule: String,
    #[prost(message, optional, tag = "2")]
    pub open: Option<Open>,
    /// Hours (from, and before) whose counts were changed, and which are not learnt from.
    #[prost(sint64, optional, tag = "3")]
    changed_from: Option<i64>,
    #[prost(sint64, tag = "4")]
    changed_before: i64,
    /// When the last alert was over.
    #[prost(sint64, optional, tag = "5")]
    ended: Option<i64>,
    /// What the rule looked at when the alert began: an alert of another share is not this rule's any more.
    #[prost(uint32, tag = "6")]
    target: u32,
    #[prost(string, tag = "7")]
    direction: String,
}

/// What a step needs to know of rule and series.
pub(super) struct Scene<'a> {
    pub sought: &'a Sought,
    pub cooldown_hours: u32,
    /// Whether nobody is to be told anything now.
    pub quiet: bool,
    /// Event time of the series' latest cell, or later.
    pub now: i64,
    /// Milliseconds that local time is ahead.
    pub offset: i64,
    pub hours: &'a [Hour],
    /// Mean score of the series so far.
    pub score: f64,
}

impl Watch {
    pub fn new(watched: &Watched) -> Self {
        Self {
            rule: watched.rule.name.clone(),
            target: watched.target,
            direction: watched.rule.direction.as_str().to_owned(),
            ..Self::default()
        }
    }

    /// Whether it is of this rule, as it is now.
    pub fn is_of(&self, watched: &Watched) -> bool {
        self.rule == watched.rule.name
            && self.target == watched.target
            && self.direction == watched.rule.direction.as_str()
    }

    /// Whether an hour is part of a change, so that normal is not learnt from it.
    pub fn changed(&self, hour: i64) -> bool {
        self.open.as_ref().is_some_and(|open| hour >= open.since)
            || self
                .changed_from
                .is_some_and(|from| (from..self.changed_before).contains(&hour))
    }

    /// Ends the alert of a series last heard at `latest`, if that was long ago.
    pub fn silence(&mut self, latest: i64, now: i64) {
        if let Some(open) = self.open.as_mut().filter(|open| open.ended.is_none())
            && now.saturating_sub(latest) >= SILENCE
        {
            open.end(latest.saturating_add(SILENCE), Resolution::Silent);
        }
    }

    /// Takes in the counts that were added to an hour.
    pub fn step(&mut self, scene: &Scene<'_>, normal: &mut Normal, added: &Hour) {
        let Some(open) = &mut self.open else {
            self.look(scene, normal);
            return;
        };
        if open.ended.is_some() {
            return;
        }
        if added.index >= open.since {
            open.add(normal, added);
        }
        let lasted = scene
            .now
            .saturating_sub(open.since.saturating_mul(HOUR).saturating_sub(scene.offset));
        if calm(open, scene, normal) {
            open.end(scene.now, Resolution::Normal);
        } else if lasted >= NEW_NORMAL {
            let mut sums = Sums::default();
            for hour in scene.hours.iter().filter(|hour| hour.index >= open.since) {
                let (texts, hits) = hour.share(normal.target);
                sums.add(normal, hour.index, texts, hits);
            }
            normal.rebase(&sums);
            open.end(scene.now, Resolution::NewNormal);
        }
    }

    /// Looks for a change, unless it is too soon after the last.
    fn look(&mut self, scene: &Scene<'_>, normal: &Normal) {
        let pause = i64::from(scene.cooldown_hours) * HOUR;
        if self
            .ended
            .is_some_and(|ended| scene.now < ended.saturating_add(pause))
        {
            return;
        }
        if let Some(Found { since, direction }) =
            scan(scene.hours, normal, scene.sought, self.from(scene.offset)).found
        {
            let mut open = Open {
                rising: direction == Direction::Rise,
                since,
                opened: scene.now,
                normal_score: scene.score,
                ..Open::default()
            };
            for hour in scene.hours.iter().filter(|hour| hour.index >= since) {
                open.add(normal, hour);
            }
            self.open = Some(open);
        }
    }

    /// The first hour in which a change may begin: what was before belongs to the last alert.
    pub fn from(&self, offset: i64) -> i64 {
        self.ended.map_or(i64::MIN, |ended| {
            ended.saturating_add(offset).div_euclid(HOUR)
        })
    }

    /// What is to be told now, if anything; `keep` is for how many hours counts are kept. An alert that began and ended while
    /// nobody was to be told is never told of.
    pub fn tell(
        &mut self,
        scene: &Scene<'_>,
        keep: i64,
        event: impl Fn(Status, &Open) -> Event,
    ) -> Option<Event> {
        let open = self.open.as_mut()?;
        let status = match (open.told, open.ended) {
            (None, Some(_)) => {
                self.close(scene, keep);
                return None;
            }
            _ if scene.quiet => return None,
            (None, None) => Status::Opened,
            (Some(_), Some(_)) => Status::Resolved,
            (Some(told), None) => {
                let moved = (open.share() - open.told_share).abs() >= scene.sought.min_change / 2.0;
                if scene.now.saturating_sub(told) < if moved { HOUR } else { REMINDER } {
                    return None;
                }
                Status::Updated
            }
        };
        open.told = Some(scene.now);
        open.told_share = open.share();
        let told = event(status, open);
        if status == Status::Resolved {
            self.close(scene, keep);
        }
        Some(told)
    }

    /// Frees the place for the next alert and remembers which hours this one was about, until they are gone.
    pub fn close(&mut self, scene: &Scene<'_>, keep: i64) {
        let Some(open) = self.open.take() else {
            return;
        };
        let ended = open.ended.unwrap_or(scene.now);
        let hour = ended.saturating_add(scene.offset).div_euclid(HOUR);
        let still = self
            .changed_from
            .filter(|_| self.changed_before > hour.saturating_sub(keep));
        self.changed_from = Some(still.unwrap_or(open.since));
        self.changed_before = hour;
        self.ended = Some(ended);
    }
}

/// Whether the share has come back: over enough of the last hours it is off by less than half of the least change, and the
/// counts are so much likelier under the normal than under the changed share that it is no chance.
fn calm(open: &Open, scene: &Scene<'_>, normal: &Normal) -> bool {
    let direction = if open.rising {
        Direction::Rise
    } else {
        Direction::Fall
    };
    let change = (open.share() - open.normal())
        .abs()
        .max(scene.sought.min_change);
    retreat(
        scene.hours,
        normal,
        direction,
        change,
        open.since,
        |hours, sums, evidence| {
            let away =
                (sums.hits - sums.expected) / sums.texts * if open.rising { 1.0 } else { -1.0 };
            hours >= CALM_HOURS
                && sums.texts >= scene.sought.min_texts
                && away < scene.sought.min_change / 2.0
                && evidence >= CALM
        },
    )
}
