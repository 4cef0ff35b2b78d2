//! What one side says of a message, as a number: both sides say the same where the numbers are equal.
//!
//! Written from the records' and the tables' descriptions, not from the code that makes them.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Result,
    Dead,
}

/// Postgres holds no longer names, the last character of a cut one being `…`.
const NAME_CHARS: usize = 200;

/// A hash with keys that never change, so that two passes can be compared.
pub(super) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The digest of a name (a label, a reason, a version) as Postgres can hold it.
pub(super) fn name(value: &str) -> u64 {
    if value.len() <= NAME_CHARS && !value.contains('\0') {
        return hash(value);
    }
    hash(&*held_name(value))
}

/// A name as Postgres can hold it: without NUL, and of [`NAME_CHARS`] characters at most.
pub(super) fn held_name(value: &str) -> String {
    let mut held: String = value.chars().take(NAME_CHARS).collect();
    if held.len() < value.len() {
        held.pop();
        held.push('…');
    }
    held.replace('\0', "\u{fffd}")
}

/// The digest of Kafka's time of a message, in milliseconds, as Postgres holds it: within the years 1 to 9999.
pub(super) fn kafka_time(time: DateTime<Utc>) -> u64 {
    hash(held_time(time).timestamp_millis())
}

/// A time as Postgres holds it.
pub(super) fn held_time(time: DateTime<Utc>) -> DateTime<Utc> {
    let start = |year| {
        NaiveDate::from_ymd_opt(year, 1, 1)
            .and_then(|day| day.and_hms_opt(0, 0, 0))
            .map_or(time, |start| start.and_utc())
    };
    time.clamp(start(1), start(10_000) - chrono::TimeDelta::microseconds(1))
}

/// The digest of a prediction. `probabilities` may come in any order.
pub(super) fn prediction(
    label: u64,
    model: u64,
    probabilities: impl IntoIterator<Item = (u64, f32)>,
    confidence: f32,
) -> u64 {
    let sum = probabilities
        .into_iter()
        .fold(0u64, |sum, (label, probability)| {
            sum.wrapping_add(hash((label, bits(probability))))
        });
    hash((1u8, label, model, sum, bits(confidence)))
}

/// The digest of a dead letter.
pub(super) fn dead_letter(reason: u64) -> u64 {
    hash((2u8, reason))
}

/// A probability, exactly; there is one NaN only.
fn bits(value: f32) -> u32 {
    if value.is_nan() {
        f32::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

/// Where the message stands that an outcome in Kafka speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Origin<'a> {
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    pub partition: i32,
    pub offset: i64,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    origin: Origin<'a>,
}

/// Of which message an outcome's record speaks.
#[must_use]
pub fn origin(record: &[u8]) -> Option<Origin<'_>> {
    let body: Body<'_> = serde_json::from_slice(record).ok()?;
    Some(body.origin)
}

/// The members of a result that are compared. JSON numbers hold what an `f32` holds exactly, so they are read as one.
#[derive(Debug, Deserialize)]
struct ResultBody<'a> {
    #[serde(borrow)]
    label: Cow<'a, str>,
    #[serde(borrow)]
    model: Cow<'a, str>,
    probabilities: Probabilities,
    #[serde(borrow)]
    origin: Origin<'a>,
}

#[derive(Debug, Deserialize)]
struct DeadLetterBody<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    origin: Origin<'a>,
}

/// Labels as digests, each with its probability.
#[derive(Debug)]
struct Probabilities(Vec<(u64, f32)>);

impl<'de> Deserialize<'de> for Probabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Probabilities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("probabilities by label")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(4);
                while let Some((Label(label), probability)) =
                    map.next_entry::<Label, Option<f32>>()?
                {
                    members.push((label, probability.unwrap_or(f32::NAN)));
                }
                Ok(Probabilities(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The digest of a label, made without keeping the label.
struct Label(u64);

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Label;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a label")
            }

            fn visit_str<E>(self, text: &str) -> Result<Label, E> {
                Ok(Label(name(text)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Reads an outcome's record: of which message it speaks, and the digest of what it says.
pub(super) fn read(kind: Kind, value: &[u8]) -> Option<(Origin<'_>, u64)> {
    match kind {
        Kind::Result => {
            let body: ResultBody<'_> = serde_json::from_slice(value).ok()?;
            let (label, model) = (name(&body.label), name(&body.model));
            let Probabilities(probabilities) = body.probabilities;
            let confidence = probabilities
                .iter()
                .find(|(of, _)| *of == label)
                .map_or(f32::NAN, |&(_, probability)| probability);
            let digest = prediction(label, model, probabilities, confidence);
            Some((body.origin, digest))
        }
        Kind::Dead => {
            let body: DeadLetterBody<'_> = serde_json::from_slice(value).ok()?;
            Some((body.origin, dead_letter(name(&body.reason))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"text":"a \" b","label":"good","probabilities":{"bad":0.10000000149011612,"good":0.8999999761581421},
        "model":"v1","origin":{"topic":"posts","partition":2,"offset":7}}"#;

    fn row(label: &str, model: &str, bad: f32, good: f32, confidence: f32) -> u64 {
        let probabilities = [(name("good"), good), (name("bad"), bad)];
        prediction(name(label), name(model), probabilities, confidence)
    }

    #[test]
    fn a_record_and_a_row_that_say_the_same_have_one_digest_and_any_difference_shows() {
        let (origin, digest) = read(Kind::Result, RESULT.as_bytes()).unwrap();
        assert_eq!(
            (&*origin.topic, origin.partition, origin.offset),
            ("posts", 2, 7)
        );
        assert_eq!(digest, row("good", "v1", 0.1, 0.9, 0.9));
        let next = f32::from_bits(0.9f32.to_bits() + 1);
        for other in [
            row("bad", "v1", 0.1, 0.9, 0.9),
            row("good", "v2", 0.1, 0.9, 0.9),
            row("good", "v1", 0.9, 0.1, 0.9),
            row("good", "v1", 0.1, next, 0.9),
            row("good", "v1", 0.1, 0.9, next),
        ] {
            assert_ne!(digest, other);
        }
    }

    #[test]
    fn every_f32_survives_its_way_through_json() {
        let mut value = 1e-12f32;
        while value < 1.0 {
            let text = serde_json::json!({ "p": value }).to_string();
            let read: std::collections::BTreeMap<String, f32> =
                serde_json::from_str(&text).unwrap();
            assert_eq!(read["p"].to_bits(), value.to_bits(), "{text}");
            value = f32::from_bits(value.to_bits() + 100_003);
        }
    }

    #[test]
    fn what_names_no_origin_is_no_outcome() {
        assert!(read(Kind::Result, b"{}").is_none());
        assert!(read(Kind::Dead, b"no json").is_none());
        let letter =
            br#"{"reason":"no_text","detail":"x","origin":{"topic":"p","partition":0,"offset":1}}"#;
        assert_eq!(
            read(Kind::Dead, letter).unwrap().1,
            dead_letter(name("no_text"))
        );
    }

    #[test]
    fn names_and_times_are_compared_as_postgres_can_hold_them() {
        assert_eq!(name("a\0b"), name("a\u{fffd}b"));
        assert_eq!(
            name(&"é".repeat(300)),
            name(&format!("{}…", "é".repeat(199)))
        );
        assert_eq!(name(&"é".repeat(200)), hash("é".repeat(200)));
        let last: DateTime<Utc> = "9999-12-31T23:59:59.999Z".parse().unwrap();
        assert_eq!(kafka_time(DateTime::<Utc>::MAX_UTC), kafka_time(last));
    }
}
