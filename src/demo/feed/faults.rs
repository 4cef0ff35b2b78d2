//! What goes wrong in real feeds, a few messages in a hundred.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::replay::PostFields;

/// A way in which a message is odd or broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No value at all.
    Tombstone,
    /// A text of no characters.
    EmptyText,
    /// Only blanks and control characters.
    BlankText,
    /// The object has no text member.
    NoTextMember,
    /// The object breaks off.
    CutJson,
    /// Not JSON in the first place.
    NotJson,
    /// JSON, but no object.
    WrongShape,
    /// Bytes that are no UTF-8, inside the text.
    BrokenBytes,
    /// Control characters, zero-width and right-to-left marks inside the text.
    ControlCharacters,
    /// Tens of thousands of characters.
    VeryLong,
    /// A clock that is years off.
    WildTime,
}

/// Each fault with how many of ten thousand messages have it.
pub(super) const FAULTS: [(Fault, u32); 11] = [
    (Fault::Tombstone, 30),
    (Fault::EmptyText, 40),
    (Fault::BlankText, 20),
    (Fault::NoTextMember, 20),
    (Fault::CutJson, 40),
    (Fault::NotJson, 20),
    (Fault::WrongShape, 10),
    (Fault::BrokenBytes, 40),
    (Fault::ControlCharacters, 40),
    (Fault::VeryLong, 10),
    (Fault::WildTime, 20),
];

/// Clocks that are years off: of 1900, 1970 and 2100.
const WILD: [i64; 3] = [-2_208_988_800, 0, 4_102_444_800];

/// The value of a message with this fault, made from a sound post. In a feed whose times lie in the past no clock is ahead.
pub(super) fn spoil(
    rng: &mut ChaCha8Rng,
    fault: Fault,
    mut post: PostFields,
    past: bool,
) -> Option<Vec<u8>> {
    let json = |post: &PostFields| post.to_json().to_string().into_bytes();
    Some(match fault {
        Fault::Tombstone => return None,
        Fault::EmptyText => {
            post.text.clear();
            json(&post)
        }
        Fault::BlankText => {
            post.text = " \t\u{0}\u{200b}\n ".into();
            json(&post)
        }
        Fault::NoTextMember => {
            let mut object = post.to_json();
            if let Some(members) = object.as_object_mut() {
                members.remove("text");
            }
            object.to_string().into_bytes()
        }
        Fault::CutJson => {
            let mut bytes = json(&post);
            bytes.truncate(rng.random_range(1..bytes.len()));
            bytes
        }
        Fault::NotJson => post.text.into_bytes(),
        Fault::WrongShape => serde_json::json!([post.text]).to_string().into_bytes(),
        Fault::BrokenBytes => {
            let marked = format!("\u{1}{}", post.text);
            post.text = marked;
            // The mark is escaped in JSON; in its place come bytes that no UTF-8 has.
            replace(&json(&post), br"\u0001", &[0xff, 0xfe, 0xe2, 0x82])
        }
        Fault::ControlCharacters => {
            post.text = format!("\u{7}\u{202e}{}\u{0}\u{200d}\u{1b}[31m", post.text);
            json(&post)
        }
        Fault::VeryLong => {
            let times = rng.random_range(200..600);
            post.text = vec![post.text; times].join(" ");
            json(&post)
        }
        Fault::WildTime => {
            let wild = WILD[rng.random_range(0..WILD.len())];
            let seconds = if past { wild.min(0) } else { wild };
            post.event_time = chrono::DateTime::from_timestamp(seconds, 0);
            json(&post)
        }
    })
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes.to_vec(),
    }
}
