//! Where each tensor lies in the one slice that holds all parameters but the word embeddings.
//!
//! Gradients and the optimiser's moments have the same layout, so that clipping and AdamW are one
//! loop over one slice. The word table is apart because its gradient is sparse. Keys and values lie
//! side by side, so that one matrix product computes both.

use std::ops::Range;
use tidewatch_kernels::linear::Shape;

use super::bert::BertConfig;

/// One tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Name in Hugging Face's `BertForSequenceClassification`.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its values in the slice.
    pub range: Range<usize>,
    /// Whether weight decay applies: not to biases and layer norms.
    pub decays: bool,
}

/// An affine map: weight `outputs` x `inputs`, bias `outputs`.
#[derive(Debug, Clone)]
pub struct Affine {
    /// Sizes of the map.
    pub shape: Shape,
    /// Its weight in the slice.
    pub weight: Range<usize>,
    /// Its bias in the slice.
    pub bias: Range<usize>,
}

/// A layer norm's scale and shift.
#[derive(Debug, Clone)]
pub struct Norm {
    /// gamma in the slice.
    pub weight: Range<usize>,
    /// beta in the slice.
    pub bias: Range<usize>,
}

/// The parameters of one encoder layer.
#[derive(Debug, Clone)]
pub struct LayerLayout {
    /// Query projection.
    pub query: Affine,
    /// Key and value projections as one map with twice the outputs.
    pub key_value: Affine,
    /// Projection of the attention's context.
    pub attention_output: Affine,
    /// Norm after the attention.
    pub attention_norm: Norm,
    /// Into the feed-forward part.
    pub intermediate: Affine,
    /// Out of the feed-forward part.
    pub output: Affine,
    /// Norm after the feed-forward part.
    pub output_norm: Norm,
}

/// The parameters of the whole model.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The word embedding table (its range is that of its own slice).
    pub words: Spec,
    /// Every other tensor, in the order of the slice.
    pub dense: Vec<Spec>,
    /// Position embeddings in the slice.
    pub positions: Range<usize>,
    /// Token type embeddings in the slice.
    pub types: Range<usize>,
    /// Norm of the embeddings.
    pub embedding_norm: Norm,
    /// The layers, first to last.
    pub layers: Vec<LayerLayout>,
    /// Dense layer on the first token.
    pub pooler: Affine,
    /// The classification head.
    pub classifier: Affine,
}

/// Name of the word embedding table in a checkpoint.
pub const WORDS: &str = "bert.embeddings.word_embeddings.weight";

#[derive(Default)]
struct Builder {
    specs: Vec<Spec>,
    next: usize,
}

impl Builder {
    fn tensor(&mut self, name: String, shape: &[usize]) -> Range<usize> {
        let range = self.next..self.next + shape.iter().product::<usize>();
        self.next = range.end;
        let decays = !(name.ends_with(".bias") || name.contains("LayerNorm"));
        self.specs.push(Spec {
            name,
            shape: shape.to_vec(),
            range: range.clone(),
            decays,
        });
        range
    }

    fn affine(&mut self, names: &[&str], inputs: usize, outputs_each: usize) -> Affine {
        let weights: Vec<_> = names
            .iter()
            .map(|n| self.tensor(format!("{n}.weight"), &[outputs_each, inputs]))
            .collect();
        let biases: Vec<_> = names
            .iter()
            .map(|n| self.tensor(format!("{n}.bias"), &[outputs_each]))
            .collect();
        Affine {
            shape: Shape {
                inputs,
                outputs: outputs_each * names.len(),
            },
            weight: joined(&weights),
            bias: joined(&biases),
        }
    }

    fn norm(&mut self, name: &str, width: usize) -> Norm {
        Norm {
            weight: self.tensor(format!("{name}.weight"), &[width]),
            bias: self.tensor(format!("{name}.bias"), &[width]),
        }
    }

