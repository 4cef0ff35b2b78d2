//! From texts to token ids.

use std::borrow::Cow;

use tokenizers::tokenizer::{Encoding, PostProcessor, TruncationDirection};

use super::error::ModelError;
use super::manifest::{Bundle, TOKENIZER_FILE};
use crate::record::Encoded;

/// Bytes of a text that are tokenised at first: an ordinary post fits, and a longer one mostly fills the model with less.
const FIRST_BYTES: usize = 4096;
/// How much more is taken where that was not enough.
const GROWTH: usize = 4;
/// Bytes of a text that are looked at in all, white space collapsed. Only a text that says less than the model can take in
/// so many bytes (a "word" that never ends) has more to say; it counts as cut.
const MOST_BYTES: usize = 1 << 18;
/// Bytes before a cut in which a token may still change with what was cut off, beside those of the last word: an added token
/// such as `[SEP]` is matched across words.
const UNSETTLED_BYTES: usize = 64;

/// A bundle's tokenizer; any number of threads may use it at the same time.
///
/// A text goes in as it is, as it did in training: what becomes of control characters, accents and upper case is the
/// tokenizer's own (BERT's drops control characters and U+FFFD, and reads every white space as a space).
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    max_tokens: usize,
    /// Tokens of a text that fit beside the special ones.
    room: usize,
    /// White space only separates: a run of it means what one space means.
    space_separates: bool,
}

impl Tokenizer {
    /// Opens a bundle's tokenizer.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] when the file does not parse or does not fit the manifest.
    pub fn open(bundle: &Bundle) -> Result<Self, ModelError> {
        let path = bundle.file(TOKENIZER_FILE);
        let manifest = &bundle.manifest;
        Self::new(&path, manifest.max_tokens, manifest.pad_token_id)
            .map_err(|reason| ModelError::Tokenizer { path, reason })
    }

    fn new(path: &std::path::Path, max_tokens: usize, padding: u32) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        Self::from_json(&bytes, max_tokens, padding)
    }

    /// Reads the contents of a `tokenizer.json`, for a model that takes `max_tokens`, special ones included.
    ///
    /// # Errors
    /// One sentence about what does not fit.
    pub fn from_json(bytes: &[u8], max_tokens: usize, padding: u32) -> Result<Self, String> {
        let mut inner =
            tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
        inner
            .with_padding(None)
            .with_truncation(None)
            .map_err(|error| error.to_string())?;
        if inner.id_to_token(padding).is_none() {
            return Err(format!("it has no token {padding}, the manifest's padding"));
        }
        let special = inner
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(false));
        if special >= max_tokens {
            return Err(format!(
                "its {special} special tokens fill the model, which takes {max_tokens}"
            ));
        }
        let ids = |text: &str| {
            let encoding = inner
                .encode_fast(text, true)
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(encoding.get_ids().to_vec())
        };
        let space_separates = ids("a b")? == ids(" \t a \u{2003}\n  b\r\n ")?;
        Ok(Self {
            inner,
            max_tokens,
            room: max_tokens - special,
            space_separates,
        })
    }

    /// Tokens in the vocabulary, added ones included: every id is below it.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        let vocabulary = self.inner.get_vocab(true);
        vocabulary
            .values()
            .max()
            .map_or(0, |&highest| highest as usize + 1)
    }

    /// Most tokens of a text that the model reads, special tokens included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The tokens that stand round every text and say nothing of it, sorted.
    #[must_use]
    pub fn special_tokens(&self) -> Vec<u32> {
        let mut special = self.encode("").ids;
        special.sort_unstable();
        special.dedup();
        special
    }

    /// The token that stands for whatever the vocabulary lacks, under the names in use (BERT's and SentencePiece's).
    #[must_use]
    pub fn unknown_token(&self) -> Option<u32> {
        ["[UNK]", "<unk>"]
            .iter()
            .find_map(|name| self.inner.token_to_id(name))
    }

    /// A token as it is written in the vocabulary.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The token ids of a text, special tokens included, cut at the end to what the model takes.
    ///
    /// They are those of the whole text, at a cost that does not grow with it. A text that the tokenizer fails on gets no
    /// ids at all, which no model scores.
    #[must_use]
    pub fn encode(&self, text: &str) -> Encoded {
        self.try_encode(text).unwrap_or_else(|error| {
            tracing::debug!(%error, "the tokenizer failed on a text");
            Encoded {
                ids: Vec::new(),
                truncated: false,
            }
        })
    }

    fn try_encode(&self, text: &str) -> tokenizers::Result<Encoded> {
        if text.len() <= FIRST_BYTES {
            let encoding = self.inner.encode_fast(text, true)?;
            if encoding.len() <= self.max_tokens {
                return Ok(encoded(&encoding, false));
            }
        }
        let (text, clipped) = self.clip(text);
        let mut encoding = self.beginning(&text)?;
        let truncated = clipped || encoding.len() > self.room;
        encoding.truncate(self.room, 0, TruncationDirection::Right);
        // What was cut off, which would be given special tokens too.
        drop(encoding.take_overflowing());
        let encoding = self.inner.post_process(encoding, None, true)?;
        Ok(encoded(&encoding, truncated))
    }

    /// The part of a text that is looked at, and whether that is less than all of it.
    fn clip<'a>(&self, text: &'a str) -> (Cow<'a, str>, bool) {
        if text.len() <= MOST_BYTES {
            return (text.into(), false);
        }
        if !self.space_separates {
            return (text[..text.floor_char_boundary(MOST_BYTES)].into(), true);
        }
        let mut clipped = String::with_capacity(MOST_BYTES);
        for word in text.split_whitespace() {
            let left = MOST_BYTES - clipped.len();
            if word.len() >= left {
                clipped.push_str(&word[..word.floor_char_boundary(left)]);
                return (clipped.into(), true);
            }
            clipped.push_str(word);
            clipped.push(' ');
        }
        (clipped.into(), false)
    }

    /// The tokens of a text, without special ones: all of them, or as many as fill the model and some more.
    ///
    /// Ever longer beginnings are tokenised until one has enough tokens that are settled.
    fn beginning(&self, text: &str) -> tokenizers::Result<Encoding> {
        let mut bytes = FIRST_BYTES;
        loop {
            let end = text.floor_char_boundary(bytes);
            let encoding = self.inner.encode(&text[..end], false)?;
            if end == text.len() || settled(&encoding, end) > self.room {
                return Ok(encoding);
            }
            bytes *= GROWTH;
        }
    }
}

fn encoded(encoding: &Encoding, truncated: bool) -> Encoded {
    Encoded {
        ids: encoding.get_ids().to_vec(),
        truncated,
    }
}

/// How many of the first tokens stay the same however the text goes on after `end`.
///
/// A tokenizer splits a text into words and these into tokens, so those before the last word are settled, unless they are so
/// close to the end that they may become part of an added token.
fn settled(encoding: &Encoding, end: usize) -> usize {
    let words = encoding.get_word_ids();
    let last = words.last().copied().flatten();
    let in_last = words.iter().rev().take_while(|word| **word == last).count();
    let before_last = &encoding.get_offsets()[..words.len() - in_last];
    before_last
        .iter()
        .rposition(|(_, to)| to + UNSETTLED_BYTES <= end)
        .map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests;
