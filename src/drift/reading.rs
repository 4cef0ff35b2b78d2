//! What the detector keeps of one scored message.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::record::{Encoded, Prediction};

/// One scored message, as far as the detector looks at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When it was written, in milliseconds since 1970.
    pub time: i64,
    /// What the text is, and what it is but for case, links, mentions, numbers and punctuation.
    pub print: Fingerprint,
    /// Tells its author from others; none where the message does not say who wrote it.
    pub author: Option<u64>,
    /// The platform or feed; empty where the message does not say.
    pub source: Arc<str>,
    /// What the message is about; empty where it does not say.
    pub subject: Arc<str>,
    /// Index of the predicted label.
    pub label: usize,
    /// One calibrated probability for each label, in the labels' order.
    pub probabilities: Vec<f32>,
    /// Token ids without special tokens.
    pub tokens: Vec<u32>,
    /// Words of the text, as white space separates them, but no more than it has tokens: one that was cut has more words.
    pub words: u32,
    /// The text was longer than the model takes.
    pub truncated: bool,
}

/// What a reading takes of the message itself.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    pub text: &'a str,
    /// When it was written, in milliseconds since 1970.
    pub time: i64,
    pub author: Option<&'a str>,
    pub source: Option<&'a str>,
    pub subject: Option<&'a str>,
}

impl Reading {
    /// Of a message, its tokens and what the model says. `special` are the tokens that stand round every text, sorted.
    #[must_use]
    pub fn of(
        message: Described<'_>,
        encoded: &Encoded,
        prediction: &Prediction,
        special: &[u32],
    ) -> Self {
        let tokens = encoded.ids.iter().copied();
        let tokens: Vec<u32> = tokens
            .filter(|id| special.binary_search(id).is_err())
            .collect();
        let words = message.text.split_whitespace().take(tokens.len()).count();
        Self {
            time: message.time,
            print: Fingerprint::of(message.text),
            author: message.author.map(hash),
            source: Arc::from(message.source.unwrap_or_default()),
            subject: Arc::from(message.subject.unwrap_or_default()),
            label: prediction.label,
            probabilities: prediction.probabilities.clone(),
            words: u32::try_from(words).unwrap_or(u32::MAX),
            tokens,
            truncated: encoded.truncated,
        }
    }
}

/// Tells copies of a text: two numbers that are equal for equal, or nearly equal, texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint {
    /// Of the text as it is.
    pub exact: u64,
    /// Of its words: lower case, without links, mentions, a leading "RT", digits and punctuation. A text of which nothing is
    /// left that way has its exact one here.
    pub near: u64,
}

impl Fingerprint {
    /// The fingerprint of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let exact = hash(text);
        let words = words(text);
        let near = if words.is_empty() {
            exact
        } else {
            hash(&words)
        };
        Self { exact, near }
    }
}

/// The words of a text that a copy keeps.
fn words(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut first = true;
    for word in text.split_whitespace() {
        let leads = std::mem::take(&mut first);
        let is_link = word.contains("://") || word.starts_with("www.");
        let is_mention = word.starts_with('@') || word.starts_with(".@");
        let is_retweet = leads && word.trim_end_matches(':') == "RT";
        if is_link || is_mention || is_retweet {
            continue;
        }
        let before = kept.len();
        kept.extend(
            word.chars()
                .filter(|c| !c.is_ascii_punctuation() && !c.is_numeric())
                .flat_map(char::to_lowercase),
        );
        if kept.len() > before {
            kept.push(' ');
        }
    }
    kept
}

fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retweet_with_another_link_is_a_near_copy_and_not_an_exact_one() {
        let one = Fingerprint::of("What a great day! https://t.co/abc");
        let other = Fingerprint::of("RT @someone: what a GREAT day https://t.co/xyz");
        assert_eq!(one.near, other.near);
        assert_ne!(one.exact, other.exact);
    }

    #[test]
    fn other_words_in_the_same_order_are_no_copy() {
        assert_ne!(
            Fingerprint::of("not good").near,
            Fingerprint::of("good").near
        );
    }

    #[test]
    fn texts_without_words_are_near_only_to_themselves() {
        let one = Fingerprint::of("https://t.co/abc");
        assert_ne!(one.near, Fingerprint::of("!!! 123").near);
        assert_eq!(one, Fingerprint::of("https://t.co/abc"));
    }
}
