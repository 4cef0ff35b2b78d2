//! Records that somebody may send and no sane producer would, with what must become of each.

mod json;

pub use json::json_records;

use crate::harness::WireRecord;

/// What must become of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is scored, as this text.
    Scored(String),
    /// It is a dead letter for this reason.
    Dead(&'static str),
}

pub struct Poison {
    pub what: String,
    pub record: WireRecord,
    pub fate: Fate,
}

/// The last second of 9999.
const YEAR_9999: i64 = 253_402_300_799_000;
const BOM: &str = "\u{feff}";
/// Somewhere in 2026.
pub const ORDINARY_TIME: i64 = 1_782_000_000_000;

fn value(what: &str, value: impl Into<Vec<u8>>, fate: Fate) -> Poison {
    Poison {
        what: what.to_owned(),
        record: WireRecord {
            timestamp: ORDINARY_TIME,
            key: Some(b"poison".to_vec()),
            value: Some(value.into()),
            headers: Vec::new(),
        },
        fate,
    }
}

fn scored(text: impl Into<String>) -> Fate {
    Fate::Scored(text.into())
}

fn with(mut poison: Poison, change: impl FnOnce(&mut WireRecord)) -> Poison {
    change(&mut poison.record);
    poison
}

/// For a topic of plain text.
pub fn plain_records() -> Vec<Poison> {
    let plain = |what: &str, text: &str| value(what, text, scored(text));
    let dead = Fate::Dead;
    [
        vec![
            value("nothing", "", dead("no_text")),
            value("white space", " \t\r\n\u{a0}\u{3000}", dead("no_text")),
            value("NUL alone", "\0\0\0", dead("no_text")),
            value("a byte order mark alone", BOM, dead("no_text")),
            value("Latin-1", b"caf\xe9".to_vec(), dead("undecodable")),
            value(
                "UTF-16",
                b"\xff\xfeg\0o\0o\0d\0".to_vec(),
                dead("undecodable"),
            ),
            value(
                "an encoded surrogate",
                b"\xed\xa0\x80".to_vec(),
                dead("undecodable"),
            ),
            value(
                "an overlong NUL",
                b"good\xc0\x80".to_vec(),
                dead("undecodable"),
            ),
            value(
                "half an emoji",
                b"good \xf0\x9f\x98".to_vec(),
                dead("undecodable"),
            ),
            plain("NUL inside", "the\0film\0was bad"),
            plain("a byte order mark before text", &format!("{BOM}good")),
            plain("a megabyte of lines", &"good\r\n".repeat(170_000)),
            plain("something that looks like JSON", "{\"text\": "),
            plain("SQL", "'); DROP TABLE predictions; --"),
        ],
        around_the_value("the film was good"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Keys, headers and times; `sound` is a value that is scored as `the film was good`.
fn around_the_value(sound: &str) -> Vec<Poison> {
    let good = |what: &str, change: fn(&mut WireRecord)| {
        with(value(what, sound, scored("the film was good")), change)
    };
    let tombstone = |what: &str, change: fn(&mut WireRecord)| {
        let dead = with(value(what, "", Fate::Dead("tombstone")), change);
        with(dead, |record| record.value = None)
    };
    vec![
        tombstone("a tombstone", |_| {}),
        tombstone("a tombstone without a key", |record| record.key = None),
        tombstone("a tombstone with headers", |record| {
            record.headers = headers()
        }),
        tombstone("a tombstone without a time", |record| record.timestamp = -1),
        tombstone("a tombstone of the year 9999", |record| {
            record.timestamp = YEAR_9999
        }),
        good("no key", |record| record.key = None),
        good("an empty key", |record| record.key = Some(Vec::new())),
        good("NUL for a key", |record| record.key = Some(vec![0])),
        good("a megabyte of a key", |record| {
            record.key = Some(vec![0xff; 1_000_000])
        }),
        good("headers of every kind", |record| record.headers = headers()),
        good("ten thousand headers", |record| {
            record.headers = vec![(b"traceparent".to_vec(), Some(b"00".to_vec())); 10_000];
        }),
        good("no time", |record| record.timestamp = -1),
        good("the time 0", |record| record.timestamp = 0),
        good("a time before 1970", |record| record.timestamp = -2),
        good("a time before the year 1", |record| {
            record.timestamp = -62_135_596_800_001
        }),
        good("the earliest time", |record| record.timestamp = i64::MIN),
        good("the year 9999", |record| record.timestamp = YEAR_9999),
        good("the year 10000", |record| {
            record.timestamp = YEAR_9999 + 1_000
        }),
        good("the year 200000", |record| {
            record.timestamp = 6_249_223_180_800_000
        }),
    ]
}

fn headers() -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let some = |name: &[u8], value: &[u8]| (name.to_vec(), Some(value.to_vec()));
    vec![
        (b"null".to_vec(), None),
        (Vec::new(), Some(b"no name".to_vec())),
        (Vec::new(), None),
        some(b"large", &[b'x'; 65_536]),
        some(b"twice", b"1"),
        some(b"twice", b"2"),
        some(b"traceparent", b"00-\xff\xfe\0-\r\n"),
        (b"traceparent".to_vec(), None),
        some(b"tracestate", &[b'y'; 65_536]),
        some(b"baggage", b""),
        some(b"no UTF-8 for a value", b"\xc3\x28\x80"),
        some(b"\xff\xfe no UTF-8 for a name", b"value"),
        some(b"NUL\0 in a name", b"\0"),
        some(b"ce_id", b"forged"),
        some(b"content-type", b"text/html"),
        some(b"__connect.errors.topic", b"forged"),
    ]
}
