//! A BERT classifier as an ONNX graph.
//!
//! Inputs `input_ids` and `attention_mask`, int64 `[batch, sequence]`; output `logits`, float
//! `[batch, labels]`. Constants keep the names and the layout they have in Hugging Face's checkpoint
//! (8-bit ones beside `NAME.scale`, one scale for each row), so that the weights can be read back from
//! the graph; what ONNX Runtime wants transposed or joined is transposed and joined in the graph, which
//! it works out once when it loads the model.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Attribute, Graph, Value};
use super::message::Dimension;
use super::parts::Queries;
use super::quantise;
use crate::train::bert::BertConfig;
use crate::train::encoder::Model;
use crate::train::export::{Form, Storage};
use crate::train::layout::WORDS;

/// Writes the model as an ONNX file.
pub fn write(model: Model<'_>, form: Form, storage: Storage) -> Vec<u8> {
    let mut writer = Writer::new(model, form, storage);
    let ids = writer.graph.input("input_ids", &["batch", "sequence"]);
    let attention_mask = writer.graph.input("attention_mask", &["batch", "sequence"]);
    let mask = writer.mask(&attention_mask);
    let mut x = writer.embeddings(&ids);
    let layers = writer.config.num_hidden_layers;
    for index in 0..layers {
        let queries = if index + 1 == layers {
            Queries::First
        } else {
            Queries::All
        };
        x = writer.layer(&format!("bert.encoder.layer.{index}"), &x, &mask, queries);
    }
    writer.head(&x);
    let labels = model.layout.classifier.shape.outputs as i64;
    writer.graph.output(
        "logits",
        vec![Dimension::Name("batch".into()), Dimension::Size(labels)],
    );
    writer.graph.encode("classifier")
}

/// Whether a tensor is stored in 8 bits under [`Storage::Int8`]: the large matrices. The head, the
/// positions and all vectors stay exact; together they are 4 % of a MiniLM.
pub fn is_quantised(name: &str, shape: &[usize]) -> bool {
    let exact = ["classifier", "position_embeddings", "token_type_embeddings"];
    shape.len() == 2 && !exact.iter().any(|part| name.contains(part))
}

/// What is known while a graph is written.
pub(super) struct Writer<'a> {
    pub(super) graph: Graph,
    pub(super) config: &'a BertConfig,
    pub(super) form: Form,
    storage: Storage,
    tensors: BTreeMap<&'a str, (&'a [usize], &'a [f32])>,
    added: BTreeSet<String>,
}

impl<'a> Writer<'a> {
    fn new(model: Model<'a>, form: Form, storage: Storage) -> Self {
        let Model {
            config,
            layout,
            weights,
        } = model;
        let dense = layout
            .dense
            .iter()
            .map(|spec| (spec, &weights.dense[spec.range.clone()]));
        let tensors = std::iter::once((&layout.words, weights.words.as_slice()))
            .chain(dense)
            .map(|(spec, values)| (spec.name.as_str(), (spec.shape.as_slice(), values)))
            .collect();
        Self {
            graph: Graph::default(),
            config,
            form,
            storage,
            tensors,
            added: BTreeSet::new(),
        }
    }

    fn tensor(&self, name: &str) -> (&'a [usize], &'a [f32]) {
        *self
            .tensors
            .get(name)
            .expect("the layout names every tensor of the architecture")
    }

    /// A checkpoint tensor as it is, added on first use.
    pub(super) fn floats(&mut self, name: &str) -> Value {
        if self.added.insert(name.into()) {
            let (shape, values) = self.tensor(name);
            self.graph.floats(name, shape, values);
        }
        name.into()
    }

    /// A matrix of the checkpoint, `[outputs, inputs]`, in whichever way it is stored.
    pub(super) fn matrix(&mut self, name: &str) -> Value {
        let (shape, _) = self.tensor(name);
        if self.storage == Storage::Float32 || !is_quantised(name, shape) {
            return self.floats(name);
        }
        let scale = self.quantised(name, &[shape[0]]);
        let rows = vec![Attribute::Int("axis", 0)];
        self.graph.node(
            &format!("{name}/expanded"),
            "DequantizeLinear",
            &[&name.into(), &scale],
            rows,
        )
    }

    /// Adds a matrix in 8 bits; its scales get the given shape. Returns the scales.
    fn quantised(&mut self, name: &str, scale_shape: &[usize]) -> Value {
        let (shape, values) = self.tensor(name);
        let quantised = quantise::by_row(values, shape[1]);
        self.graph.bytes(name, shape, &quantised.values);
        self.graph
            .floats(&format!("{name}.scale"), scale_shape, &quantised.scales)
    }

    pub(super) fn transposed(&mut self, name: &str, matrix: &Value) -> Value {
        self.graph.node(
            name,
            "Transpose",
            &[matrix],
            vec![Attribute::Ints("perm", vec![1, 0])],
        )
    }

