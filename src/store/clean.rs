//! Bends what a stream may hold into what Postgres can: no message may break an insert.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::Value;

/// Most characters kept of a name (source, subject, author, language, id): enough for any real one, and small
/// enough for the rollups' index, whose rows Postgres limits to about 2,700 bytes.
const NAME_CHARS: usize = 200;

/// A text as Postgres can hold it: its `text` cannot hold NUL, which becomes U+FFFD.
pub(super) fn text(value: &str) -> Cow<'_, str> {
    if value.contains('\0') {
        Cow::Owned(value.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(value)
    }
}

/// A name: a text of at most [`NAME_CHARS`] characters, the last of them `…` where it was cut.
pub(super) fn name(value: &str) -> Cow<'_, str> {
    // Bytes bound characters from above, so most names are done here.
    if value.len() <= NAME_CHARS || value.chars().count() <= NAME_CHARS {
        return text(value);
    }
    let cut: String = value.chars().take(NAME_CHARS - 1).collect();
    Cow::Owned(text(&cut).into_owned() + "…")
}

/// A JSON value as `jsonb` can hold it: NUL within its texts becomes U+FFFD.
pub(super) fn json(value: &Value) -> Value {
    match value {
        Value::String(string) => text(string).into_owned().into(),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (text(name).into_owned(), json(value)))
            .collect(),
        other => other.clone(),
    }
}

/// A time within the years 1 to 9999, which Postgres and every client of it can represent, in whole microseconds.
///
/// The same time always gives the same result, so it may be part of a key.
pub(super) fn time(value: DateTime<Utc>) -> DateTime<Utc> {
    let first = NaiveDate::from_ymd_opt(1, 1, 1)
        .expect("is a date")
        .and_time(NaiveTime::MIN)
        .and_utc();
    let end = NaiveDate::from_ymd_opt(10_000, 1, 1)
        .expect("is a date")
        .and_time(NaiveTime::MIN)
        .and_utc();
    let value = value.clamp(first, end - TimeDelta::microseconds(1));
    value - TimeDelta::nanoseconds(i64::from(value.timestamp_subsec_nanos() % 1_000))
}

/// The start of the minute that a time lies in, as `date_trunc('minute', …, 'UTC')` computes it.
pub(super) fn minute(value: DateTime<Utc>) -> DateTime<Utc> {
    let value = time(value);
    let into = value.timestamp().rem_euclid(60);
    value
        - TimeDelta::seconds(into)
        - TimeDelta::nanoseconds(i64::from(value.timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rfc3339: &str) -> DateTime<Utc> {
        rfc3339.parse().expect("is a time")
    }

    #[test]
    fn nul_becomes_a_replacement_character_and_the_rest_stays() {
        assert_eq!(text("a\0b\u{1}"), "a\u{fffd}b\u{1}");
        assert!(matches!(text("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn a_long_name_is_cut_to_whole_characters() {
        let cut = name(&"é".repeat(5_000)).into_owned();
        assert_eq!(cut.chars().count(), NAME_CHARS);
        assert!(cut.ends_with("é…"));
        assert_eq!(name(&"é".repeat(NAME_CHARS)), "é".repeat(NAME_CHARS));
    }

    #[test]
    fn wild_times_are_clamped_and_kept_in_whole_microseconds() {
        assert_eq!(
            time(DateTime::<Utc>::MAX_UTC),
            at("9999-12-31T23:59:59.999999Z")
        );
        assert_eq!(time(DateTime::<Utc>::MIN_UTC), at("0001-01-01T00:00:00Z"));
        assert_eq!(
            time(at("2026-11-24T01:02:03.123456789Z")),
            at("2026-11-24T01:02:03.123456Z")
        );
        assert_eq!(
            time(at("1960-01-01T00:00:00.000001500Z")),
            at("1960-01-01T00:00:00.000001Z")
        );
    }

    #[test]
    fn a_minute_is_rounded_down_also_before_1970() {
        assert_eq!(
            minute(at("2026-11-24T01:02:59.999Z")),
            at("2026-11-24T01:02:00Z")
        );
        assert_eq!(
            minute(at("1969-12-31T23:59:59.5Z")),
            at("1969-12-31T23:59:00Z")
        );
    }
}