    fn layer(&mut self, index: usize, config: &BertConfig) -> LayerLayout {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("bert.encoder.layer.{index}.{part}");
        LayerLayout {
            query: self.affine(&[&name("attention.self.query")], hidden, hidden),
            key_value: self.affine(
                &[&name("attention.self.key"), &name("attention.self.value")],
                hidden,
                hidden,
            ),
            attention_output: self.affine(&[&name("attention.output.dense")], hidden, hidden),
            attention_norm: self.norm(&name("attention.output.LayerNorm"), hidden),
            intermediate: self.affine(&[&name("intermediate.dense")], hidden, inner),
            output: self.affine(&[&name("output.dense")], inner, hidden),
            output_norm: self.norm(&name("output.LayerNorm"), hidden),
        }
    }
}

/// The range from the first to the last of some that follow each other.
fn joined(ranges: &[Range<usize>]) -> Range<usize> {
    let start = ranges.first().map_or(0, |range| range.start);
    start..ranges.last().map_or(start, |range| range.end)
}

impl Layout {
    /// The layout of a classifier with `labels` classes on this encoder.
    pub fn new(config: &BertConfig, labels: usize) -> Self {
        let hidden = config.hidden_size;
        let mut builder = Builder::default();
        let positions = builder.tensor(
            "bert.embeddings.position_embeddings.weight".into(),
            &[config.max_position_embeddings, hidden],
        );
        let types = builder.tensor(
            "bert.embeddings.token_type_embeddings.weight".into(),
            &[config.type_vocab_size, hidden],
        );
        let embedding_norm = builder.norm("bert.embeddings.LayerNorm", hidden);
        let layers = (0..config.num_hidden_layers)
            .map(|index| builder.layer(index, config))
            .collect();
        let pooler = builder.affine(&["bert.pooler.dense"], hidden, hidden);
        let classifier = builder.affine(&["classifier"], hidden, labels);
        Self {
            words: Spec {
                name: WORDS.into(),
                shape: vec![config.vocab_size, hidden],
                range: 0..config.vocab_size * hidden,
                decays: true,
            },
            dense: builder.specs,
            positions,
            types,
            embedding_norm,
            layers,
            pooler,
            classifier,
        }
    }

    /// Number of values in the slice of all tensors but the words.
    pub fn dense_len(&self) -> usize {
        self.dense.last().map_or(0, |spec| spec.range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tensors_of_a_layout_lie_end_to_end_and_have_distinct_names() {
        let config: BertConfig = serde_json::from_str(
            r#"{"vocab_size":100,"hidden_size":32,"intermediate_size":64,"num_hidden_layers":2,
                "num_attention_heads":4,"max_position_embeddings":40}"#,
        )
        .unwrap();
        let layout = Layout::new(&config, 3);
        let mut end = 0;
        for spec in &layout.dense {
            assert_eq!(spec.range.start, end, "{}", spec.name);
            end = spec.range.end;
        }
        assert_eq!(end, layout.dense_len());
        let names: std::collections::HashSet<_> =
            layout.dense.iter().map(|spec| &spec.name).collect();
        assert_eq!(names.len(), 4 + 2 * 16 + 4);
        assert_eq!(layout.layers[1].key_value.weight.len(), 2 * 32 * 32);
    }

    #[test]
    fn weight_decay_spares_biases_and_layer_norms() {
        let config: BertConfig = serde_json::from_str(
            r#"{"vocab_size":10,"hidden_size":4,"intermediate_size":8,"num_hidden_layers":1,
                "num_attention_heads":2,"max_position_embeddings":8}"#,
        )
        .unwrap();
        let spared = Layout::new(&config, 2)
            .dense
            .iter()
            .filter(|spec| !spec.decays)
            .count();
        assert_eq!(
            spared,
            2 + 6 + 4 + 2,
            "norms of the embeddings and layer, six biases, two in the head"
        );
    }
}
