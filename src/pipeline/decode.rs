//! From bytes to a message, or to a dead letter that says why not. Pure.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::config::{DecoderKind, FieldPaths, InputConfig};
use crate::clock;
use crate::json::{Path, kind};
use crate::record::{DeadLetter, DeadReason, Decoded, Message, RawMessage};

/// How the values of one topic are read.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// The topic, shared by every message of it.
    pub topic: Arc<str>,
    kind: DecoderKind,
    paths: Paths,
    source: Option<String>,
    max_bytes: usize,
}

/// [`FieldPaths`], split at their dots.
#[derive(Debug, Clone)]
struct Paths {
    id: Path,
    text: Path,
    author: Path,
    source: Path,
    subject: Path,
    language: Path,
    event_time: Path,
}

impl Paths {
    fn new(fields: &FieldPaths) -> Self {
        Self {
            id: Path::new(&fields.id),
            text: Path::new(&fields.text),
            author: Path::new(&fields.author),
            source: Path::new(&fields.source),
            subject: Path::new(&fields.subject),
            language: Path::new(&fields.language),
            event_time: Path::new(&fields.event_time),
        }
    }
}

impl Decoder {
    /// A decoder for the topic; values longer than `max_bytes` become dead letters.
    #[must_use]
    pub fn new(input: &InputConfig, max_bytes: usize) -> Self {
        Self {
            topic: Arc::from(&*input.topic),
            kind: input.decoder,
            paths: Paths::new(&input.fields),
            source: input.source.clone(),
            max_bytes,
        }
    }

    /// What the record holds.
    #[must_use]
    pub fn decode(&self, raw: RawMessage) -> Decoded {
        let fault = match &raw.payload {
            None => (DeadReason::Tombstone, "the record has no value".to_owned()),
            Some(payload) if payload.len() > self.max_bytes => (
                DeadReason::TooLarge,
                format!(
                    "the value has {} bytes, [batch] max_bytes allows {}",
                    payload.len(),
                    self.max_bytes
                ),
            ),
            Some(payload) => match self.fields(payload, raw.kafka_time) {
                Ok(fields) => return Decoded::Message(fields.message(raw)),
                Err(fault) => fault,
            },
        };
        let (reason, detail) = fault;
        Decoded::Dead(DeadLetter {
            raw,
            reason,
            detail,
        })
    }

    fn fields(
        &self,
        payload: &[u8],
        kafka_time: DateTime<Utc>,
    ) -> Result<Fields, (DeadReason, String)> {
        let mut fields = match self.kind {
            DecoderKind::Json => self.json(payload, kafka_time)?,
            DecoderKind::Text => Fields {
                text: std::str::from_utf8(payload)
                    .map_err(|error| {
                        (
                            DeadReason::Undecodable,
                            format!("expected UTF-8 text: {error}"),
                        )
                    })?
                    .to_owned(),
                id: None,
                author: None,
                source: None,
                subject: None,
                language: None,
                event_time: kafka_time,
            },
        };
        if !fields.text.chars().any(has_meaning) {
            let detail = match fields.text.len() {
                0 => "the text is empty".to_owned(),
                _ => "the text holds only white space and control characters".to_owned(),
            };
            return Err((DeadReason::NoText, detail));
        }
        if fields.source.is_none() {
            fields.source.clone_from(&self.source);
        }
        Ok(fields)
    }

    fn json(
        &self,
        payload: &[u8],
        kafka_time: DateTime<Utc>,
    ) -> Result<Fields, (DeadReason, String)> {
        let undecodable = |detail: String| (DeadReason::Undecodable, detail);
        let value: Value = serde_json::from_slice(payload)
            .map_err(|error| undecodable(format!("expected JSON: {error}")))?;
        if !value.is_object() {
            return Err(undecodable(format!(
                "expected a JSON object, found {}",
                kind(&value)
            )));
        }
        let path = &self.paths.text;
        let text = match path.at(&value) {
            None | Some(Value::Null) => {
                return Err((DeadReason::NoText, format!("there is no field {path}")));
            }
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                return Err(undecodable(format!(
                    "the field {path} is {}, not a string",
                    kind(other)
                )));
            }
        };
        let name = |path: &Path| path.text(&value);
        Ok(Fields {
            text,
            id: name(&self.paths.id),
            author: name(&self.paths.author),
            source: name(&self.paths.source),
            subject: name(&self.paths.subject),
            language: name(&self.paths.language),
            // A time that cannot be read is no reason to lose the message: Kafka's own is close.
            event_time: name(&self.paths.event_time)
                .and_then(|time| clock::parse_time(&time))
                .unwrap_or(kafka_time),
        })
    }
}

/// The fields of a message, before they meet their record.
struct Fields {
    id: Option<String>,
    text: String,
    author: Option<String>,
    source: Option<String>,
    subject: Option<String>,
    language: Option<String>,
    event_time: DateTime<Utc>,
}

impl Fields {
    fn message(self, raw: RawMessage) -> Message {
        Message {
            raw,
            id: self.id,
            text: self.text,
            author: self.author,
            source: self.source,
            subject: self.subject,
            language: self.language,
            event_time: self.event_time,
        }
    }
}

