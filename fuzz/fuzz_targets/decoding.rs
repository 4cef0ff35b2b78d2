//! What both decoders' targets share.

use std::sync::Arc;

use tidewatch::pipeline::Decoder;
use tidewatch::record::{Decoded, Message, Origin, RawMessage};

/// More than any input of the fuzzer is long, so that the limit is crossed by none but the decoder made for it.
pub const MAX_BYTES: usize = 1 << 20;

/// A decoder for an `[[input]]` of this TOML.
pub fn decoder(input: &str, max_bytes: usize) -> Decoder {
    let input = toml::from_str(&format!("topic = 'posts'\n{input}")).expect("the input is sound");
    Decoder::new(&input, max_bytes)
}

/// Decodes the bytes and holds what must be true of whatever comes out.
pub fn decode(decoder: &Decoder, payload: &[u8]) -> Option<Message> {
    let raw = RawMessage {
        origin: Origin {
            topic: Arc::clone(&decoder.topic),
            partition: 3,
            offset: 14,
        },
        kafka_time: chrono::DateTime::UNIX_EPOCH,
        key: None,
        headers: Vec::new(),
        payload: Some(bytes::Bytes::copy_from_slice(payload)),
    };
    let decoded = decoder.decode(raw.clone());
    assert_eq!(*decoded.raw(), raw, "the record is passed on as it was");
    assert_eq!(
        decoder.decode(raw),
        decoded,
        "the same bytes give the same outcome"
    );
    match decoded {
        Decoded::Message(message) => {
            let read = message
                .text
                .chars()
                .filter(|c| !c.is_whitespace() && !c.is_control());
            assert_ne!(read.count(), 0, "there is something to read in the text");
            let names = [
                &message.id,
                &message.author,
                &message.source,
                &message.subject,
                &message.language,
            ];
            assert!(
                names.into_iter().flatten().all(|name| !name.is_empty()),
                "no name is empty"
            );
            Some(message)
        }
        Decoded::Dead(letter) => {
            assert!(!letter.detail.is_empty(), "a dead letter says why");
            None
        }
    }
}
