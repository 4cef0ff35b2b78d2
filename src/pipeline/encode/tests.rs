use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::record::{DeadReason, Message, ModelVersion, Origin, Prediction, Problem};

fn encoder(max_bytes: usize) -> Encoder {
    let topics = OutputConfig {
        results: "results".into(),
        dead_letters: "dead".into(),
    };
    Encoder::new(topics, "group", max_bytes)
}

fn model() -> Arc<ModelVersion> {
    Arc::new(ModelVersion {
        version: "abc".into(),
        labels: vec!["negative".into(), "positive".into()],
        problem: Problem::SingleLabel,
    })
}

fn raw(payload: Option<&[u8]>) -> RawMessage {
    RawMessage {
        origin: Origin {
            topic: Arc::from("posts"),
            partition: 2,
            offset: 7,
        },
        kafka_time: "2026-01-02T03:04:05Z".parse().unwrap(),
        key: Some(Bytes::from_static(b"key")),
        headers: vec![
            ("traceparent".into(), Some(Bytes::from_static(b"00-1-2-01"))),
            ("secret".into(), Some(Bytes::from_static(b"x"))),
        ],
        payload: payload.map(Bytes::copy_from_slice),
    }
}

fn scored(text: &str) -> Outcome {
    Outcome::Scored(Scored {
        message: Message {
            raw: raw(None),
            id: Some("1".into()),
            text: text.into(),
            author: None,
            source: Some("feed".into()),
            subject: None,
            language: None,
            event_time: "2015-02-24T19:35:52Z".parse().unwrap(),
        },
        model: model(),
        prediction: Prediction {
            label: 1,
            probabilities: vec![0.25, 0.75],
        },
        shadow: None,
        tokens: 5,
        truncated: false,
    })
}

fn dead(payload: Option<&[u8]>) -> Outcome {
    Outcome::Dead(DeadLetter {
        raw: raw(payload),
        reason: DeadReason::Undecodable,
        detail: "expected JSON".into(),
    })
}

fn body(record: &Record<'_>) -> Value {
    serde_json::from_slice(&record.value).unwrap()
}

fn header<'a>(record: &'a Record<'_>, name: &str) -> Option<&'a [u8]> {
    record
        .headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| &**value)
}

#[test]
fn a_result_holds_the_message_the_prediction_and_where_it_came_from() {
    let encoder = encoder(1_000_000);
    let record = encoder.encode(&scored("so \"good\""));
    assert_eq!(record.topic, "results");
    let expected = json!({
        "id": "1", "source": "feed", "event_time": "2015-02-24T19:35:52.000Z", "text": "so \"good\"",
        "label": "positive", "probabilities": {"negative": 0.25, "positive": 0.75}, "model": "abc",
        "tokens": 5, "truncated": false, "origin": {"topic": "posts", "partition": 2, "offset": 7},
    });
    assert_eq!(body(&record), expected);
    assert_eq!(record.key.as_deref(), Some(&b"key"[..]));
    assert_eq!(header(&record, "ce_id"), Some(&b"posts[2]@7"[..]));
    assert_eq!(header(&record, "traceparent"), Some(&b"00-1-2-01"[..]));
    assert_eq!(header(&record, "secret"), None);
}

#[test]
fn a_dead_letter_says_why_and_holds_the_original_bytes() {
    let encoder = encoder(1_000_000);
    let record = encoder.encode(&dead(Some(b"\xff{")));
    assert_eq!(record.topic, "dead");
    let letter = body(&record);
    assert_eq!(
        (&letter["reason"], &letter["payload_bytes"]),
        (&json!("undecodable"), &json!(2))
    );
    assert_eq!(
        BASE64.decode(letter["payload"].as_str().unwrap()).unwrap(),
        b"\xff{"
    );
    assert_eq!(header(&record, "__connect.errors.offset"), Some(&b"7"[..]));
    assert_eq!(
        header(&record, "__connect.errors.exception.message"),
        Some(&b"expected JSON"[..])
    );
    assert!(body(&encoder.encode(&dead(None))).get("payload").is_none());
}

#[test]
fn what_would_be_too_large_is_cut_and_says_so() {
    let encoder = encoder(10_000);
    let result = encoder.encode(&scored(&"é\n".repeat(50_000)));
    assert!(result.value.len() <= 10_000 && result.value.len() > 8_000);
    assert_eq!(body(&result)["text_cut"], json!(true));
    let letter = encoder.encode(&dead(Some(&[7; 50_000])));
    assert!(letter.value.len() <= 10_000 && letter.value.len() > 8_000);
    assert_eq!(
        (
            &body(&letter)["payload_cut"],
            &body(&letter)["payload_bytes"]
        ),
        (&json!(true), &json!(50_000))
    );
}

proptest! {
    #[test]
    fn no_record_is_larger_than_the_topic_takes(text in ".{0,6000}", max in 4_000_usize..8_000) {
        let encoder = encoder(max);
        for outcome in [scored(&text), dead(Some(text.as_bytes()))] {
            let record = encoder.encode(&outcome);
            let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(record.value.len() + headers + 3 <= max, "{}", record.value.len());
            prop_assert!(serde_json::from_slice::<Value>(&record.value).is_ok());
        }
    }
}
