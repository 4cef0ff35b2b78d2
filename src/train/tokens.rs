//! Examples as token ids.

use rayon::prelude::*;
use tokenizers::{Tokenizer, TruncationParams};

use super::data::Example;
use super::error::TrainError;

/// A tokenised example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, special tokens included.
    pub tokens: Vec<u32>,
    /// Index of the class.
    pub label: u32,
}

/// Tokenises examples in parallel; texts of more than `max_tokens` tokens (special ones included) are
/// cut at the end.
pub fn encode(
    tokenizer: &Tokenizer,
    examples: &[Example],
    max_tokens: usize,
) -> Result<Vec<Encoded>, TrainError> {
    let unusable = |error: tokenizers::Error| {
        TrainError::Data(format!("a text cannot be tokenised ({error})"))
    };
    let mut tokenizer = tokenizer.clone();
    let truncation = TruncationParams {
        max_length: max_tokens,
        ..TruncationParams::default()
    };
    tokenizer
        .with_truncation(Some(truncation))
        .map_err(unusable)?;
    examples
        .par_iter()
        .map(|example| {
            let encoding = tokenizer
                .encode_fast(example.text.as_str(), true)
                .map_err(unusable)?;
            Ok(Encoded {
                tokens: encoding.get_ids().to_vec(),
                label: example.label,
            })
        })
        .collect()
}
