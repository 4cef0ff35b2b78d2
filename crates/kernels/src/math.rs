//! Elementary functions the compiler can vectorise: branch-free, no library calls.

/// `e^x`, relative error below 2e-7; underflows to about 1e-38 instead of denormals.
///
/// Range reduction by powers of two (the rounding is done by adding and subtracting `1.5 * 2^23`),
/// then a polynomial of degree 6 on `[-ln 2 / 2, ln 2 / 2]`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_2e-4_f32;
    p = p.mul_add(r, 1.398_2e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_6e-1);
    p = p.mul_add(r, 0.5);
    let poly = p.mul_add(r * r, r + 1.0);
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let scale = f32::from_bits(exponent.wrapping_add(127) << 23);
    poly * scale
}

/// The standard normal distribution function and density at `x`.
///
/// `cdf = (1 + erf(x / sqrt 2)) / 2` by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7), whose
/// exponential is the one the density needs, so both come for one `exp`.
#[inline(always)]
pub fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let mut p = 1.061_405_4_f32;
    p = p.mul_add(t, -1.453_152_1);
    p = p.mul_add(t, 1.421_413_8);
    p = p.mul_add(t, -0.284_496_72);
    p = p.mul_add(t, 0.254_829_6);
    let gauss = exp(-z * z);
    let upper_tail = 0.5 * p * t * gauss;
    let cdf = if x >= 0.0 {
        1.0 - upper_tail
    } else {
        upper_tail
    };
    (cdf, 0.398_942_3 * gauss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_agrees_with_double_precision() {
        for i in -870..=880 {
            let x = i as f32 / 10.0;
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exp(x)) / exact - 1.0).abs() < 3e-7,
                "exp({x}) = {}",
                exp(x)
            );
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1000.0) < 1e-37);
    }

    #[test]
    fn the_normal_distribution_agrees_with_known_values() {
        for (x, cdf) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746),
            (-1.96, 0.024_997_895),
            (3.0, 0.998_650_102),
        ] {
            assert!((f64::from(normal(x).0) - cdf).abs() < 3e-7);
        }
        assert!((normal(1.0).1 - 0.241_970_72).abs() < 1e-6);
    }
}
