//! Which readings belong to which window.
//!
//! Messages of several partitions, read by several instances, arrive in an order that says little. So they wait until a
//! watermark has passed them, and leave in the order of their event times. Equal times go by topic,
//! partition and offset, so the windows of a stream do not depend on who has read which part of it. What comes later than the
//! watermark is not lost: it belongs to the window that is open then.

use std::collections::BTreeMap;

use super::reading::Reading;
use crate::record::{Origin, TopicPartition};
use crate::watermark::Watermark;

/// Readings that wait at most; beyond, the earliest leave whatever the watermark says.
const MOST_PENDING: usize = 200_000;

/// When a window ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSettings {
    /// At so many messages.
    pub messages: usize,
    /// And where a multiple of so many milliseconds of event time begins.
    pub time: Option<i64>,
    /// How far behind the latest of its partition a message may be and still be counted in its place, in milliseconds.
    pub lateness: i64,
    /// A partition that has been silent for so many milliseconds holds up no other.
    pub idle: i64,
}

/// A window that is closed.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Counts the windows of a model, from 0.
    pub number: u64,
    /// The earliest and the latest event time in it, in milliseconds since 1970: of the messages that came in time, unless all
    /// came late.
    pub start: i64,
    pub end: i64,
    /// In the order of their event times; equal times go by topic, partition and offset.
    pub readings: Vec<Reading>,
    /// Where each of them stands in Kafka.
    pub origins: Vec<Origin>,
    /// How many of them came after the watermark.
    pub late: u64,
}

/// Where a reading belongs in the order of a stream: its event time, then its place in Kafka.
pub type Place = (i64, Origin);

/// The windows of one model, being made.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembly {
    settings: WindowSettings,
    pending: BTreeMap<Place, Held>,
    open: BTreeMap<Place, Held>,
    /// The latest that is in a closed window.
    closed: Option<Place>,
    /// The latest that has left for a window, be it open or closed.
    left: Option<Place>,
    /// The earliest and the latest event time among the open ones that came in time.
    bounds: Option<(i64, i64)>,
    /// Among the open ones, those that came late.
    late: u64,
    heard: Watermark,
    /// The event time up to which readings have left.
    watermark: i64,
    number: u64,
}

/// A reading that is not in a closed window.
#[derive(Debug, Clone, PartialEq)]
struct Held {
    reading: Reading,
    /// It came from a snapshot, and nobody else may have it: the next one has to hold it, too.
    loose: bool,
}

/// What there is to remember of an [`Assembly`], but for the readings that [`Assembly::restore`] takes back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub pending: Vec<(Origin, Reading)>,
    pub open: Vec<(Origin, Reading)>,
    /// The latest reading that is in a closed window.
    pub closed: Option<Place>,
    /// The latest reading that is in a window, be it open or closed.
    pub left: Option<Place>,
    pub late: u64,
    /// The earliest and the latest event time among the open ones that came in time.
    pub bounds: Option<(i64, i64)>,
    /// The latest event time of each partition.
    pub newest: Vec<(TopicPartition, i64)>,
    pub watermark: Option<i64>,
    pub number: u64,
}

impl Assembly {
    /// Begins with what is remembered, at the time `now` in milliseconds. Readings that came since the last closed window are
    /// to be restored.
    #[must_use]
    pub fn new(settings: WindowSettings, remembered: Snapshot, now: i64) -> Self {
        let loose = |readings: Vec<(Origin, Reading)>| {
            let held = |(origin, reading): (Origin, Reading)| {
                let place = (reading.time, origin);
                (
                    place,
                    Held {
                        reading,
                        loose: true,
                    },
                )
            };
            readings.into_iter().map(held).collect()
        };
        let mut heard = Watermark::new(settings.lateness, settings.idle);
        for (partition, newest) in &remembered.newest {
            heard.hear(partition, *newest, now);
        }
        Self {
            settings,
            pending: loose(remembered.pending),
            open: loose(remembered.open),
            closed: remembered.closed,
            left: remembered.left,
            bounds: remembered.bounds,
            late: remembered.late,
            heard,
            watermark: remembered.watermark.unwrap_or(i64::MIN),
            number: remembered.number,
        }
    }