    /// `x` times the transposed weight of the affine map `name`, without its bias.
    pub(super) fn product(&mut self, name: &str, x: &Value) -> Value {
        let weight = self.matrix(&format!("{name}.weight"));
        let weight = self.transposed(&format!("{name}/transposed"), &weight);
        self.graph
            .node(&format!("{name}/product"), "MatMul", &[x, &weight], vec![])
    }

    /// The affine map `name` of `x`.
    pub(super) fn affine(&mut self, name: &str, x: &Value) -> Value {
        let product = self.product(name, x);
        let bias = self.floats(&format!("{name}.bias"));
        self.graph.node(name, "Add", &[&product, &bias], vec![])
    }

    pub(super) fn norm(&mut self, name: &str, x: &Value) -> Value {
        let gamma = self.floats(&format!("{name}.weight"));
        let beta = self.floats(&format!("{name}.bias"));
        let epsilon = Attribute::Float("epsilon", self.config.layer_norm_eps);
        let attributes = vec![Attribute::Int("axis", -1), epsilon];
        self.graph
            .node(name, "LayerNormalization", &[x, &gamma, &beta], attributes)
    }

    /// The tokens' vectors. From an 8-bit table only the rows that occur are expanded, so the table
    /// stays a quarter of its size in memory.
    fn words(&mut self, ids: &Value) -> Value {
        if self.storage == Storage::Float32 {
            let table = self.floats(WORDS);
            return self.graph.node("words", "Gather", &[&table, ids], vec![]);
        }
        let rows = self.tensor(WORDS).0[0];
        let scales = self.quantised(WORDS, &[rows, 1]);
        let bytes = self
            .graph
            .node("words/bytes", "Gather", &[&WORDS.into(), ids], vec![]);
        let factors = self
            .graph
            .node("words/factors", "Gather", &[&scales, ids], vec![]);
        let floats = self.graph.node(
            "words/floats",
            "Cast",
            &[&bytes],
            vec![Attribute::Int("to", 1)],
        );
        self.graph
            .node("words", "Mul", &[&floats, &factors], vec![])
    }

    fn embeddings(&mut self, ids: &Value) -> Value {
        let words = self.words(ids);
        let positions = self.floats("bert.embeddings.position_embeddings.weight");
        let types = self.floats("bert.embeddings.token_type_embeddings.weight");
        // Every token is of the first type: a constant that is added once, to the table of positions.
        let first = self.graph.integers("embeddings/first_type", &[0]);
        let kind = self
            .graph
            .node("embeddings/type", "Gather", &[&types, &first], vec![]);
        let table = self
            .graph
            .node("embeddings/table", "Add", &[&positions, &kind], vec![]);
        let dimension = vec![Attribute::Int("start", 1), Attribute::Int("end", 2)];
        let length = self
            .graph
            .node("embeddings/length", "Shape", &[ids], dimension);
        let from = self.graph.integers("embeddings/from", &[0]);
        let axes = self.graph.integers("embeddings/axes", &[0]);
        let inputs = [&table, &from, &length, &axes];
        let positions = self
            .graph
            .node("embeddings/positions", "Slice", &inputs, vec![]);
        let sum = self
            .graph
            .node("embeddings/sum", "Add", &[&words, &positions], vec![]);
        self.norm("bert.embeddings.LayerNorm", &sum)
    }

    fn layer(&mut self, layer: &str, x: &Value, mask: &Value, queries: Queries) -> Value {
        let context = self.attention(layer, x, mask, queries);
        let skip = match queries {
            Queries::All => x.clone(),
            Queries::First => format!("{layer}/first_token"),
        };
        let (dense, norm) = (
            format!("{layer}.attention.output.dense"),
            format!("{layer}.attention.output.LayerNorm"),
        );
        let attended = self.add_and_norm(&dense, &norm, &context, &skip);
        let inner = self.activation(&format!("{layer}.intermediate.dense"), &attended);
        self.add_and_norm(
            &format!("{layer}.output.dense"),
            &format!("{layer}.output.LayerNorm"),
            &inner,
            &attended,
        )
    }

    /// Pooler and classifier on the first token, `[batch, 1, hidden]`.
    fn head(&mut self, first: &Value) {
        let axes = self.graph.integers("head/axes", &[1]);
        let first = self
            .graph
            .node("head/first", "Squeeze", &[first, &axes], vec![]);
        let pooled = self.affine("bert.pooler.dense", &first);
        let pooled = self
            .graph
            .node("bert.pooler/tanh", "Tanh", &[&pooled], vec![]);
        let weight = self.floats("classifier.weight");
        let bias = self.floats("classifier.bias");
        let transposed = vec![Attribute::Int("transB", 1)];
        self.graph
            .node("logits", "Gemm", &[&pooled, &weight, &bias], transposed);
    }
}
