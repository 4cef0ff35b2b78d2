//! Event times as they are written in the wild.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// The first millisecond of Twitter's snowflake ids (2010-11-04T01:42:54.657Z).
const SNOWFLAKE_EPOCH_MS: u64 = 1_288_834_974_657;

/// Numbers from here on are milliseconds since the epoch, below it seconds (as seconds it would be the year 5138).
const MILLISECONDS_FROM: f64 = 1e11;

const WITH_ZONE: [&str; 4] = [
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    // Twitter's own: Mon Sep 26 20:12:44 +0000 2016
    "%a %b %d %H:%M:%S %z %Y",
];
const WITHOUT_ZONE: [&str; 3] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
];

/// Reads RFC 3339, seconds or milliseconds since the epoch, Twitter's `created_at` and the usual variants of ISO 8601;
/// UTC where no zone is given.
#[must_use]
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return from_number(number);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    for format in WITH_ZONE {
        if let Ok(time) = DateTime::parse_from_str(text, format) {
            return Some(time.to_utc());
        }
    }
    for format in WITHOUT_ZONE {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some(time.and_utc());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc())
}

fn from_number(number: f64) -> Option<DateTime<Utc>> {
    let milliseconds = if number.abs() >= MILLISECONDS_FROM {
        number
    } else {
        number * 1e3
    };
    // Beyond this a float no longer holds whole milliseconds, and no post was written then.
    (milliseconds.abs() < 9e15).then(|| DateTime::from_timestamp_millis(milliseconds as i64))?
}

/// The nearest time within the years 1 to 9999, in which a year has four digits: the store keeps no other, and RFC 3339
/// writes no other.
#[must_use]
pub fn within_calendar(time: DateTime<Utc>) -> DateTime<Utc> {
    let first = DateTime::from_timestamp(-62_135_596_800, 0).expect("is the year 1");
    let last = DateTime::from_timestamp(253_402_300_799, 999_999_000).expect("is in 9999");
    time.clamp(first, last)
}

/// The time inside a Twitter snowflake id: its upper bits are milliseconds since Twitter's own epoch.
#[must_use]
pub fn snowflake_time(id: &str) -> Option<DateTime<Utc>> {
    let id: u64 = id.trim().parse().ok()?;
    DateTime::from_timestamp_millis(((id >> 22) + SNOWFLAKE_EPOCH_MS).try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_moment_is_the_same_moment() {
        let moment = DateTime::from_timestamp(1_424_806_552, 0);
        for text in [
            "2015-02-24T19:35:52Z",
            "2015-02-24T11:35:52-08:00",
            "2015-02-24 11:35:52 -0800",
            "2015-02-24 19:35:52+00",
            "Tue Feb 24 19:35:52 +0000 2015",
            "2015-02-24 19:35:52",
            "1424806552",
            "1424806552000",
            " 1424806552.0 ",
        ] {
            assert_eq!(parse_time(text), moment, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "soon",
            "2015-13-01",
            "NaN",
            "inf",
            "1e300",
            "2015-02-24T25:00:00Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn no_year_has_more_or_fewer_than_four_digits() {
        for (wild, year) in [
            (DateTime::<Utc>::MIN_UTC, "0001-01-01T00:00:00"),
            (DateTime::<Utc>::MAX_UTC, "9999-12-31T23:59:59.999999"),
        ] {
            let time = within_calendar(wild).to_rfc3339();
            assert!(time.starts_with(year), "{time}");
        }
        let now = Utc::now();
        assert_eq!(within_calendar(now), now);
    }

    #[test]
    fn a_snowflake_id_tells_its_millisecond() {
        // 260097528899452929 was given in October 2012.
        let time = snowflake_time("260097528899452929").map(|t| t.to_rfc3339());
        let expected = (260_097_528_899_452_929_i64 >> 22) + 1_288_834_974_657;
        assert_eq!(
            time,
            DateTime::from_timestamp_millis(expected).map(|t| t.to_rfc3339())
        );
        assert!(time.is_some_and(|t| t.starts_with("2012-10-21")));
        assert_eq!(snowflake_time("abc"), None);
    }
}