    /// What to remember after [`Assembly::close`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let kept = |held: &BTreeMap<Place, Held>, alone: &dyn Fn(&Place) -> bool| {
            let kept = held
                .iter()
                .filter(|(place, held)| held.loose || alone(place));
            kept.map(|((_, origin), held)| (origin.clone(), held.reading.clone()))
                .collect()
        };
        // One that came late and waits because a partition was heard of anew would be taken for an open one.
        let passed = |place: &Place| self.left.as_ref().is_some_and(|left| place <= left);
        // One that came late would be taken for one of a closed window.
        let behind = |place: &Place| self.closed.as_ref().is_some_and(|closed| place <= closed);
        Snapshot {
            pending: kept(&self.pending, &passed),
            open: kept(&self.open, &behind),
            closed: self.closed.clone(),
            left: self.left.clone(),
            late: self.late,
            bounds: self.bounds,
            newest: self
                .heard
                .each_newest()
                .map(|(partition, newest)| (partition.clone(), newest))
                .collect(),
            watermark: (self.watermark > i64::MIN).then_some(self.watermark),
            number: self.number,
        }
    }

    /// Takes back a reading that was pushed before the snapshot was made; whether it is in no closed window.
    pub fn restore(&mut self, origin: Origin, reading: Reading) -> bool {
        let place = (reading.time, origin);
        if self.open.contains_key(&place) || self.pending.contains_key(&place) {
            return true;
        }
        if self.closed.as_ref().is_some_and(|closed| place <= *closed) {
            return false;
        }
        let held = Held {
            reading,
            loose: false,
        };
        if self.left.as_ref().is_some_and(|left| place <= *left) {
            self.open.insert(place, held);
        } else {
            self.pending.insert(place, held);
        }
        true
    }

    /// There is such a partition: it is waited for, unless it stays silent.
    pub fn expect(&mut self, partition: &TopicPartition, now: i64) {
        self.heard.expect(partition, now);
    }

    /// Takes a reading in; `now` is the time of its arrival.
    pub fn push(&mut self, origin: Origin, reading: Reading, now: i64) {
        let time = reading.time;
        self.heard.hear(&origin.topic_partition(), time, now);
        let held = Held {
            reading,
            loose: false,
        };
        self.pending.insert((time, origin), held);
    }

    /// Closes every window that is complete at the time `now`.
    pub fn close(&mut self, now: i64) -> Vec<Window> {
        let due = self.heard.due(now);
        let mut closed = Vec::new();
        while let Some(entry) = self.pending.first_entry() {
            let &(time, _) = entry.key();
            if time > due && self.pending.len() <= MOST_PENDING {
                break;
            }
            let Some((place, held)) = self.pending.pop_first() else {
                break;
            };
            closed.extend(self.take(place, held));
        }
        self.watermark = self
            .watermark
            .max(due.min(self.heard.newest().unwrap_or(i64::MIN)));
        closed
    }

    /// Closes the open window as it is, everything that waits included: no more will come for this model.
    pub fn retire(&mut self) -> Vec<Window> {
        let mut closed = Vec::new();
        while let Some((place, held)) = self.pending.pop_first() {
            closed.extend(self.take(place, held));
        }
        closed.extend(self.cut());
        closed
    }

    /// Nothing waits and nothing is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.open.is_empty()
    }

    /// Messages in the window that is open, those that wait included.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pending.len() + self.open.len()
    }

    /// The number of the window that is open.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When anything was heard last.
    #[must_use]
    pub fn heard(&self) -> Option<i64> {
        self.heard.heard()
    }

    /// Puts a reading into the open window; the window that this closes, if it does.
    fn take(&mut self, place: Place, held: Held) -> Vec<Window> {
        let mut closed = Vec::new();
        let time = place.0;
        let is_late = time <= self.watermark;
        if let (Some(length), Some((_, latest))) = (self.settings.time, self.bounds)
            && !is_late
            && latest.div_euclid(length) < time.div_euclid(length)
        {
            closed.extend(self.cut());
        }
        if !is_late {
            let (first, last) = self.bounds.unwrap_or((time, time));
            self.bounds = Some((first.min(time), last.max(time)));
        }
        self.late += u64::from(is_late);
        if self.left.as_ref().is_none_or(|left| place > *left) {
            self.left = Some(place.clone());
        }
        self.open.insert(place, held);
        if self.open.len() >= self.settings.messages {
            closed.extend(self.cut());
        }
        closed
    }

    fn cut(&mut self) -> Option<Window> {
        let open = std::mem::take(&mut self.open);
        let (first, last) = open.keys().next().zip(open.keys().next_back())?;
        let (start, end) = self.bounds.take().unwrap_or((first.0, last.0));
        if self.closed.as_ref().is_none_or(|closed| last > closed) {
            self.closed = Some(last.clone());
        }
        let number = self.number;
        self.number += 1;
        let (origins, readings) = open
            .into_iter()
            .map(|((_, origin), held)| (origin, held.reading))
            .unzip();
        Some(Window {
            number,
            start,
            end,
            readings,
            origins,
            late: std::mem::take(&mut self.late),
        })
    }
}

#[cfg(test)]
mod tests;
