//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), on slices of one length: weights, first and second
//! moments, gradients.

use super::simd::vectorised;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// What is the same for all values of one step.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    rate: f32,
    keep: f32,
    correct_1: f32,
    correct_2: f32,
    scale: f32,
}

impl Update {
    /// Step `step`, counted from 1, at learning rate `rate`. Gradients are multiplied by `scale` first (clipping); of the weights
    /// the share `rate * decay` goes.
    #[must_use]
    pub fn new(step: i32, rate: f64, decay: f64, scale: f32) -> Self {
        let correct = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(step))) as f32;
        Self {
            rate: rate as f32,
            keep: (1.0 - rate * decay) as f32,
            correct_1: correct(BETA_1),
            correct_2: correct(BETA_2),
            scale,
        }
    }

    /// Moves weights whose gradients are `g`.
    pub fn apply(self, w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]) {
        vectorised!({
            for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
                self.one(w, m, v, *g);
            }
        });
    }

    /// Moves weights that have no gradient in this step and had one before: by their moments, which fade.
    pub fn coast(self, w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        vectorised!({
            for ((w, m), v) in w.iter_mut().zip(m).zip(v) {
                self.one(w, m, v, 0.0);
            }
        });
    }

    /// Lets weights decay that never had a gradient: their moments are zero.
    pub fn decay(self, w: &mut [f32]) {
        vectorised!(w.iter_mut().for_each(|w| *w *= self.keep));
    }

    #[inline(always)]
    fn one(self, w: &mut f32, m: &mut f32, v: &mut f32, g: f32) {
        let g = g * self.scale;
        *m = BETA_1.mul_add(*m, (1.0 - BETA_1) * g);
        *v = BETA_2.mul_add(*v, (1.0 - BETA_2) * g * g);
        let step = *m * self.correct_1 / ((*v * self.correct_2).sqrt() + EPSILON);
        *w = w.mul_add(self.keep, -self.rate * step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_gradient_is_the_same_as_one_of_zero() {
        let update = Update::new(3, 0.01, 0.1, 1.0);
        let at = || ([0.5; 3], [0.1; 3], [0.2; 3]);
        let (mut coasting, mut zero) = (at(), at());
        update.coast(&mut coasting.0, &mut coasting.1, &mut coasting.2);
        update.apply(&mut zero.0, &mut zero.1, &mut zero.2, &[0.0; 3]);
        assert_eq!(coasting, zero);
        let (mut at_rest, mut decaying) = ([0.5], [0.5]);
        update.coast(&mut at_rest, &mut [0.0], &mut [0.0]);
        update.decay(&mut decaying);
        assert_eq!(at_rest, decaying);
    }
}
