//! AdamW with decoupled weight decay, gradient clipping and the learning-rate schedule.

use rayon::prelude::*;

use tidewatch_kernels::adamw::Update;
use tidewatch_kernels::simd::{add, squares};

use super::encoder::{Gradients, Worker};
use super::layout::Layout;
use super::weights::Weights;

/// Values one task handles: large enough to be worth a task, small enough to balance two cores.
const CHUNK: usize = 1 << 15;
/// Rows of the word table one task handles.
const ROWS: usize = 256;

/// Linear warm-up from zero, then linear decay to zero.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    peak: f64,
    warm_up: usize,
    total: usize,
}

impl Schedule {
    /// `warm_up` is the share of all `total` steps over which the rate rises to `peak`.
    pub fn new(peak: f64, warm_up: f64, total: usize) -> Self {
        Self {
            peak,
            warm_up: (warm_up * total as f64) as usize,
            total,
        }
    }

    /// The learning rate of step `step`, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warm_up {
            self.peak * (step + 1) as f64 / self.warm_up as f64
        } else {
            let left = self.total.saturating_sub(step) as f64;
            self.peak * left / (self.total - self.warm_up).max(1) as f64
        }
    }
}

/// Adds the other workers' gradients to the first one's and returns the norm of the sum.
///
/// The additions have one fixed order, whatever the number of threads.
pub fn reduce(workers: &mut [Worker], width: usize) -> f64 {
    let Some((first, others)) = workers.split_first_mut() else {
        return 0.0;
    };
    let sum = &mut first.gradients;
    let dense: Vec<f64> = sum
        .dense
        .par_chunks_mut(CHUNK)
        .enumerate()
        .map(|(index, chunk)| {
            for other in others.iter() {
                let theirs = &other.gradients.dense[index * CHUNK..][..chunk.len()];
                add(chunk, theirs);
            }
            f64::from(squares(chunk))
        })
        .collect();
    for other in others.iter() {
        sum.words.merge(&other.gradients.words, width);
    }
    let words = sum
        .words
        .values()
        .chunks(CHUNK)
        .map(|chunk| f64::from(squares(chunk)));
    (dense.iter().sum::<f64>() + words.sum::<f64>()).sqrt()
}

/// The factor that brings gradients of norm `norm` down to at most `limit`.
pub fn clip_factor(norm: f64, limit: f64) -> f32 {
    (limit / (norm + 1e-6)).min(1.0) as f32
}

/// First and second moments of some values.
#[derive(Default)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Moments {
    fn zeros(count: usize) -> Self {
        Self {
            first: vec![0.0; count],
            second: vec![0.0; count],
        }
    }
}

/// AdamW (Loshchilov and Hutter) with beta 0.9 and 0.999, epsilon 1e-8 and bias correction.
///
/// The word table is updated as if its gradient were dense: rows without a gradient in this step go
/// on moving by their moments; rows that never had one have zero moments, so only the decay is left.
pub struct AdamW {
    decay: f64,
    step: i32,
    dense: Moments,
    words: Moments,
    seen: Vec<bool>,
}

impl AdamW {
    /// An optimiser at rest for the tensors of this layout.
    pub fn new(layout: &Layout, decay: f64) -> Self {
        Self {
            decay,
            step: 0,
            dense: Moments::zeros(layout.dense_len()),
            words: Moments::zeros(layout.words.range.len()),
            seen: vec![false; layout.words.shape[0]],
        }
    }

    /// The moments, as slices in a fixed order, and which words have had a gradient.
    pub fn state(&self) -> ([&[f32]; 4], &[bool]) {
        let Self { dense, words, .. } = self;
        let moments = [&dense.first, &dense.second, &words.first, &words.second];
        (moments.map(Vec::as_slice), &self.seen)
    }

    /// The same, to be filled with those after `step` steps.
    pub fn state_mut(&mut self, step: i32) -> ([&mut [f32]; 4], &mut [bool]) {
        self.step = step;
        let Self { dense, words, .. } = self;
        let moments = [
            &mut dense.first,
            &mut dense.second,
            &mut words.first,
            &mut words.second,
        ];
        (moments.map(Vec::as_mut_slice), &mut self.seen)
    }

    /// Moves the weights by one step; the gradients are multiplied by `scale` first (clipping).
    pub fn step(
        &mut self,
        layout: &Layout,
        weights: &mut Weights,
        gradients: &Gradients,
        rate: f64,
        scale: f32,
    ) {
        self.step += 1;
        let plain = Update::new(self.step, rate, 0.0, scale);
        let decaying = Update::new(self.step, rate, self.decay, scale);
        self.step_dense(layout, weights, gradients, plain, decaying);
        self.step_words(layout.words.shape[1], weights, gradients, decaying);
    }

    fn step_dense(
        &mut self,
        layout: &Layout,
        weights: &mut Weights,
        gradients: &Gradients,
        plain: Update,
        decaying: Update,
    ) {
        let mut tasks = Vec::new();
        let (mut w, mut m, mut v) = (
            &mut weights.dense[..],
            &mut self.dense.first[..],
            &mut self.dense.second[..],
        );
        for spec in &layout.dense {
            let update = if spec.decays { decaying } else { plain };
            for g in gradients.dense[spec.range.clone()].chunks(CHUNK) {
                let parts;
                (parts, (w, m, v)) = cut(w, m, v, g.len());
                tasks.push((parts, g, update));
            }
        }
        tasks
            .into_par_iter()
            .for_each(|((w, m, v), g, update)| update.apply(w, m, v, g));
    }

