//! The shape of a BERT encoder, as `config.json` gives it.

use serde::Deserialize;

/// The fields of a Hugging Face `config.json` that decide what is computed. Others are ignored here
/// and passed on untouched when a checkpoint is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BertConfig {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of a token's vector.
    pub hidden_size: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Attention heads of a layer.
    pub num_attention_heads: usize,
    /// Longest sequence, in tokens, special tokens included.
    pub max_position_embeddings: usize,
    /// Rows of the token type table.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// Added to the variance in a layer norm.
    #[serde(default = "tiny")]
    pub layer_norm_eps: f32,
    /// Activation of the feed-forward part; only `gelu` (by erf) is known.
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// Share of a layer's outputs dropped in training.
    #[serde(default = "tenth")]
    pub hidden_dropout_prob: f32,
    /// Share of the attention probabilities dropped in training.
    #[serde(default = "tenth")]
    pub attention_probs_dropout_prob: f32,
    /// Family of the architecture; only `bert` is known.
    #[serde(default = "bert")]
    pub model_type: String,
    /// How positions are encoded; only `absolute` is known.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
}

fn two() -> usize {
    2
}

fn tiny() -> f32 {
    1e-12
}

fn tenth() -> f32 {
    0.1
}

fn gelu() -> String {
    "gelu".into()
}

fn bert() -> String {
    "bert".into()
}

fn absolute() -> String {
    "absolute".into()
}

impl BertConfig {
    /// Says in a sentence why this encoder cannot be trained here, if it cannot.
    pub fn refusal(&self) -> Option<String> {
        if self.model_type != "bert" {
            return Some(format!(
                "its model_type is '{}'; only 'bert' can be trained",
                self.model_type
            ));
        }
        if self.hidden_act != "gelu" {
            return Some(format!(
                "its hidden_act is '{}'; only 'gelu' can be trained",
                self.hidden_act
            ));
        }
        if self.position_embedding_type != "absolute" {
            return Some(format!(
                "its position_embedding_type is '{}'; only 'absolute' can be trained",
                self.position_embedding_type
            ));
        }
        if self.num_attention_heads == 0
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            return Some(format!(
                "its hidden_size {} is not a multiple of its {} attention heads",
                self.hidden_size, self.num_attention_heads
            ));
        }
        if self.type_vocab_size == 0 || self.num_hidden_layers == 0 || self.vocab_size == 0 {
            return Some("it has an empty vocabulary, no token type or no layer".into());
        }
        None
    }

    /// Width of one attention head.
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}
