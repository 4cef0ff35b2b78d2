//! The little linear algebra that the size of a label set needs.

/// The inverse of a square matrix by Gauss-Jordan elimination with row pivoting; none where the matrix has no inverse that
/// double precision can tell. A matrix without rows is its own inverse.
#[must_use]
pub fn inverse(mut matrix: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    let size = matrix.len();
    let largest = matrix
        .iter()
        .flatten()
        .fold(0.0_f64, |most, value| most.max(value.abs()));
    for (index, row) in matrix.iter_mut().enumerate() {
        row.extend((0..size).map(|column| f64::from(u8::from(column == index))));
    }
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|&a, &b| f64::total_cmp(&matrix[a][column].abs(), &matrix[b][column].abs()))?;
        let size_of_pivot = matrix[pivot][column].abs();
        if size_of_pivot.is_nan() || size_of_pivot <= largest * 1e-13 {
            return None;
        }
        matrix.swap(column, pivot);
        let lead = matrix[column][column];
        matrix[column].iter_mut().for_each(|value| *value /= lead);
        let reduced = matrix[column].clone();
        for (index, row) in matrix.iter_mut().enumerate() {
            let factor = row[column];
            if index != column && factor != 0.0 {
                for (value, lead) in row.iter_mut().zip(&reduced) {
                    *value -= factor * lead;
                }
            }
        }
    }
    Some(matrix.into_iter().map(|row| row[size..].to_vec()).collect())
}

/// The eigenvalues of a symmetric matrix, in no order, by Jacobi's method (Golub and Van Loan 2013, "Matrix Computations",
/// section 8.5.5).
#[must_use]
pub fn eigenvalues(mut matrix: Vec<Vec<f64>>) -> Vec<f64> {
    let size = matrix.len();
    for _sweep in 0..50 {
        let mut off = 0.0;
        for p in 0..size {
            for q in p + 1..size {
                off += matrix[p][q] * matrix[p][q];
                rotate(&mut matrix, p, q);
            }
        }
        if off < 1e-24 {
            break;
        }
    }
    (0..size).map(|index| matrix[index][index]).collect()
}

/// Turns the plane of two axes (p before q) so that the entry between them vanishes.
fn rotate(matrix: &mut [Vec<f64>], p: usize, q: usize) {
    let between = matrix[p][q];
    if between == 0.0 {
        return;
    }
    let slant = (matrix[q][q] - matrix[p][p]) / (2.0 * between);
    let tangent = slant.signum() / (slant.abs() + (1.0 + slant * slant).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let sine = tangent * cosine;
    for row in matrix.iter_mut() {
        let (a, b) = (row[p], row[q]);
        (row[p], row[q]) = (cosine * a - sine * b, sine * a + cosine * b);
    }
    let (upper, lower) = matrix.split_at_mut(q);
    for (a, b) in upper[p].iter_mut().zip(&mut lower[0]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_matrix_times_its_inverse_is_the_unit_matrix(entries in prop::array::uniform9(-3.0_f64..3.0)) {
            // Its diagonal outweighs each row, so it has an inverse.
            let mut matrix: Vec<Vec<f64>> = entries.chunks(3).map(<[f64]>::to_vec).collect();
            (0..3).for_each(|i| matrix[i][i] += 10.0);
            let inverse = inverse(matrix.clone()).unwrap();
            let size = inverse.iter().flatten().fold(0.0_f64, |most, v| most.max(v.abs()));
            for (i, row) in matrix.iter().enumerate() {
                let mut product = [0.0; 3];
                for (factor, line) in row.iter().zip(&inverse) {
                    for (entry, value) in product.iter_mut().zip(line) {
                        *entry += factor * value;
                    }
                }
                for (j, entry) in product.iter().enumerate() {
                    let unit = f64::from(u8::from(i == j));
                    prop_assert!((entry - unit).abs() < 1e-12 * (1.0 + size) * (1.0 + size), "{entry} {size}");
                }
            }
        }

        #[test]
        fn eigenvalues_have_the_trace_and_the_square_sum_of_their_matrix(entries in prop::array::uniform6(-3.0_f64..3.0)) {
            let [a, b, c, d, e, f] = entries;
            let matrix = vec![vec![a, b, c], vec![b, d, e], vec![c, e, f]];
            let squares: f64 = matrix.iter().flatten().map(|v| v * v).sum();
            let values = eigenvalues(matrix);
            prop_assert!((values.iter().sum::<f64>() - (a + d + f)).abs() < 1e-9);
            prop_assert!((values.iter().map(|v| v * v).sum::<f64>() - squares).abs() < 1e-8);
        }
    }

    #[test]
    fn known_eigenvalues_are_found() {
        let mut values = eigenvalues(vec![vec![2.0, 1.0], vec![1.0, 2.0]]);
        values.sort_by(f64::total_cmp);
        assert!((values[0] - 1.0).abs() < 1e-12 && (values[1] - 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_matrix_with_equal_rows_has_no_inverse() {
        assert_eq!(inverse(vec![vec![1.0, 2.0], vec![1.0, 2.0]]), None);
    }
}
