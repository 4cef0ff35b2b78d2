//! Run-time choice of instruction set for plain loops.

/// Runs an expression compiled for the widest vectors the processor has (AVX-512, AVX2 or the
/// baseline).
///
/// The compiler vectorises what is inlined into it: give it loops and `#[inline(always)]` functions,
/// not calls. (It is a macro so that the closure is always inlined too: one that is not would be
/// compiled for the baseline, where a fused multiply-add is a call.)
macro_rules! vectorised {
    ($body:expr) => {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || $body,
        )
    };
}

pub(crate) use vectorised;

/// Partial sums kept apart so that a float reduction can be vectorised without reordering one sum.
pub const LANES: usize = 16;

/// Sum of `f(i)` for `i < length`, in `LANES` interleaved partial sums.
#[inline(always)]
pub fn sum_by(length: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let whole = length - length % LANES;
    let mut base = 0;
    while base < whole {
        for (lane, partial) in lanes.iter_mut().enumerate() {
            *partial += f(base + lane);
        }
        base += LANES;
    }
    let mut total: f32 = lanes.iter().sum();
    for i in whole..length {
        total += f(i);
    }
    total
}

/// Inner product of two slices of one length.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    sum_by(a.len(), |i| a[i] * b[i])
}

/// The square of the norm.
pub fn squares(values: &[f32]) -> f32 {
    vectorised!(dot(values, values))
}

/// Adds the values of the second slice to those of the first.
pub fn add(sum: &mut [f32], values: &[f32]) {
    vectorised!({
        for (a, b) in sum.iter_mut().zip(values) {
            *a += b;
        }
    });
}

/// The largest value of a slice without NaN; negative infinity where it is empty.
#[inline(always)]
pub fn largest(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (whole, tail) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *value);
        }
    }
    lanes
        .iter()
        .chain(tail)
        .copied()
        .fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vectorised_sum_covers_the_tail() {
        for length in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..length).map(|i| i as f32).collect();
            let ones = vec![1.0; length];
            let total = vectorised!(dot(&values, &ones));
            assert_eq!(total, (0..length).sum::<usize>() as f32);
        }
    }

    #[test]
    fn the_largest_value_is_found_in_lanes_and_tail() {
        for length in [1, 15, 16, 17, 40] {
            for place in 0..length {
                let mut values = vec![-3.0; length];
                values[place] = -1.0;
                assert_eq!(largest(&values), -1.0);
            }
        }
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
    }
}
