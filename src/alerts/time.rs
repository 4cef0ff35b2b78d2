//! Milliseconds since the epoch, written as RFC 3339.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// The moment as text, in UTC; the end of the year 9999 where a year would have more digits.
#[must_use]
pub fn rfc3339(milliseconds: i64) -> String {
    const LAST: i64 = 253_402_300_799_999;
    let time: DateTime<Utc> =
        DateTime::from_timestamp_millis(milliseconds.clamp(0, LAST)).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

pub(super) fn serialize<S: Serializer>(time: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<i64, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

fn parse<E: Error>(text: &str) -> Result<i64, E> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.timestamp_millis())
        .map_err(|error| E::custom(format!("{text:?} is no RFC 3339 time: {error}")))
}

/// The same for a time that may be missing.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Serializer, parse, rfc3339};

    pub fn serialize<S: Serializer>(time: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_some(&rfc3339(*time)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| parse(&text))
            .transpose()
    }
}
