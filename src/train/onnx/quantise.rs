//! Weights in 8 bits: symmetric, with one scale for each output channel (each row).

/// A matrix as `values[row][column] * scales[row]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantised {
    /// Row-major, as many as the matrix has values, each in -127..=127.
    pub values: Vec<i8>,
    /// One for each row, never zero.
    pub scales: Vec<f32>,
}

/// Quantises a row-major matrix with rows of `width` values.
///
/// The largest magnitude of a row becomes 127, so that no value is off by more than half its row's scale.
///
/// # Panics
/// When `width` is zero or does not divide the number of values.
pub fn by_row(matrix: &[f32], width: usize) -> Quantised {
    assert!(
        matrix.len().is_multiple_of(width),
        "a matrix must have whole rows"
    );
    let scales: Vec<f32> = matrix
        .chunks_exact(width)
        .map(|row| {
            row.iter()
                .fold(0.0_f32, |largest, value| largest.max(value.abs()))
                / 127.0
        })
        // A row of zeros (or of values too small to divide by) stays zero under any scale.
        .map(|scale| if scale.is_normal() { scale } else { 1.0 })
        .collect();
    let values = matrix
        .chunks_exact(width)
        .zip(&scales)
        .flat_map(|(row, scale)| {
            row.iter()
                .map(move |value| (value / scale).round().clamp(-127.0, 127.0) as i8)
        })
        .collect();
    Quantised { values, scales }
}

impl Quantised {
    /// The matrix it stands for, exactly as ONNX Runtime's DequantizeLinear computes it.
    pub fn expand(&self) -> Vec<f32> {
        let width = self.values.len() / self.scales.len().max(1);
        self.values
            .chunks_exact(width.max(1))
            .zip(&self.scales)
            .flat_map(|(row, scale)| row.iter().map(move |&value| f32::from(value) * scale))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_value_is_off_by_more_than_half_its_rows_scale(
            rows in prop::collection::vec(prop::array::uniform8(-4.0_f32..4.0), 1..6),
        ) {
            let matrix: Vec<f32> = rows.concat();
            let quantised = by_row(&matrix, 8);
            for (i, (is, was)) in quantised.expand().iter().zip(&matrix).enumerate() {
                let scale = quantised.scales[i / 8];
                prop_assert!((is - was).abs() <= 0.5 * scale * 1.001, "{was} became {is}, scale {scale}");
            }
        }

        #[test]
        fn quantising_what_was_quantised_changes_nothing(
            rows in prop::collection::vec(prop::array::uniform8(-4.0_f32..4.0), 1..6),
        ) {
            let once = by_row(&rows.concat(), 8);
            let twice = by_row(&once.expand(), 8);
            prop_assert_eq!(once.values, twice.values);
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero_and_leaves_its_neighbours_alone() {
        let quantised = by_row(&[0.0, 0.0, 2.0, -1.0], 2);
        assert_eq!(quantised.values, [0, 0, 127, -64]);
        assert_eq!(quantised.expand()[..2], [0.0, 0.0]);
    }
}
