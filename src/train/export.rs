//! How a finished model is written for inference.

use serde::{Deserialize, Serialize};

use super::encoder::Model;
use super::layout::Layout;
use super::onnx::{classifier, quantise};
use super::weights::Weights;

/// Which operators the graph is made of. Both compute the same function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// ONNX's own operators only: runs on any engine.
    // The default by measurement (docs/fine-tuning.md): ONNX Runtime's processor time for it is the smaller one.
    #[default]
    Plain,
    /// With ONNX Runtime's fused attention, skip layer norm and bias GELU.
    Fused,
}

/// How the graph stores its weights. Arithmetic is in 32-bit floats either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// As they were trained.
    #[default]
    Float32,
    /// The large matrices in 8 bits, with a scale for each output channel (for each word in the table of
    /// words): a quarter of the size. They are expanded when the model is loaded.
    Int8,
}

/// Form and storage of an exported model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportOptions {
    /// Which operators.
    pub form: Form,
    /// How the weights are stored.
    pub weights: Storage,
}

/// Writes the model as the bytes of an ONNX file.
pub fn to_onnx(model: Model<'_>, options: ExportOptions) -> Vec<u8> {
    classifier::write(model, options.form, options.weights)
}

/// The weights that a file with this storage really holds: what the exported model must agree with.
pub fn as_stored(layout: &Layout, weights: &Weights, storage: Storage) -> Weights {
    let mut stored = weights.clone();
    if storage == Storage::Int8 {
        let through = |values: &mut [f32], width: usize| {
            values.copy_from_slice(&quantise::by_row(values, width).expand());
        };
        through(&mut stored.words, layout.words.shape[1]);
        for spec in layout
            .dense
            .iter()
            .filter(|spec| classifier::is_quantised(&spec.name, &spec.shape))
        {
            through(&mut stored.dense[spec.range.clone()], spec.shape[1]);
        }
    }
    stored
}
