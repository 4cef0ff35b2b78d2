//! The days that have a partition of their own.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use super::config::StoreConfig;

/// How long rows are kept, and how far ahead room is made for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub retention: Days,
    pub rollup_retention: Days,
    pub ahead: Days,
}

impl Window {
    pub(super) fn of(config: &StoreConfig) -> Self {
        Self {
            retention: Days::new(config.retention_days.into()),
            rollup_retention: Days::new(config.rollup_retention_days.into()),
            ahead: Days::new(config.partitions_ahead.into()),
        }
    }

    /// The earliest day of which rows are kept.
    pub(super) fn first_day(self, now: DateTime<Utc>) -> NaiveDate {
        now.date_naive() - self.retention
    }

    /// Every day of which rows are kept, and those to come.
    pub(super) fn days(
        self,
        now: DateTime<Utc>,
    ) -> impl DoubleEndedIterator<Item = NaiveDate> + use<> {
        let first = self.first_day(now);
        let last = now.date_naive() + self.ahead;
        // Not by `iter_days`, which runs away from its start in either direction.
        (0..=(last - first).num_days().unsigned_abs()).map(move |days| first + Days::new(days))
    }
}

/// The start of a day.
pub(super) fn start(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The name of a day's partition: `predictions_p20261124`.
pub(super) fn name(table: &str, day: NaiveDate) -> String {
    format!("{table}_p{}", day.format("%Y%m%d"))
}

/// The day of a partition that has such a name.
pub(super) fn day(table: &str, partition: &str) -> Option<NaiveDate> {
    let day = partition.strip_prefix(table)?.strip_prefix("_p")?;
    let day = NaiveDate::parse_from_str(day, "%Y%m%d").ok()?;
    (name(table, day) == partition).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_window_holds_every_kept_day_and_those_ahead() {
        let window = Window {
            retention: Days::new(30),
            rollup_retention: Days::new(400),
            ahead: Days::new(3),
        };
        let now = "2026-11-24T23:59:59Z".parse().unwrap();
        let days: Vec<_> = window.days(now).collect();
        assert_eq!(
            (days[0], days[days.len() - 1]),
            (date("2026-10-25"), date("2026-11-27"))
        );
        assert_eq!(days.len(), 34);
        assert!(days.iter().rev().copied().eq(window.days(now).rev()));
    }

    #[test]
    fn a_partition_is_known_by_its_name_and_nothing_else_is_taken_for_one() {
        assert_eq!(
            name("predictions", date("2026-11-24")),
            "predictions_p20261124"
        );
        assert_eq!(
            day("predictions", "predictions_p20261124"),
            Some(date("2026-11-24"))
        );
        for other in [
            "predictions_default",
            "predictions_p2026112",
            "predictions_p20261324",
            "predictions_p20261124_old",
            "predictions_2026",
            "dead_letters_p20261124",
        ] {
            assert_eq!(day("predictions", other), None, "{other}");
        }
    }
}
