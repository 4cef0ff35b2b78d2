//! The functions that p-values are made of: normal, Student's and beta distribution, and the gamma function's logarithm.

use std::f64::consts::PI;

/// Below this the gamma function is moved up by its recurrence before Stirling's series is used.
const STIRLING: f64 = 12.0;

/// Natural logarithm of the gamma function of a positive number, by Stirling's series (Abramowitz and Stegun 1964, 6.1.41).
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < STIRLING {
        product *= x;
        x += 1.0;
    }
    let square = x * x;
    let series = (1.0 / 12.0
        - (1.0 / 360.0
            - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square)
            / square)
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series - product.ln()
}

/// Natural logarithm of the beta function of two positive numbers.
#[must_use]
pub fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Natural logarithm of the chance that a variable with the distribution Beta(`a`, `b`) is at most `x`.
///
/// The continued fraction of the incomplete beta function (Abramowitz and Stegun 1964, 26.5.8), evaluated from the front by
/// Lentz's method (1976). It converges fast below the mean; above it the other tail is computed.
#[must_use]
pub fn ln_beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if x >= 1.0 {
        return 0.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return (-ln_beta_cdf(1.0 - x, b, a).exp()).ln_1p();
    }
    let front = a * x.ln() + b * (-x).ln_1p() - a.ln() - ln_beta(a, b);
    front - fraction(x, a, b).ln()
}

/// The continued fraction's denominator, 1 + d1 / (1 + d2 / (1 + ...)).
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    /// Stands for a zero that would be divided by.
    const TINY: f64 = 1e-300;
    /// The number of terms needed grows with the square root of the larger parameter; so many serve for any up to 1e9.
    const MOST_TERMS: u32 = 100_000;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut value, mut c, mut d) = (1.0, 1.0, 0.0);
    for term in 1..=MOST_TERMS {
        let m = f64::from(term / 2);
        let coefficient = if term % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / away_from_zero(1.0 + coefficient * d);
        c = away_from_zero(1.0 + coefficient / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

/// The chance that a standard normal variable is at most `x`, by the series of Marsaglia 2004, "Evaluating the Normal
/// Distribution". The absolute error is below 1e-14; beyond eight standard deviations it is 0 or 1.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    if x.abs() > 8.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut sum, mut term, mut odd) = (x, x, 1.0);
    loop {
        odd += 2.0;
        term *= x * x / odd;
        let next = sum + term;
        if next == sum {
            break;
        }
        sum = next;
    }
    (0.5 + sum * (-0.5 * x * x).exp() / (2.0 * PI).sqrt()).clamp(0.0, 1.0)
}

/// The number below which a standard normal variable is with chance `p` (strictly between 0 and 1), to about ten digits.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    bisect(-8.0, 8.0, |x| normal_cdf(x) < p)
}

/// The chance that Student's t with so many degrees of freedom is as far from 0 as `t`, either way.
#[must_use]
pub fn student_two_sided(t: f64, degrees: f64) -> f64 {
    let square = t * t;
    let p = if square < 1.0 {
        // Near 0 the other argument would be rounded to 1.
        1.0 - ln_beta_cdf(square / (degrees + square), 0.5, degrees / 2.0).exp()
    } else {
        ln_beta_cdf(degrees / (degrees + square), degrees / 2.0, 0.5).exp()
    };
    p.clamp(0.0, 1.0)
}

/// How far from 0 Student's t is with chance `alpha` (strictly between 0 and 1) or less, either way.
#[must_use]
pub fn student_quantile(alpha: f64, degrees: f64) -> f64 {
    bisect(0.0, 1e4, |t| student_two_sided(t, degrees) > alpha)
}

/// Where a condition that holds at `low` and not at `high` ceases to hold.
#[must_use]
pub fn bisect(low: f64, high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (low, high);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle
        } else {
            high = middle
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_gamma_function_of_a_whole_number_is_the_factorial_before_it() {
        let mut factorial = 1.0_f64;
        for n in 1..30 {
            let x = f64::from(n);
            assert!((ln_gamma(x) - factorial.ln()).abs() < 1e-12 * (1.0 + factorial.ln()));
            factorial *= x;
        }
        assert!((ln_gamma(0.5) - PI.sqrt().ln()).abs() < 1e-12);
    }

    /// Values from tables of the distributions.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        assert!((normal_quantile(0.975) - 1.959_963_985).abs() < 1e-8);
        assert!((normal_cdf(-3.0) - 0.001_349_898).abs() < 1e-9);
        assert!((student_quantile(0.05, 4.0) - 2.776_445).abs() < 1e-5);
        assert!((student_quantile(0.05, 34.0) - 2.032_245).abs() < 1e-5);
        assert!((student_two_sided(12.706_205, 1.0) - 0.05).abs() < 1e-7);
    }

    /// The sum of binomial probabilities that an incomplete beta function with whole parameters stands for.
    fn binomial_tail(x: f64, a: u32, b: u32) -> f64 {
        let n = a + b - 1;
        (a..=n)
            .map(|k| {
                let (n, k) = (f64::from(n), f64::from(k));
                let ways = ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0);
                (ways + k * x.ln() + (n - k) * (-x).ln_1p()).exp()
            })
            .sum()
    }

    #[test]
    fn a_tail_that_is_too_small_for_a_number_has_a_logarithm() {
        let tail = ln_beta_cdf(0.5, 5000.0, 200.0);
        assert!(tail.is_finite() && tail < -2000.0, "{tail}");
    }

    proptest! {
        #[test]
        fn the_beta_distribution_with_whole_parameters_is_a_sum_of_binomials(
            x in 0.01_f64..0.99, a in 1_u32..60, b in 1_u32..60,
        ) {
            let value = ln_beta_cdf(x, f64::from(a), f64::from(b)).exp();
            prop_assert!((value - binomial_tail(x, a, b)).abs() < 1e-10);
        }

        #[test]
        fn the_normal_distribution_is_the_limit_of_students(x in -4.0_f64..4.0) {
            let two_sided = 2.0 * normal_cdf(-x.abs());
            prop_assert!((student_two_sided(x, 1e9) - two_sided).abs() < 1e-6);
        }
    }
}