/// Whether a character can carry meaning: anything but white space, control characters and the marks that only join,
/// separate or direct others.
fn has_meaning(c: char) -> bool {
    !(c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Origin;

    fn raw(payload: Option<&[u8]>) -> RawMessage {
        RawMessage {
            origin: Origin {
                topic: Arc::from("posts"),
                partition: 1,
                offset: 5,
            },
            kafka_time: "2026-01-02T03:04:05Z".parse().unwrap(),
            key: None,
            headers: Vec::new(),
            payload: payload.map(|bytes| bytes.to_vec().into()),
        }
    }

    fn decoder(toml: &str) -> Decoder {
        Decoder::new(
            &toml::from_str(&format!("topic = 'posts'\n{toml}")).unwrap(),
            1_000,
        )
    }

    fn message(toml: &str, payload: &str) -> Message {
        match decoder(toml).decode(raw(Some(payload.as_bytes()))) {
            Decoded::Message(message) => message,
            Decoded::Dead(letter) => panic!("{payload}: {letter:?}"),
        }
    }

    fn dead(toml: &str, payload: Option<&[u8]>) -> (DeadReason, String) {
        match decoder(toml).decode(raw(payload)) {
            Decoded::Dead(letter) => (letter.reason, letter.detail),
            Decoded::Message(message) => panic!("{message:?}"),
        }
    }

    #[test]
    fn a_json_object_gives_its_fields_and_keeps_the_text_as_it_is() {
        let post = r#"{"id":7,"text":" so\u0000 good\t😀 ","author":"ann","source":"","language":"en","event_time":"2015-02-24T19:35:52Z"}"#;
        let message = message("source = 'feed'", post);
        assert_eq!(message.id.as_deref(), Some("7"));
        assert_eq!(message.text, " so\0 good\t😀 ");
        assert_eq!(message.author.as_deref(), Some("ann"));
        assert_eq!(message.source.as_deref(), Some("feed"));
        assert_eq!(message.subject, None);
        assert_eq!(message.event_time.timestamp(), 1_424_806_552);
    }

    #[test]
    fn fields_are_found_by_their_paths() {
        let toml = "[fields]\ntext = 'post.body'\nid = 'meta.ids.tweet'\nevent_time = 'meta.at'";
        let message = message(
            toml,
            r#"{"post":{"body":"hi"},"meta":{"ids":{"tweet":"x1"},"at":1424806552000},"text":"no"}"#,
        );
        assert_eq!((&*message.text, message.id.as_deref()), ("hi", Some("x1")));
        assert_eq!(message.event_time.timestamp(), 1_424_806_552);
    }

    #[test]
    fn kafkas_time_stands_in_for_one_that_is_missing_or_cannot_be_read() {
        for post in [r#"{"text":"a"}"#, r#"{"text":"a","event_time":"soon"}"#] {
            assert_eq!(message("", post).event_time, raw(None).kafka_time);
        }
    }

    #[test]
    fn what_cannot_be_scored_is_dead_with_its_reason() {
        let long = format!(r#"{{"text":"{}"}}"#, "a".repeat(2_000));
        let cases: [(Option<&[u8]>, DeadReason, &str); 11] = [
            (None, DeadReason::Tombstone, "no value"),
            (Some(b""), DeadReason::Undecodable, "expected JSON"),
            (Some(b"{\"text\":\"a"), DeadReason::Undecodable, "EOF"),
            (Some(b"[1]"), DeadReason::Undecodable, "an array"),
            (
                Some(b"{\"text\":\"\xff\"}"),
                DeadReason::Undecodable,
                "expected JSON",
            ),
            (
                Some(br#"{"text":"\ud800"}"#),
                DeadReason::Undecodable,
                "hex escape",
            ),
            (Some(br#"{"text":3}"#), DeadReason::Undecodable, "a number"),
            (
                Some(br#"{"body":"a"}"#),
                DeadReason::NoText,
                "no field text",
            ),
            (
                Some(br#"{"text":"\u202e\u2066\u00ad"}"#),
                DeadReason::NoText,
                "white space",
            ),
            (
                Some(br#"{"text":" \u0007\n\u200b"}"#),
                DeadReason::NoText,
                "control",
            ),
            (Some(long.as_bytes()), DeadReason::TooLarge, "max_bytes"),
        ];
        for (payload, reason, words) in cases {
            let (is, detail) = dead("", payload);
            assert_eq!(is, reason, "{detail}");
            assert!(detail.contains(words), "{detail}");
        }
        let (reason, _) = dead("decoder = 'text'", Some(b"caf\xe9"));
        assert_eq!(reason, DeadReason::Undecodable);
    }

    #[test]
    fn plain_text_is_the_value() {
        let message = message("decoder = 'text'", "{\"not\": json");
        assert_eq!(message.text, "{\"not\": json");
    }

    proptest! {
        #[test]
        fn no_bytes_break_a_decoder_and_none_are_lost(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            for toml in ["", "decoder = 'text'"] {
                let decoded = decoder(toml).decode(raw(Some(&payload)));
                prop_assert_eq!(decoded.raw().payload.as_deref(), Some(&payload[..]));
            }
        }
    }
}