    fn step_words(
        &mut self,
        width: usize,
        weights: &mut Weights,
        gradients: &Gradients,
        update: Update,
    ) {
        let block = ROWS * width;
        weights
            .words
            .par_chunks_mut(block)
            .zip(self.words.first.par_chunks_mut(block))
            .zip(self.words.second.par_chunks_mut(block))
            .zip(self.seen.par_chunks_mut(ROWS))
            .enumerate()
            .for_each(|(index, (((w, m), v), seen))| {
                let rows = w
                    .chunks_exact_mut(width)
                    .zip(m.chunks_exact_mut(width))
                    .zip(v.chunks_exact_mut(width));
                for (row, (((w, m), v), seen)) in rows.zip(seen).enumerate() {
                    let gradient = gradients.words.row((index * ROWS + row) as u32, width);
                    *seen |= gradient.is_some();
                    match gradient {
                        Some(gradient) => update.apply(w, m, v, gradient),
                        None if *seen => update.coast(w, m, v),
                        None => update.decay(w),
                    }
                }
            });
    }
}

type Three<'a> = (&'a mut [f32], &'a mut [f32], &'a mut [f32]);

/// Cuts the first `count` values off three slices of one length.
fn cut<'a>(
    w: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    count: usize,
) -> (Three<'a>, Three<'a>) {
    let (w, w_rest) = w.split_at_mut(count);
    let (m, m_rest) = m.split_at_mut(count);
    let (v, v_rest) = v.split_at_mut(count);
    ((w, m, v), (w_rest, m_rest, v_rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::bert::BertConfig;

    fn layout() -> Layout {
        let config: BertConfig = serde_json::from_str(
            r#"{"vocab_size":5,"hidden_size":4,"intermediate_size":8,"num_hidden_layers":1,
                "num_attention_heads":2,"max_position_embeddings":8}"#,
        )
        .unwrap();
        Layout::new(&config, 2)
    }

    /// AdamW as its paper writes it, one value, double precision.
    fn reference(gradients: &[f64], rate: f64, decay: f64, mut w: f64) -> f64 {
        let (mut m, mut v) = (0.0, 0.0);
        for (t, g) in gradients.iter().enumerate() {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (mh, vh) = (
                m / (1.0 - 0.9f64.powi(t as i32 + 1)),
                v / (1.0 - 0.999f64.powi(t as i32 + 1)),
            );
            w = w * (1.0 - rate * decay) - rate * mh / (vh.sqrt() + 1e-8);
        }
        w
    }

    #[test]
    fn a_word_row_moves_as_if_its_gradient_were_dense() {
        let layout = layout();
        let mut weights = Weights::zeros(&layout);
        weights.words.fill(0.5);
        let mut optimiser = AdamW::new(&layout, 0.1);
        // Row 1 has a gradient in the first and third step only, row 2 never.
        let steps = [Some(0.3f32), None, Some(-0.2), None];
        for gradient in steps {
            let mut gradients = Gradients {
                dense: vec![0.0; layout.dense_len()],
                ..Gradients::default()
            };
            if let Some(g) = gradient {
                gradients.words.add(1, &[g; 4]);
            }
            optimiser.step(&layout, &mut weights, &gradients, 0.01, 1.0);
        }
        let dense: Vec<f64> = steps.iter().map(|g| f64::from(g.unwrap_or(0.0))).collect();
        assert!((f64::from(weights.words[4]) - reference(&dense, 0.01, 0.1, 0.5)).abs() < 1e-6);
        assert!((f64::from(weights.words[8]) - reference(&[0.0; 4], 0.01, 0.1, 0.5)).abs() < 1e-6);
    }

    #[test]
    fn biases_do_not_decay_and_weights_do() {
        let layout = layout();
        let mut weights = Weights::zeros(&layout);
        weights.dense.fill(1.0);
        let gradients = Gradients {
            dense: vec![0.0; layout.dense_len()],
            ..Gradients::default()
        };
        AdamW::new(&layout, 0.1).step(&layout, &mut weights, &gradients, 0.5, 1.0);
        assert_eq!(weights.dense[layout.classifier.bias.start], 1.0);
        assert_eq!(weights.dense[layout.embedding_norm.weight.start], 1.0);
        assert_eq!(weights.dense[layout.classifier.weight.start], 0.95);
    }

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_to_zero() {
        let schedule = Schedule::new(1.0, 0.1, 100);
        assert_eq!(schedule.rate(0), 0.1);
        assert_eq!(schedule.rate(9), 1.0);
        assert_eq!(schedule.rate(10), 1.0);
        assert!(schedule.rate(99) > 0.0 && schedule.rate(99) < 0.02);
        assert!((10..99).all(|step| schedule.rate(step + 1) < schedule.rate(step)));
    }

    #[test]
    fn clipping_never_enlarges() {
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert!((clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
    }
}
