use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::record::Origin;

fn decoder() -> Decoder {
    Decoder::new(&toml::from_str("topic = 'posts'").unwrap(), usize::MAX)
}

fn raw(payload: &str) -> RawMessage {
    RawMessage {
        origin: Origin {
            topic: Arc::from("posts"),
            partition: 1,
            offset: 5,
        },
        kafka_time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        key: None,
        headers: Vec::new(),
        payload: Some(payload.to_owned().into()),
    }
}

fn record(more: Value) -> Vec<u8> {
    let mut record = json!({
        "id": "7", "source": "feed", "event_time": "2026-01-01T00:00:00.123Z", "text": "so good", "label": "good",
        "probabilities": {"bad": 0.25, "good": 0.75}, "model": "v1", "tokens": 4, "truncated": false,
    });
    for (member, value) in more.as_object().unwrap() {
        record[member] = value.clone();
    }
    record.to_string().into_bytes()
}

fn scored(record: &[u8], payload: &str) -> Scored {
    match rebuild(Kind::Result, record, raw(payload), &decoder()).unwrap() {
        Outcome::Scored(scored) => scored,
        Outcome::Dead(letter) => panic!("{letter:?}"),
    }
}

#[test]
fn the_record_counts_and_the_message_gives_what_it_lacks() {
    let payload =
        r#"{"text":"another","source":"another","event_time":"2026-01-01T00:00:00.123456Z"}"#;
    let scored = scored(&record(json!({})), payload);
    let message = &scored.message;
    assert_eq!(
        (&*message.text, message.source.as_deref()),
        ("so good", Some("feed"))
    );
    assert_eq!(
        (message.id.as_deref(), message.author.as_deref()),
        (Some("7"), None)
    );
    assert_eq!(
        message.event_time,
        "2026-01-01T00:00:00.123456Z"
            .parse::<DateTime<Utc>>()
            .unwrap()
    );
    assert_eq!(message.raw, raw(payload));
    assert_eq!(
        (scored.prediction.label, &*scored.prediction.probabilities),
        (1, &[0.25, 0.75][..])
    );
    assert_eq!((scored.tokens, scored.truncated), (4, false));
    assert_eq!(
        (&*scored.model.version, &*scored.model.labels),
        ("v1", &["bad".to_owned(), "good".to_owned()][..])
    );
    assert_eq!(scored.model.problem, Problem::SingleLabel);
}

#[test]
fn a_time_that_is_read_otherwise_today_stays_the_records() {
    for payload in [
        r#"{"text":"x","event_time":"2025-01-01T00:00:00Z"}"#,
        "no json",
    ] {
        let scored = scored(&record(json!({})), payload);
        assert_eq!(
            scored.message.event_time,
            "2026-01-01T00:00:00.123Z".parse::<DateTime<Utc>>().unwrap()
        );
    }
    let odd = record(json!({"event_time": "soon"}));
    let scored = scored(&odd, "no json");
    assert_eq!(scored.message.event_time, raw("").kafka_time);
}

#[test]
fn a_text_that_was_cut_for_its_size_is_whole_again() {
    let payload = r#"{"text":"so good that it goes on","id":"long id","source":"feed"}"#;
    let cut = record(json!({"text_cut": true, "id": "lon…"}));
    let whole = scored(&cut, payload);
    assert_eq!(
        (&*whole.message.text, whole.message.id.as_deref()),
        ("so good that it goes on", Some("long id"))
    );
    // But not from a message that holds another text as it is read today.
    let other = scored(&cut, r#"{"text":"quite another"}"#);
    assert_eq!(
        (&*other.message.text, other.message.id.as_deref()),
        ("so good", Some("lon…"))
    );
}

#[test]
fn a_dead_letter_has_its_bytes_from_the_message() {
    let record =
        br#"{"reason":"undecodable","detail":"expected JSON","payload":"Ym8=","payload_cut":true}"#;
    let rebuilt = rebuild(Kind::Dead, record, raw("broken"), &decoder()).unwrap();
    let Outcome::Dead(letter) = rebuilt else {
        panic!("it is dead")
    };
    assert_eq!(
        (letter.reason, &*letter.detail),
        (DeadReason::Undecodable, "expected JSON")
    );
    assert_eq!(letter.raw, raw("broken"));
}

#[test]
fn what_cannot_be_put_together_says_why() {
    let failed = |kind, record: &[u8]| rebuild(kind, record, raw("x"), &decoder()).err().unwrap();
    assert!(failed(Kind::Dead, br#"{"reason":"sleepy","detail":""}"#).contains("sleepy"));
    assert!(failed(Kind::Dead, b"x").contains("cannot be read"));
    assert!(failed(Kind::Result, &record(json!({"label": "odd"}))).contains("no probability"));
}

#[test]
fn probabilities_come_in_the_order_of_the_database() {
    let mut one = scored(&record(json!({})), "{}");
    assert!(!reorder(&mut one, &["good".into(), "ugly".into()]));
    assert!(!reorder(&mut one, &["good".into()]));
    assert!(reorder(&mut one, &["good".into(), "bad".into()]));
    assert_eq!(
        (one.prediction.label, &*one.prediction.probabilities),
        (0, &[0.75, 0.25][..])
    );
}
