//! Hostile records for a topic of JSON objects.

use serde_json::{Value, json};

use super::{BOM, Fate, Poison, around_the_value, scored, value};

const FIELDS: [&str; 6] = ["id", "text", "author", "source", "subject", "language"];

/// For a topic of JSON objects.
pub fn json_records() -> Vec<Poison> {
    let sound = json!({"text": "the film was good"}).to_string();
    [
        texts(),
        broken(),
        fields(),
        numbers_and_nesting(),
        around_the_value(&sound),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A JSON object with this text, scored as it.
fn post(what: &str, text: &str) -> Poison {
    value(what, json!({ "text": text }).to_string(), scored(text))
}

/// Strange texts in sound JSON.
fn texts() -> Vec<Poison> {
    vec![
        post("8 MB of one letter", &"a".repeat(8_000_000)),
        post("a million words", &"good ".repeat(1_000_000)),
        post("100,000 emoji", &"😀".repeat(100_000)),
        post("one emoji of many parts", &"👩\u{200d}".repeat(5_000)),
        post(
            "marks piled on a letter",
            &format!("e{}", "\u{301}".repeat(100_000)),
        ),
        post(
            "right to left",
            "\u{202e}doog saw mlif eht\u{202c} שלום مرحبا",
        ),
        post("zero width", "go\u{200b}od\u{200d} \u{2060}day\u{feff}"),
        post(
            "private and unassigned",
            "good \u{e000}\u{fffe}\u{ffff}\u{10ffff}",
        ),
        post(
            "every control character",
            &(1..32)
                .map(char::from)
                .chain("good".chars())
                .collect::<String>(),
        ),
        post("a byte order mark inside", &format!("{BOM}good{BOM}")),
        value(
            "a pair of surrogates",
            r#"{"text":"good \ud83d\ude00"}"#,
            scored("good 😀"),
        ),
        value("empty text", r#"{"text":""}"#, Fate::Dead("no_text")),
        value(
            "white space",
            json!({"text": " \t\r\n\u{a0}\u{2003}"}).to_string(),
            Fate::Dead("no_text"),
        ),
        value(
            "zero-width characters alone",
            json!({"text": "\u{200b}\u{200d}\u{feff}"}).to_string(),
            Fate::Dead("no_text"),
        ),
        value(
            "direction marks alone",
            json!({"text": "\u{202e}\u{202c}\u{2066}\u{2069}"}).to_string(),
            Fate::Dead("no_text"),
        ),
        value(
            "control characters alone",
            json!({"text": "\0\u{7}\u{1b}\u{7f}\u{85}"}).to_string(),
            Fate::Dead("no_text"),
        ),
        value(
            "more than is allowed",
            json!({"text": "b".repeat(8_500_000)}).to_string(),
            Fate::Dead("too_large"),
        ),
    ]
}

/// What is no JSON, or not the right JSON.
fn broken() -> Vec<Poison> {
    let values: [(&str, &[u8]); 25] = [
        ("an empty value", b""),
        ("NUL bytes", b"\0\0\0\0"),
        ("a raw NUL in a string", b"{\"text\":\"go\0od\"}"),
        ("a raw line break in a string", b"{\"text\":\"go\nod\"}"),
        ("Latin-1", b"{\"text\":\"caf\xe9\"}"),
        (
            "broken UTF-8 in a field that nobody reads",
            b"{\"text\":\"good\",\"x\":\"\xff\"}",
        ),
        (
            "broken UTF-8 in a name",
            b"{\"te\xff\":1,\"text\":\"good\"}",
        ),
        ("an overlong slash", b"{\"text\":\"\xc0\xaf\"}"),
        ("an encoded surrogate", b"{\"text\":\"\xed\xa0\x80\"}"),
        ("half an emoji", b"{\"text\":\"\xf0\x9f\x98\"}"),
        ("a lone high surrogate", br#"{"text":"good \ud800"}"#),
        ("a lone low surrogate", br#"{"text":"good \udc00 day"}"#),
        (
            "surrogates the wrong way round",
            br#"{"text":"\ude00\ud83d"}"#,
        ),
        (
            "a lone surrogate in another field",
            br#"{"text":"good","author":"\ud800"}"#,
        ),
        ("half an escape", br#"{"text":"\u12"}"#),
        ("a byte order mark", b"\xef\xbb\xbf{\"text\":\"good\"}"),
        ("UTF-16", b"{\0\"\0t\0"),
        ("an array", br#"["text"]"#),
        ("a string", br#""text""#),
        ("a number", b"42"),
        ("null", b"null"),
        ("two objects", br#"{"text":"good"}{"text":"bad"}"#),
        ("no end", br#"{"text":"good""#),
        ("a Python object", b"{'text': 'good', 'n': None}"),
        ("not a number", br#"{"text":"good","x":NaN}"#),
    ];
    values
        .into_iter()
        .map(|(what, bytes)| value(what, bytes, Fate::Dead("undecodable")))
        .collect()
}

/// Every field with what breaks out of SQL, HTML, a shell or a log, and of the wrong kind.
fn fields() -> Vec<Poison> {
    const HOSTILE: [&str; 8] = [
        "'); DROP TABLE predictions; --",
        "\\'; SELECT pg_sleep(60); $$ $1 %s \\x00",
        "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;",
        "${jndi:ldap://127.0.0.1/a} {{7*7}} `id` $(id)",
        "a\r\nlevel=ERROR forged=\"line\"\u{1b}[2J",
        "NUL \0 in the middle \0",
        "\u{202e}\u{200f}\u{200b}\u{feff}x",
        "NULL",
    ];
    let mut poisons: Vec<Poison> = HOSTILE
        .into_iter()
        .map(|text| {
            let fields = FIELDS.map(|field| (field.to_owned(), json!(text)));
            let object = Value::Object(fields.into_iter().collect());
            value(
                &format!("{text:?} in every field"),
                object.to_string(),
                scored(text),
            )
        })
        .collect();
    for kind in [
        json!(null),
        json!([]),
        json!({"a": 1}),
        json!(true),
        json!(-0.0),
        json!(""),
    ] {
        let mut object: serde_json::Map<String, Value> = FIELDS
            .map(|field| (field.to_owned(), kind.clone()))
            .into_iter()
            .collect();
        object.insert("event_time".into(), kind.clone());
        object.insert("text".into(), json!("good"));
        let what = format!("{kind} in every field but the text");
        poisons.push(value(
            &what,
            Value::Object(object).to_string(),
            scored("good"),
        ));
    }
    for text in ["3", "true", "[]", "{}", "[\"good\"]"] {
        poisons.push(value(
            &format!("{text} for a text"),
            format!("{{\"text\":{text}}}"),
            Fate::Dead("undecodable"),
        ));
    }
    let long = "n\0".repeat(100_000);
    poisons.extend([
        value("null for a text", r#"{"text":null}"#, Fate::Dead("no_text")),
        value("no text", r#"{"Text":"good"}"#, Fate::Dead("no_text")),
        value("the text twice", r#"{"text":"bad","text":"good"}"#, scored("good")),
        value("every field twice", r#"{"id":1,"id":[],"text":3,"text":"bad","author":"a","author":"b"}"#, scored("bad")),
        value("strange names", r#"{"":1,"\u0000":2,"__proto__":{},"text.text":"no","text":"good"}"#, scored("good")),
        value(
            "megabytes of names",
            json!({"text": "good", "id": long, "author": long, "source": long, "subject": long, "language": long}).to_string(),
            scored("good"),
        ),
    ]);
    poisons
}

fn numbers_and_nesting() -> Vec<Poison> {
    const DEEP: usize = 100_000;
    let digits = format!("1{}", "0".repeat(1_000));
    let timed = |time: &str, fate: Fate| {
        value(
            &format!("{:.40} as event time", time),
            format!("{{\"text\":\"good\",\"event_time\":{time}}}"),
            fate,
        )
    };
    let ignored = |what: &str, inner: String| {
        value(
            what,
            format!("{{\"text\":\"good\",\"x\":{inner}}}"),
            Fate::Dead("undecodable"),
        )
    };
    vec![
        // A float cannot hold them.
        timed("1e400", Fate::Dead("undecodable")),
        timed(&digits, Fate::Dead("undecodable")),
        timed("\"1e400\"", scored("good")),
        timed(&format!("\"{digits}\""), scored("good")),
        timed("1e-400", scored("good")),
        timed("-1e308", scored("good")),
        timed("18446744073709551616", scored("good")),
        timed("-62135596800001", scored("good")),
        timed("253402300800000", scored("good")),
        timed("8.9e15", scored("good")),
        timed("\"+262142-12-31T23:59:59Z\"", scored("good")),
        timed("\"9999-12-31T23:59:60.999999999Z\"", scored("good")),
        timed("\"0000-01-01\"", scored("good")),
        timed("\"NaN\"", scored("good")),
        timed("\"-inf\"", scored("good")),
        timed("\"\\u0000\"", scored("good")),
        ignored("100,000 arrays", "[".repeat(DEEP) + &"]".repeat(DEEP)),
        ignored(
            "100,000 objects",
            "{\"a\":".repeat(DEEP) + "1" + &"}".repeat(DEEP),
        ),
        value(
            "100,000 arrays without an end",
            "[".repeat(DEEP),
            Fate::Dead("undecodable"),
        ),
        value(
            "100,000 members",
            format!(
                "{{{}\"text\":\"good\"}}",
                (0..100_000)
                    .map(|n| format!("\"{n}\":{n},"))
                    .collect::<String>()
            ),
            scored("good"),
        ),
    ]
}
