//! When each post is due.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How fast posts are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As fast as they are taken.
    Unlimited,
    /// So many a second.
    Rate(f64),
    /// With the real gaps between their event times, so many times faster.
    Speed(f64),
}

/// Says when each post is due, counted from the first one. Pure: it never looks at a clock.
#[derive(Debug, Clone)]
pub struct Schedule {
    pace: Pace,
    sent: u64,
    first: Option<DateTime<Utc>>,
    last: Duration,
}

impl Schedule {
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            sent: 0,
            first: None,
            last: Duration::ZERO,
        }
    }

    /// How long after the first post this one is due. Never earlier than the one before it: a post whose event time lies
    /// before its predecessor's, or that has none, is due at once.
    pub fn due(&mut self, event_time: Option<DateTime<Utc>>) -> Duration {
        let due = match self.pace {
            Pace::Unlimited => Duration::ZERO,
            Pace::Rate(rate) => seconds(self.sent as f64 / rate),
            Pace::Speed(speed) => match event_time {
                Some(time) => {
                    let first = *self.first.get_or_insert(time);
                    let gap = (time - first).num_milliseconds() as f64 / 1e3;
                    seconds(gap / speed)
                }
                None => Duration::ZERO,
            },
        };
        self.sent += 1;
        self.last = self.last.max(due);
        self.last
    }
}

/// A negative or unbelievable number of seconds is none.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(seconds, 0)
    }

    #[test]
    fn a_rate_spreads_posts_evenly() {
        let mut schedule = Schedule::new(Pace::Rate(4.0));
        let due: Vec<u128> = (0..5).map(|_| schedule.due(None).as_millis()).collect();
        assert_eq!(due, [0, 250, 500, 750, 1000]);
    }

    #[test]
    fn speed_scales_the_real_gaps() {
        let mut schedule = Schedule::new(Pace::Speed(60.0));
        let due: Vec<u64> = [1_000, 1_060, 1_120, 4_600]
            .map(|t| schedule.due(at(t)).as_secs())
            .to_vec();
        assert_eq!(due, [0, 1, 2, 60]);
    }

    #[test]
    fn a_post_out_of_order_is_due_at_once_and_holds_nothing_up() {
        let mut schedule = Schedule::new(Pace::Speed(1.0));
        let due: Vec<u64> = [at(100), at(110), at(50), None, at(111)]
            .map(|t| schedule.due(t).as_secs())
            .to_vec();
        assert_eq!(due, [0, 10, 10, 10, 11]);
    }
}
