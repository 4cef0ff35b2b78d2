//! The parts of the graph that differ between the two forms: attention, add-and-norm, activation.

use super::classifier::Writer;
use super::graph::{Attribute, Value};
use crate::train::export::Form;

/// Added to the attention scores of padding: so far below any real score that the softmax gives padding
/// exactly zero, and far from overflowing.
const PADDING_SCORE: f32 = -1e9;

/// Which tokens of a layer ask: all, or only the first of each text, which is all the head reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Queries {
    /// Every token.
    All,
    /// The first token; the result is `[batch, 1, hidden]`.
    First,
}

impl Writer<'_> {
    /// Turns `attention_mask` into what [`Writer::attention`] takes: in the plain form, scores to add,
    /// `[batch, 1, 1, sequence]`; in the fused form, the mask as 32-bit integers.
    pub(super) fn mask(&mut self, attention_mask: &Value) -> Value {
        if self.form == Form::Fused {
            return self.graph.node(
                "mask",
                "Cast",
                &[attention_mask],
                vec![Attribute::Int("to", 6)],
            );
        }
        let as_floats = vec![Attribute::Int("to", 1)];
        let mask = self
            .graph
            .node("mask/float", "Cast", &[attention_mask], as_floats);
        let one = self.graph.floats("mask/one", &[], &[1.0]);
        let score = self
            .graph
            .floats("mask/padding_score", &[], &[PADDING_SCORE]);
        let padding = self
            .graph
            .node("mask/padding", "Sub", &[&one, &mask], vec![]);
        let scores = self
            .graph
            .node("mask/scores", "Mul", &[&padding, &score], vec![]);
        let axes = self.graph.integers("mask/axes", &[1, 2]);
        self.graph
            .node("mask", "Unsqueeze", &[&scores, &axes], vec![])
    }

    /// Multi-head attention of a layer over `x`, `[batch, sequence, hidden]`, without the output projection.
    pub(super) fn attention(
        &mut self,
        layer: &str,
        x: &Value,
        mask: &Value,
        queries: Queries,
    ) -> Value {
        match (self.form, queries) {
            (Form::Plain, _) => self.plain_attention(layer, x, mask, queries),
            (Form::Fused, Queries::All) => self.packed_attention(layer, x, mask),
            (Form::Fused, Queries::First) => self.fused_attention_of_first(layer, x, mask),
        }
    }

    fn plain_attention(&mut self, layer: &str, x: &Value, mask: &Value, queries: Queries) -> Value {
        let asking = self.asking(layer, x, queries);
        let heads = |writer: &mut Self, part: &str, from: &Value, order: &[i64]| {
            let name = format!("{layer}.attention.self.{part}");
            let projected = writer.affine(&name, from);
            let shape = [
                0,
                0,
                writer.config.num_attention_heads as i64,
                writer.config.head_width() as i64,
            ];
            let shape = writer.graph.integers(&format!("{name}/shape"), &shape);
            let split = writer.graph.node(
                &format!("{name}/split"),
                "Reshape",
                &[&projected, &shape],
                vec![],
            );
            let order = vec![Attribute::Ints("perm", order.to_vec())];
            writer
                .graph
                .node(&format!("{name}/heads"), "Transpose", &[&split], order)
        };
        let query = heads(self, "query", &asking, &[0, 2, 1, 3]);
        let key = heads(self, "key", x, &[0, 2, 3, 1]);
        let value = heads(self, "value", x, &[0, 2, 1, 3]);

        let name = |part: &str| format!("{layer}.attention.self/{part}");
        let factor = 1.0 / (self.config.head_width() as f32).sqrt();
        let factor = self.graph.floats(&name("factor"), &[], &[factor]);
        let scores = self
            .graph
            .node(&name("products"), "MatMul", &[&query, &key], vec![]);
        let scores = self
            .graph
            .node(&name("scaled"), "Mul", &[&scores, &factor], vec![]);
        let scores = self
            .graph
            .node(&name("masked"), "Add", &[&scores, mask], vec![]);
        let shares = self.graph.node(
            &name("shares"),
            "Softmax",
            &[&scores],
            vec![Attribute::Int("axis", -1)],
        );
        let context = self
            .graph
            .node(&name("context"), "MatMul", &[&shares, &value], vec![]);
        let order = vec![Attribute::Ints("perm", vec![0, 2, 1, 3])];
        let context = self
            .graph
            .node(&name("gathered"), "Transpose", &[&context], order);
        let shape = self
            .graph
            .integers(&name("shape"), &[0, 0, self.config.hidden_size as i64]);
        self.graph
            .node(&name("joined"), "Reshape", &[&context, &shape], vec![])
    }

    /// All three projections as one matrix product, inside ONNX Runtime's `Attention`.
    fn packed_attention(&mut self, layer: &str, x: &Value, mask: &Value) -> Value {
        let name = |part: &str| format!("{layer}.attention.self/{part}");
        let parts = ["query", "key", "value"].map(|part| format!("{layer}.attention.self.{part}"));
        let weights = parts
            .each_ref()
            .map(|part| self.matrix(&format!("{part}.weight")));
        let rows = vec![Attribute::Int("axis", 0)];
        let packed = self
            .graph
            .node(&name("packed"), "Concat", &weights.each_ref(), rows);
        let packed = self.transposed(&name("packed_transposed"), &packed);
        let bias = self.joined_bias(&name("bias"), &parts);
        let attributes = self.attention_attributes();
        self.graph.fused(
            &name("joined"),
            "Attention",
            &[x, &packed, &bias, mask],
            attributes,
        )
    }

    fn fused_attention_of_first(&mut self, layer: &str, x: &Value, mask: &Value) -> Value {
        let name = |part: &str| format!("{layer}.attention.self/{part}");
        let asking = self.asking(layer, x, Queries::First);
        let parts = ["query", "key", "value"].map(|part| format!("{layer}.attention.self.{part}"));
        let query = self.product(&parts[0], &asking);
        let key = self.product(&parts[1], x);
        let value = self.product(&parts[2], x);
        let bias = self.joined_bias(&name("bias"), &parts);
        let attributes = self.attention_attributes();
        let inputs = [&query, &key, &value, &bias, mask];
        self.graph
            .fused(&name("joined"), "MultiHeadAttention", &inputs, attributes)
    }

    fn attention_attributes(&self) -> Vec<Attribute> {
        vec![
            Attribute::Int("num_heads", self.config.num_attention_heads as i64),
            Attribute::Float("mask_filter_value", PADDING_SCORE),
        ]
    }

    fn joined_bias(&mut self, name: &str, parts: &[String; 3]) -> Value {
        let biases = parts
            .each_ref()
            .map(|part| self.floats(&format!("{part}.bias")));
        self.graph.node(
            name,
            "Concat",
            &biases.each_ref(),
            vec![Attribute::Int("axis", 0)],
        )
    }

    /// The tokens that ask: `x` itself, or its first token.
    pub(super) fn asking(&mut self, layer: &str, x: &Value, queries: Queries) -> Value {
        match queries {
            Queries::All => x.clone(),
            Queries::First => {
                let index = self.graph.integers(&format!("{layer}/first"), &[0]);
                let axis = vec![Attribute::Int("axis", 1)];
                self.graph.node(
                    &format!("{layer}/first_token"),
                    "Gather",
                    &[x, &index],
                    axis,
                )
            }
        }
    }

    /// `norm(dense(x) + skip)`: the end of both halves of a layer.
    pub(super) fn add_and_norm(
        &mut self,
        dense: &str,
        norm: &str,
        x: &Value,
        skip: &Value,
    ) -> Value {
        if self.form == Form::Plain {
            let y = self.affine(dense, x);
            let sum = self
                .graph
                .node(&format!("{norm}/sum"), "Add", &[&y, skip], vec![]);
            return self.norm(norm, &sum);
        }
        let y = self.product(dense, x);
        let gamma = self.floats(&format!("{norm}.weight"));
        let beta = self.floats(&format!("{norm}.bias"));
        let bias = self.floats(&format!("{dense}.bias"));
        let epsilon = vec![Attribute::Float("epsilon", self.config.layer_norm_eps)];
        self.graph.fused(
            norm,
            "SkipLayerNormalization",
            &[&y, skip, &gamma, &beta, &bias],
            epsilon,
        )
    }

    /// `gelu(dense(x))`, by the error function.
    pub(super) fn activation(&mut self, dense: &str, x: &Value) -> Value {
        let name = format!("{dense}/gelu");
        if self.form == Form::Plain {
            let y = self.affine(dense, x);
            return self.graph.node(&name, "Gelu", &[&y], vec![]);
        }
        let y = self.product(dense, x);
        let bias = self.floats(&format!("{dense}.bias"));
        self.graph.fused(&name, "BiasGelu", &[&y, &bias], vec![])
    }
}
