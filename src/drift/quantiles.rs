//! A distribution under the null hypothesis in few numbers, and the p-value it gives.

use serde::{Deserialize, Serialize};

/// Tail probabilities whose quantiles are kept.
pub const TAILS: [f64; 15] = [
    0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001,
];
/// The quantile above which the tail is fitted: `TAILS[FITTED]` is 0.02.
const FITTED: usize = 10;
/// The places of 0.5 and 0.05.
const MEDIAN: usize = 4;
const SHOULDER: usize = 9;

/// Fewest values that a distribution is described from.
pub const FEWEST: usize = 100;

/// No p-value is smaller: so small a one only says that nothing like it was ever seen.
pub const SMALLEST: f64 = 1e-12;

/// Quantiles of values that are not negative, and what their tail is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The values that are exceeded with the first so many of [`TAILS`]' probabilities; those that the number of values
    /// allows to tell.
    pub upper: Vec<f64>,
    /// By how much values above the 0.02 quantile exceed it, on average.
    pub excess: f64,
    /// Values that the excess is the average of, or as good as.
    pub beyond: usize,
    /// By what factor windows in a row are further away, on average, than chance explains; 1 where they are not.
    pub dispersion: f64,
}

impl Quantiles {
    /// Describes a sample of at least [`FEWEST`] values.
    ///
    /// The k-th largest of R values is exceeded by a further one of the same distribution with probability k/(R + 1), so with
    /// k = p(R + 1), rounded down, the kept value's tail probability is at most p, whatever the distribution.
    ///
    /// # Panics
    /// With fewer values.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        assert!(values.len() >= FEWEST, "at least {FEWEST} values");
        values.sort_unstable_by(|one, other| other.total_cmp(one));
        let rank = |tail: f64| (tail * (values.len() + 1) as f64 + 1e-9) as usize;
        let known = TAILS.iter().map(|&tail| rank(tail));
        let upper: Vec<f64> = known
            .take_while(|&rank| rank > 0)
            .map(|rank| values[rank - 1])
            .collect();
        let (beyond, from) = (rank(TAILS[FITTED]) - 1, upper[FITTED]);
        let excess: f64 = values[..beyond].iter().map(|value| value - from).sum();
        Self {
            upper,
            excess: excess / beyond as f64,
            beyond,
            dispersion: 1.0,
        }
    }

    /// The distribution whose median is `to` instead of `from` and whose values above it are spread `wider` times as much.
    #[must_use]
    pub fn moved(&self, from: f64, to: f64, wider: f64) -> Self {
        let moved = |value: f64| match value {
            value if value > from => to + (value - from) * wider,
            value if from > 0.0 => value * to / from,
            value => value,
        };
        Self {
            upper: self.upper.iter().map(|&value| moved(value)).collect(),
            excess: self.excess * wider,
            ..self.clone()
        }
    }

    /// The distribution of the values times a factor.
    #[must_use]
    pub fn scaled(&self, by: f64) -> Self {
        self.moved(0.0, 0.0, by)
    }

    /// The value that is exceeded half of the time.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.upper[MEDIAN]
    }

    /// Whether [`Self::p_value`] has what it needs.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        (FITTED + 1..=TAILS.len()).contains(&self.upper.len()) && self.beyond > 0
    }

    /// The same with seven significant digits: far more than resampling knows, and what is written to a file is read again as
    /// it was.
    #[must_use]
    pub fn rounded(&self) -> Self {
        let short = |value: f64| format!("{value:.6e}").parse().unwrap_or(value);
        Self {
            upper: self.upper.iter().map(|&value| short(value)).collect(),
            excess: short(self.excess),
            beyond: self.beyond,
            dispersion: short(self.dispersion),
        }
    }

    /// What lies between two descriptions, at a share of the way from one to the other: on a straight line between the
    /// logarithms, which is right for whatever shrinks with a power of the window's size if the share is one of the sizes'
    /// logarithms; on a straight line between the values where one of them is 0.
    #[must_use]
    pub fn between(&self, other: &Self, share: f64) -> Self {
        let mix = |one: f64, other: f64| {
            if one > 0.0 && other > 0.0 {
                (one.ln() * (1.0 - share) + other.ln() * share).exp()
            } else {
                one * (1.0 - share) + other * share
            }
        };
        let upper = self.upper.iter().zip(&other.upper);
        Self {
            upper: upper.map(|(&one, &other)| mix(one, other)).collect(),
            excess: mix(self.excess, other.excess),
            beyond: self.beyond.min(other.beyond),
            dispersion: mix(self.dispersion, other.dispersion),
        }
    }

    /// The probability, under the null hypothesis, of a value this large or larger: between [`SMALLEST`] and 1, and 1 where
    /// the sample did not vary at all and so tells nothing.
    ///
    /// Among the quantiles the logarithm of p is interpolated. Beyond the 0.02 quantile p is at least what an exponential tail
    /// with the sample's mean excess gives, and beyond the last quantile it falls as that tail does. The tail is the exact
    /// predictive one, (1 + x/km)^-k for an excess of x after k with mean m, and so allows for the fit being one of few values.
    /// The tail of G is exponential; those of a Kolmogorov-Smirnov distance, a normal deviate and a divergence of many tokens
    /// are lighter, so that for them p is too large rather than too small.
    #[must_use]
    pub fn p_value(&self, value: f64) -> f64 {
        let last = self.upper.len() - 1;
        let varies = self.upper[last] > self.upper[0] || self.excess > 0.0;
        if !varies || value <= 0.0 {
            return 1.0;
        }
        let p = if value <= self.upper[last] {
            self.within(value).max(self.tail(value))
        } else {
            let end = TAILS[last].max(self.tail(self.upper[last]));
            end * self.tail(value) / self.tail(self.upper[last])
        };
        p.clamp(SMALLEST, 1.0)
    }

    fn within(&self, value: f64) -> f64 {
        let next = self.upper.iter().position(|&quantile| quantile >= value);
        let next = next.unwrap_or(self.upper.len() - 1);
        let (low, p_low) = match next.checked_sub(1) {
            Some(before) => (self.upper[before], TAILS[before]),
            None => (0.0, 1.0_f64),
        };
        let (high, p_high) = (self.upper[next], TAILS[next]);
        let way = (value - low) / (high - low);
        (p_low.ln() * (1.0 - way) + p_high.ln() * way).exp()
    }

    /// 0 below the quantile where the tail begins.
    fn tail(&self, value: f64) -> f64 {
        let past = value - self.upper[FITTED];
        if past < 0.0 {
            return 0.0;
        }
        // A statistic of small counts takes few values, and those in the tail may all be equal. Of the distributions it tends
        // to none has a mean excess below a quarter of the distance between the median and the 0.05 quantile.
        let shoulder = self.upper[SHOULDER] - self.upper[MEDIAN];
        let excess = self.excess.max(0.25 * shoulder).max(f64::MIN_POSITIVE);
        let beyond = self.beyond as f64;
        TAILS[FITTED] * (-beyond * (past / (beyond * excess)).ln_1p()).exp()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    fn exponential(count: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count)
            .map(|_| -(1.0 - rng.random::<f64>()).ln())
            .collect()
    }

    #[test]
    fn the_tail_of_an_exponential_sample_is_followed_far_beyond_the_sample() {
        let quantiles = Quantiles::of(exponential(20_000, 1));
        for value in [0.5_f64, 2.0, 6.0, 10.0, 14.0] {
            let off = quantiles.p_value(value).ln() + value;
            // One sample's tail may be 10 % too heavy by chance, and of two estimates the larger is taken.
            let allowed = -0.1 - 0.05 * value..0.1 + 0.15 * value;
            assert!(allowed.contains(&off), "at {value}: {off}");
        }
    }

    /// Averaged over samples of 200 values, p-values are exceeded no more often than they say, ten times beyond what one
    /// sample shows.
    #[test]
    fn p_values_from_few_values_are_honest_on_average() {
        let (mut below, level) = (0.0, 0.0005);
        for seed in 0..2000 {
            let quantiles = Quantiles::of(exponential(200, seed));
            // The share of an exponential variable beyond the value at which p falls to the level.
            let (mut low, mut high) = (0.0, 1000.0);
            for _ in 0..60 {
                let middle = f64::midpoint(low, high);
                if quantiles.p_value(middle) > level {
                    low = middle
                } else {
                    high = middle
                }
            }
            below += (-high).exp() / 2000.0;
        }
        assert!(below < 1.15 * level && below > 0.2 * level, "{below}");
    }

    #[test]
    fn a_sample_that_does_not_vary_says_nothing() {
        let constant = Quantiles::of(vec![0.0; 500]);
        assert_eq!((constant.p_value(0.0), constant.p_value(3.0)), (1.0, 1.0));
    }

    #[test]
    fn halfway_in_the_logarithm_of_the_size_a_square_root_is_followed() {
        let sample = exponential(2000, 4);
        let scaled = |by: f64| Quantiles::of(sample.iter().map(|value| value * by).collect());
        let between = scaled(0.1).between(&scaled(0.05), 0.5);
        let wanted = scaled((0.1_f64 * 0.05).sqrt());
        for (one, other) in between.upper.iter().zip(&wanted.upper) {
            assert!((one / other - 1.0).abs() < 1e-6);
        }
    }

    proptest! {
        #[test]
        fn p_falls_with_the_value_and_stays_within_its_bounds(
            values in prop::collection::vec(prop_oneof![0.0_f64..3.0, Just(0.0), Just(1.5)], 100..3000),
            mut at in prop::collection::vec(0.0_f64..50.0, 2..20),
        ) {
            let quantiles = Quantiles::of(values);
            prop_assert!(quantiles.is_complete());
            at.sort_by(f64::total_cmp);
            let ps: Vec<f64> = at.iter().map(|&value| quantiles.p_value(value)).collect();
            prop_assert!(ps.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12)), "{:?} {:?}", at, ps);
            prop_assert!(ps.iter().all(|p| (SMALLEST..=1.0).contains(p)));
        }
    }
}
