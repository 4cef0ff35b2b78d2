//! How much may be on its way at once.
//!
//! The embedded broker silently drops the oldest messages of a partition beyond 5 MiB, read or not. So the feed holds back:
//! what it has sent and not yet seen come out again, counted at the most it can take up in any topic, stays within
//! [`WINDOW_BYTES`]. Even if all of it fell into one partition, that partition would not be full.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::replay::Post;

/// Four fifths of what the embedded broker keeps of a partition.
pub const WINDOW_BYTES: usize = super::PARTITION_BYTES / 5 * 4;

/// What an outcome holds beside the post's own bytes: probabilities, origin, model version and headers, with room to spare.
const OUTCOME_BYTES: usize = 1024;

/// The most bytes that a post or its outcome takes up in any one topic.
///
/// A result repeats the post's text and fields, a dead letter holds the original in base64 (4 bytes for 3). Broken UTF-8
/// can grow threefold where each byte becomes a replacement character.
#[must_use]
pub fn cost(post: &Post) -> usize {
    let value = post.value.as_deref().unwrap_or_default();
    let body = if std::str::from_utf8(value).is_ok() {
        value.len().div_ceil(3) * 4
    } else {
        value.len() * 3
    };
    body + 2 * post.key.as_ref().map_or(0, Vec::len) + OUTCOME_BYTES
}

/// Lets so many bytes be on their way; shared by the feed, the producer's delivery reports and the reader of outcomes.
#[derive(Debug)]
pub struct Window {
    limit: usize,
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    /// Messages with a place in the input topic, and no outcome yet.
    waiting: HashMap<(i32, i64), usize>,
    /// Messages whose outcome was read before their delivery was reported.
    early: HashSet<(i32, i64)>,
}

impl Window {
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            room: Condvar::new(),
        }
    }

    /// Waits at most `timeout` for room and takes it. What is larger than the whole window enters an empty one.
    pub fn enter(&self, cost: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while state.in_flight > 0 && state.in_flight + cost > self.limit {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .room
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.in_flight += cost;
        true
    }

    /// The broker has given a message that entered at this cost its place.
    pub fn delivered(&self, partition: i32, offset: i64, cost: usize) {
        let mut state = self.lock();
        if state.early.remove(&(partition, offset)) {
            self.leave(&mut state, cost);
        } else {
            state.waiting.insert((partition, offset), cost);
        }
    }

    /// The outcome of the message at this place was read, for the first time.
    pub fn done(&self, partition: i32, offset: i64) {
        let mut state = self.lock();
        match state.waiting.remove(&(partition, offset)) {
            Some(cost) => self.leave(&mut state, cost),
            None => {
                state.early.insert((partition, offset));
            }
        }
    }

    fn leave(&self, state: &mut State, cost: usize) {
        state.in_flight = state.in_flight.saturating_sub(cost);
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn nothing_enters_a_full_window_until_an_outcome_is_read() {
        let window = Window::new(100);
        assert!(window.enter(60, NOW));
        assert!(window.enter(40, NOW));
        assert!(!window.enter(1, NOW));
        window.delivered(0, 7, 60);
        assert!(!window.enter(1, NOW), "delivery alone makes no room");
        window.done(0, 7);
        assert!(window.enter(60, NOW));
        assert!(!window.enter(1, NOW));
    }

    #[test]
    fn an_outcome_read_before_its_delivery_was_reported_counts_once() {
        let window = Window::new(100);
        assert!(window.enter(100, NOW));
        window.done(2, 0);
        assert!(!window.enter(1, NOW));
        window.delivered(2, 0, 100);
        assert!(window.enter(100, NOW));
        assert!(!window.enter(1, NOW));
    }

    #[test]
    fn a_message_larger_than_the_window_goes_alone() {
        let window = Window::new(100);
        assert!(window.enter(1, NOW));
        assert!(!window.enter(500, NOW));
        window.delivered(0, 0, 1);
        window.done(0, 0);
        assert!(window.enter(500, NOW));
        assert!(!window.enter(1, NOW));
    }

    #[test]
    fn the_cost_of_a_message_covers_its_base64_and_its_replacement_characters() {
        let post = |value: &[u8]| Post {
            key: None,
            value: Some(value.to_vec()),
            event_time: None,
        };
        assert!(cost(&post(&[b'a'; 300])) >= 400 + OUTCOME_BYTES);
        assert!(cost(&post(&[0xff; 300])) >= 900 + OUTCOME_BYTES);
    }
}
