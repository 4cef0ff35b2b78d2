//! Any bytes, for a topic of JSON objects.

#![no_main]

mod decoding;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidewatch::pipeline::Decoder;

static PLAIN: LazyLock<Decoder> = LazyLock::new(|| decoding::decoder("", decoding::MAX_BYTES));
static NESTED: LazyLock<Decoder> = LazyLock::new(|| {
    let fields =
        "[fields]\ntext = 'a.b'\nid = 'a.id'\nauthor = 'a.b.c'\nevent_time = 'a.at'\nsource = ''";
    decoding::decoder(&format!("source = 'feed'\n{fields}"), decoding::MAX_BYTES)
});
static SMALL: LazyLock<Decoder> = LazyLock::new(|| decoding::decoder("", 16));

fuzz_target!(|payload: &[u8]| {
    for decoder in [&*PLAIN, &NESTED] {
        if let Some(message) = decoding::decode(decoder, payload) {
            let value: serde_json::Value = serde_json::from_slice(payload).expect("it is JSON");
            assert!(value.is_object());
            assert!(message.source.is_some() || !std::ptr::eq(decoder, &*NESTED));
        }
    }
    let small = decoding::decode(&SMALL, payload);
    assert!(small.is_none() || payload.len() <= 16);
});
