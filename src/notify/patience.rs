//! How long to wait between attempts, and when to give up.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// After the first attempt.
const FIRST: Duration = Duration::from_secs(2);
/// Between later ones.
const LONGEST: Duration = Duration::from_secs(300);

/// The pause after so many failed attempts; a receiver that has named one is believed, up to the longest.
pub(super) fn pause(attempts: u32, asked: Option<Duration>) -> Duration {
    let own = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    asked.unwrap_or_default().max(own).min(LONGEST)
}

/// Whether a notice is too old to be tried again.
pub(super) fn is_over(recorded: DateTime<Utc>, give_up_hours: u32, now: DateTime<Utc>) -> bool {
    now - recorded >= TimeDelta::hours(i64::from(give_up_hours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_two_seconds_to_five_minutes() {
        let seconds: Vec<u64> = (1..=10).map(|n| pause(n, None).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(u32::MAX, None), LONGEST);
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_and_not_for_one_without_end() {
        assert_eq!(
            pause(1, Some(Duration::from_secs(60))),
            Duration::from_secs(60)
        );
        assert_eq!(pause(1, Some(Duration::from_secs(99_999))), LONGEST);
        assert_eq!(pause(3, Some(Duration::ZERO)), Duration::from_secs(8));
    }

    #[test]
    fn a_notice_is_tried_until_it_is_as_old_as_the_setting_says() {
        let recorded = DateTime::from_timestamp(0, 0).unwrap();
        let hour = TimeDelta::hours(1);
        assert!(!is_over(recorded, 2, recorded + hour));
        assert!(is_over(recorded, 2, recorded + hour + hour));
    }
}
