//! The model's weights: read from and written to a safetensors file with Hugging Face's names.

use std::collections::HashMap;
use std::path::Path;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::error::TrainError;
use super::layout::{Layout, Spec};

/// All weights of a classifier, as its [`Layout`] lays them out.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// Every tensor but the words.
    pub dense: Vec<f32>,
    /// The word embedding table, a row a token.
    pub words: Vec<f32>,
}

/// Spread of the normal distribution new weights are drawn from (BERT's `initializer_range`).
const NEW_DEVIATION: f32 = 0.02;

/// The tensors a plain encoder may lack: they are drawn afresh.
fn may_be_new(name: &str) -> bool {
    name.starts_with("classifier.") || name.starts_with("bert.pooler.")
}

impl Weights {
    /// All zero.
    pub fn zeros(layout: &Layout) -> Self {
        Self {
            dense: vec![0.0; layout.dense_len()],
            words: vec![0.0; layout.words.range.len()],
        }
    }

    /// A model that knows nothing: matrices and tables drawn from the seed, layer norms that change nothing, biases of zero.
    pub fn drawn(layout: &Layout, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut weights = Self::zeros(layout);
        let mut draw = |values: &mut [f32]| {
            values
                .iter_mut()
                .for_each(|value| *value = NEW_DEVIATION * standard_normal(&mut rng));
        };
        draw(&mut weights.words);
        for spec in &layout.dense {
            let values = &mut weights.dense[spec.range.clone()];
            if spec.decays {
                draw(values);
            } else if spec.name.ends_with("LayerNorm.weight") {
                values.fill(1.0);
            }
        }
        weights
    }

    /// Reads `model.safetensors`; names may lack the `bert.` prefix. A missing head or pooler, or a
    /// head for another number of labels, is drawn from the seed; its tensors' names are returned.
    pub fn load(
        file: &Path,
        layout: &Layout,
        seed: u64,
    ) -> Result<(Self, Vec<String>), TrainError> {
        let bytes = std::fs::read(file).map_err(|source| TrainError::read(file, source))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|source| {
            TrainError::backbone(file, format!("is no safetensors file ({source})"))
        })?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut weights = Self::zeros(layout);
        let mut drawn = Vec::new();
        fill(&tensors, &layout.words, &mut weights.words, file)?;
        for spec in &layout.dense {
            let values = &mut weights.dense[spec.range.clone()];
            let found = find(&tensors, &spec.name);
            if may_be_new(&spec.name) && found.as_ref().is_none_or(|t| t.shape() != spec.shape) {
                if spec.decays {
                    values
                        .iter_mut()
                        .for_each(|value| *value = NEW_DEVIATION * standard_normal(&mut rng));
                }
                drawn.push(spec.name.clone());
            } else {
                fill(&tensors, spec, values, file)?;
            }
        }
        Ok((weights, drawn))
    }

    /// All tensors as float32, as the bytes of a safetensors file.
    pub fn to_safetensors(&self, layout: &Layout) -> Result<Vec<u8>, SafeTensorError> {
        let dense = layout
            .dense
            .iter()
            .map(|spec| (spec, &self.dense[spec.range.clone()]));
        let tensors: Vec<(&Spec, Vec<u8>)> =
            std::iter::once((&layout.words, self.words.as_slice()))
                .chain(dense)
                .map(|(spec, values)| {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                    (spec, bytes.collect())
                })
                .collect();
        let views = tensors
            .iter()
            .map(|(spec, bytes)| {
                let view = TensorView::new(Dtype::F32, spec.shape.clone(), bytes)?;
                Ok((spec.name.as_str(), view))
            })
            .collect::<Result<Vec<_>, SafeTensorError>>()?;
        // The `format` entry is what transformers looks for before it reads a file.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize(views, Some(metadata))
    }

    /// Writes all tensors to a safetensors file.
    pub fn save(&self, layout: &Layout, file: &Path) -> Result<(), TrainError> {
        let bytes = self
            .to_safetensors(layout)
            .map_err(|source| TrainError::write(file, source))?;
        std::fs::write(file, bytes).map_err(|source| TrainError::write(file, source))
    }
}

fn find<'a>(tensors: &SafeTensors<'a>, name: &str) -> Option<TensorView<'a>> {
    let bare = name.strip_prefix("bert.").unwrap_or(name);
    tensors.tensor(name).or_else(|_| tensors.tensor(bare)).ok()
}

fn fill(
    tensors: &SafeTensors<'_>,
    spec: &Spec,
    values: &mut [f32],
    file: &Path,
) -> Result<(), TrainError> {
    let tensor = find(tensors, &spec.name)
        .ok_or_else(|| TrainError::backbone(file, format!("lacks the tensor {}", spec.name)))?;
    if tensor.shape() != spec.shape {
        let (is, wanted) = (tensor.shape(), &spec.shape);
        return Err(TrainError::backbone(
            file,
            format!(
                "has {} in shape {is:?}, but config.json asks for {wanted:?}",
                spec.name
            ),
        ));
    }
    let data = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => {
            for (value, bytes) in values.iter_mut().zip(data.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Dtype::BF16 => {
            for (value, bytes) in values.iter_mut().zip(data.as_chunks::<2>().0) {
                *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
            }
        }
        other => {
            let reason = format!(
                "holds {} as {other:?}; float32 and bfloat16 can be read",
                spec.name
            );
            return Err(TrainError::backbone(file, reason));
        }
    }
    Ok(())
}

/// One draw from the standard normal distribution (Box and Muller).
fn standard_normal(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::bert::BertConfig;

    #[test]
    fn a_drawn_model_follows_from_its_seed_and_its_norms_change_nothing() {
        let config = serde_json::json!({
            "vocab_size": 30, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 12,
        });
        let config: BertConfig = serde_json::from_value(config).unwrap();
        let layout = Layout::new(&config, 3);
        let drawn = Weights::drawn(&layout, 7);
        assert_eq!(drawn, Weights::drawn(&layout, 7));
        assert_ne!(drawn, Weights::drawn(&layout, 8));
        assert!(drawn.words.iter().all(|value| value.abs() < 0.2));
        for spec in layout.dense.iter().filter(|spec| !spec.decays) {
            let expected = f32::from(u8::from(spec.name.ends_with("LayerNorm.weight")));
            let values = &drawn.dense[spec.range.clone()];
            assert!(
                values.iter().all(|value| *value == expected),
                "{}",
                spec.name
            );
        }
    }
}
