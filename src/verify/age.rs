//! What the retention of Postgres may have taken.
//!
//! Rows lie in a table for each day of Kafka's time, which goes as a whole when the day is older than `retention_days`. Rows of a
//! day that had no table when they were written, since it was too old or too far ahead, go by when they were written.

use chrono::{DateTime, Days, NaiveDate, Utc};

use crate::store::config::StoreConfig;

/// What retention may have done to a message's row, by Kafka's time of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Age {
    /// The row must be there.
    Kept,
    /// Its day may have had a table, and may be gone.
    Old,
    /// Its day has had no table within the retention: the row goes by when it was written.
    Wild,
}

impl Age {
    /// By number; the last stands for one that is never used.
    pub(super) const ALL: [Self; 4] = [Self::Kept, Self::Old, Self::Wild, Self::Wild];
}

/// The days for which rows are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// Rows written since then are there, whatever their day.
    written_since: DateTime<Utc>,
    /// Days before this one have had no table for as long as rows are kept.
    first: NaiveDate,
    /// Days before this one have lost their table, or are about to.
    kept: NaiveDate,
    /// The last day that has a table.
    last: NaiveDate,
}

impl Retention {
    pub(super) fn of(config: &StoreConfig, now: DateTime<Utc>) -> Self {
        let days = Days::new(config.retention_days.into());
        let today = now.date_naive();
        Self {
            written_since: now - days,
            first: today - days - days,
            // A day more: its table goes while we look.
            kept: today - days + Days::new(1),
            last: today + Days::new(config.partitions_ahead.into()),
        }
    }

    pub(super) fn age(&self, kafka_time: DateTime<Utc>) -> Age {
        let day = kafka_time.date_naive();
        if day < self.first || day > self.last {
            Age::Wild
        } else if day < self.kept {
            Age::Old
        } else {
            Age::Kept
        }
    }

    /// Whether a row that was written shortly before this time must still be there if its day has no table.
    pub(super) fn keeps_written(&self, time: DateTime<Utc>) -> bool {
        time > self.written_since
    }

    /// When the first day begins of which every row is there.
    pub(super) fn kept_from(&self) -> DateTime<Utc> {
        self.kept.and_time(chrono::NaiveTime::MIN).and_utc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_gone_is_what_has_left_the_kept_days() {
        let config = StoreConfig {
            url: "postgres://x".to_owned().into(),
            max_connections: 2,
            text: crate::store::config::TextStorage::Full,
            retention_days: 30,
            rollup_retention_days: 400,
            partitions_ahead: 3,
        };
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let retention = Retention::of(&config, at("2026-11-24T12:00:00Z"));
        let cases = [
            ("2026-11-24T00:00:00Z", Age::Kept),
            ("2026-11-27T23:59:59Z", Age::Kept),
            ("2026-11-28T00:00:00Z", Age::Wild),
            ("9999-12-31T00:00:00Z", Age::Wild),
            ("2026-10-26T00:00:00Z", Age::Kept),
            ("2026-10-25T23:59:59Z", Age::Old),
            ("2026-09-25T00:00:00Z", Age::Old),
            ("2026-09-24T23:00:00Z", Age::Wild),
            ("1970-01-01T00:00:00Z", Age::Wild),
        ];
        for (time, age) in cases {
            assert_eq!(retention.age(at(time)), age, "{time}");
        }
        assert_eq!(retention.kept_from(), at("2026-10-26T00:00:00Z"));
        assert!(retention.keeps_written(at("2026-10-25T13:00:00Z")));
        assert!(!retention.keeps_written(at("2026-10-25T11:00:00Z")));
    }
}
