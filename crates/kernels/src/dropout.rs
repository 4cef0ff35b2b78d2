//! Dropout from counter-based random numbers.
//!
//! Whether an element is dropped is a pure function of (seed, step, site, element): no mask is
//! stored, the backward pass computes the same one again, and neither the number of threads nor
//! the cut of a batch into shards changes it.

use super::simd::vectorised;

/// Where in the network a mask is applied. Each site of each layer has masks of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// After the embeddings' layer norm.
    Embeddings,
    /// On the attention probabilities of a layer.
    Probabilities(usize),
    /// On the output of a layer's attention, before the residual.
    AttentionOutput(usize),
    /// On the output of a layer's feed-forward part, before the residual.
    LayerOutput(usize),
    /// Between pooler and classifier.
    Pooled,
}

impl Site {
    fn number(self) -> u64 {
        match self {
            Site::Embeddings => 0,
            Site::Pooled => 1,
            Site::Probabilities(layer) => 2 + 3 * layer as u64,
            Site::AttentionOutput(layer) => 3 + 3 * layer as u64,
            Site::LayerOutput(layer) => 4 + 3 * layer as u64,
        }
    }
}

/// The masks of one step.
#[derive(Clone, Copy, Debug)]
pub struct Masks {
    seed: u64,
    step: u64,
}

impl Masks {
    /// Masks for step `step` of a run with this seed.
    pub fn new(seed: u64, step: u64) -> Self {
        Self { seed, step }
    }

    /// The mask of one site at the probability `rate` of dropping an element (0 <= rate < 1).
    pub fn at(&self, site: Site, rate: f32) -> Mask {
        let key = mix64(mix64(mix64(self.seed) ^ self.step) ^ site.number());
        Mask {
            low: key as u32,
            high: (key >> 32) as u32,
            threshold: (f64::from(rate) * 4_294_967_296.0) as u32,
            scale: 1.0 / (1.0 - rate),
        }
    }
}

/// A mask over the elements of one site: kept elements are scaled by `1 / (1 - rate)`.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    low: u32,
    high: u32,
    threshold: u32,
    scale: f32,
}

impl Mask {
    /// True where nothing is ever dropped.
    pub fn keeps_all(&self) -> bool {
        self.threshold == 0
    }

    /// 0 where the element is dropped, else the scale.
    #[inline(always)]
    pub fn factor(&self, element: u32) -> f32 {
        if hash(element, self.low, self.high) >= self.threshold {
            self.scale
        } else {
            0.0
        }
    }

    /// Multiplies `values` by the mask; the first of them is element `first` of the site.
    pub fn apply(&self, values: &mut [f32], first: usize) {
        if self.keeps_all() {
            return;
        }
        vectorised!({
            let first = first as u32;
            for (i, value) in values.iter_mut().enumerate() {
                *value *= self.factor(first.wrapping_add(i as u32));
            }
        });
    }
}

/// 32-bit integer hash ("lowbias32", Chris Wellons) with a key before and between its rounds.
#[inline(always)]
fn hash(element: u32, low: u32, high: u32) -> u32 {
    let mut x = element ^ low;
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x = x.wrapping_add(high);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The finaliser of splitmix64.
fn mix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(mask: Mask, count: usize) -> Vec<bool> {
        (0..count).map(|i| mask.factor(i as u32) > 0.0).collect()
    }

    #[test]
    fn a_mask_drops_the_share_it_was_asked_for_and_keeps_the_mean() {
        let mut values = vec![1.0; 1_000_000];
        Masks::new(1, 5)
            .at(Site::Embeddings, 0.1)
            .apply(&mut values, 0);
        let dropped = values.iter().filter(|v| **v == 0.0).count() as f64 / values.len() as f64;
        assert!((dropped - 0.1).abs() < 0.002, "{dropped}");
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
        assert!((mean - 1.0).abs() < 0.003, "{mean}");
    }

    #[test]
    fn masks_of_other_steps_sites_and_seeds_are_unrelated() {
        let count = 200_000;
        let base = kept(Masks::new(1, 5).at(Site::Probabilities(0), 0.5), count);
        for other in [
            Masks::new(1, 6).at(Site::Probabilities(0), 0.5),
            Masks::new(2, 5).at(Site::Probabilities(0), 0.5),
            Masks::new(1, 5).at(Site::AttentionOutput(0), 0.5),
            Masks::new(1, 5).at(Site::Probabilities(1), 0.5),
        ] {
            let equal = kept(other, count)
                .iter()
                .zip(&base)
                .filter(|(a, b)| a == b)
                .count();
            assert!(
                (equal as f64 / count as f64 - 0.5).abs() < 0.01,
                "{equal} of {count} agree"
            );
        }
    }

    #[test]
    fn a_mask_applied_in_parts_is_the_mask_applied_at_once() {
        let mask = Masks::new(3, 1).at(Site::Pooled, 0.3);
        let mut whole = vec![1.0; 1000];
        mask.apply(&mut whole, 0);
        let mut parts = vec![1.0; 1000];
        let (a, b) = parts.split_at_mut(333);
        mask.apply(a, 0);
        mask.apply(b, 333);
        assert_eq!(whole, parts);
    }
}
