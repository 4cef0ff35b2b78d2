//! Any bytes, for a topic of plain text.

#![no_main]

mod decoding;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidewatch::pipeline::Decoder;

static TEXT: LazyLock<Decoder> =
    LazyLock::new(|| decoding::decoder("decoder = 'text'", decoding::MAX_BYTES));

fuzz_target!(|payload: &[u8]| {
    if let Some(message) = decoding::decode(&TEXT, payload) {
        assert_eq!(message.text.as_bytes(), payload, "the text is the value");
    }
});
