//! Matrix products over strided views of slices: the one file that calls `gemm`.

use gemm::Parallelism;

/// A read-only matrix inside a slice.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A matrix inside a slice, to be written.
pub struct ViewMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> View<'a> {
    /// `rows` x `columns` values, row after row, the rows `stride` apart.
    ///
    /// # Panics
    /// When the slice is too short for that shape.
    pub fn new(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert_fits(data.len(), rows, columns, stride);
        Self {
            data,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// The same values with rows and columns exchanged; nothing is copied.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

impl<'a> ViewMut<'a> {
    /// `rows` x `columns` values, row after row, the rows `stride` apart.
    ///
    /// # Panics
    /// When the slice is too short for that shape.
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert_fits(data.len(), rows, columns, stride);
        Self {
            data,
            rows,
            columns,
            row_stride: stride,
        }
    }
}

fn assert_fits(length: usize, rows: usize, columns: usize, stride: usize) {
    let needed = if rows == 0 || columns == 0 {
        0
    } else {
        (rows - 1) * stride + columns
    };
    assert!(
        length >= needed && columns <= stride,
        "a {rows} x {columns} matrix with stride {stride} does not fit {length} values"
    );
}

/// What happens to the values already in the destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Into {
    /// They are overwritten.
    Replace,
    /// The product is added to them.
    Add,
}

/// `destination = factor * a * b`, or `destination += …`, on the calling thread.
///
/// # Panics
/// When the shapes do not agree.
pub fn multiply(factor: f32, a: View<'_>, b: View<'_>, destination: ViewMut<'_>, into: Into) {
    assert!(
        a.columns == b.rows && destination.rows == a.rows && destination.columns == b.columns,
        "({} x {}) * ({} x {}) does not give {} x {}",
        a.rows,
        a.columns,
        b.rows,
        b.columns,
        destination.rows,
        destination.columns
    );
    // SAFETY: every view was checked against its slice when it was made, the shapes agree (above),
    // and the destination is borrowed mutably, so it overlaps neither operand.
    #[expect(unsafe_code, reason = "gemm has no safe interface; this wrapper is it")]
    unsafe {
        gemm::gemm(
            destination.rows,
            destination.columns,
            a.columns,
            destination.data.as_mut_ptr(),
            1,
            destination.row_stride as isize,
            into == Into::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            factor,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7 + 3) % 11) as f32 - 5.0)
            .collect()
    }

    #[test]
    fn a_product_of_strided_and_transposed_views_agrees_with_the_definition() {
        let (m, n, k) = (5, 7, 3);
        let a = numbers(m * 10);
        let b = numbers(n * 4);
        let mut c = numbers(m * 9);
        let mut expected = c.clone();
        for row in 0..m {
            for column in 0..n {
                let product: f32 = (0..k).map(|i| a[row * 10 + i] * b[column * 4 + i]).sum();
                expected[row * 9 + column] += 2.0 * product;
            }
        }
        multiply(
            2.0,
            View::new(&a, m, k, 10),
            View::new(&b, n, k, 4).transposed(),
            ViewMut::new(&mut c, m, n, 9),
            Into::Add,
        );
        assert_eq!(c, expected);
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_view_larger_than_its_slice_is_refused() {
        View::new(&[0.0; 5], 2, 3, 3);
    }
}
