//! Ticks of a time axis in UTC.

use chrono::DateTime;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Distances between ticks that read well.
const STEPS: [i64; 20] = [
    SECOND,
    5 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    4 * DAY,
    7 * DAY,
    14 * DAY,
    30 * DAY,
    90 * DAY,
];

/// Moments between `start` and `end` (milliseconds since 1970) to be marked, at most `most`, each with its text. Steps below a
/// day show the time of day, and the date at midnight and at the first tick; from a day on, the date.
#[must_use]
pub fn ticks(start: i64, end: i64, most: usize) -> Vec<(i64, String)> {
    let span = end.saturating_sub(start).max(0);
    let most = most.max(1) as i64;
    let fits = |step: &&i64| span / **step < most;
    let step = STEPS.iter().find(fits).copied().unwrap_or_else(|| {
        // Whole quarters, as many as it takes.
        let quarters = span / (90 * DAY) / most + 1;
        quarters.saturating_mul(90 * DAY)
    });
    let mut ticks = Vec::new();
    let mut moment = start.div_euclid(step).saturating_mul(step);
    while moment <= end && ticks.len() < most as usize {
        if moment >= start {
            ticks.push((moment, text(moment, step, ticks.is_empty())));
        }
        let Some(next) = moment.checked_add(step) else {
            break;
        };
        moment = next;
    }
    ticks
}

fn text(moment: i64, step: i64, is_first: bool) -> String {
    let is_midnight = moment.rem_euclid(DAY) == 0;
    format(
        moment,
        match step {
            _ if step >= 30 * DAY => "%Y-%m-%d",
            _ if step >= DAY || is_midnight => "%b %-d",
            _ if is_first && step < MINUTE => "%b %-d %H:%M:%S",
            _ if is_first => "%b %-d %H:%M",
            _ if step < MINUTE => "%H:%M:%S",
            _ => "%H:%M",
        },
    )
}

/// A moment in UTC, such as `2026-03-01 14:05`; an empty text beyond the years that a calendar knows.
#[must_use]
pub fn moment(time: i64) -> String {
    format(time, "%Y-%m-%d %H:%M")
}

fn format(time: i64, with: &str) -> String {
    DateTime::from_timestamp_millis(time)
        .map(|time| time.format(with).to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(start: i64, end: i64) -> Vec<String> {
        ticks(start, end, 8)
            .into_iter()
            .map(|tick| tick.1)
            .collect()
    }

    const MARCH: i64 = 1_772_323_200_000; // 2026-03-01 00:00 UTC

    #[test]
    fn ticks_fall_on_round_times_and_name_the_day_where_it_changes() {
        assert_eq!(
            texts(MARCH - 5 * HOUR - 7, MARCH + 7 * HOUR),
            ["Feb 28 20:00", "22:00", "Mar 1", "02:00", "04:00", "06:00"]
        );
        assert_eq!(
            texts(MARCH, MARCH + 5 * DAY + 1),
            ["Mar 1", "Mar 2", "Mar 3", "Mar 4", "Mar 5", "Mar 6"]
        );
        assert_eq!(
            texts(MARCH + 61 * SECOND, MARCH + 75 * SECOND),
            ["Mar 1 00:01:05", "00:01:10", "00:01:15"]
        );
        assert_eq!(moment(MARCH + HOUR), "2026-03-01 01:00");
    }

    proptest! {
        #[test]
        fn there_are_few_ticks_in_order_and_within_the_axis(start: i64, end: i64, most in 1_usize..12) {
            let ticks = ticks(start, end, most);
            prop_assert!(ticks.len() <= most);
            prop_assert!(ticks.iter().all(|(moment, _)| (start..=end).contains(moment)));
            prop_assert!(ticks.is_sorted_by(|a, b| a.0 < b.0));
        }

        #[test]
        fn a_usual_axis_has_at_least_one_tick_and_each_has_a_text(start in 0_i64..4 * MARCH / 3, span in 2000_i64..400 * DAY) {
            let ticks = ticks(start, start + span, 8);
            prop_assert!(!ticks.is_empty() && ticks.iter().all(|(_, text)| !text.is_empty()));
        }
    }
}
