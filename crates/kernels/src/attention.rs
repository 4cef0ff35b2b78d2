//! Scaled dot-product attention over packed sequences, softmax and dropout inside.
//!
//! Each sequence attends only to itself, so there is no padding and no mask. The queries may be
//! fewer than the keys: the last layer of a classifier needs those of the first token only.

use super::dropout::Mask;
use super::math::exp;
use super::matrix::{Into, View, ViewMut, multiply};
use super::simd::{dot, largest, sum_by, vectorised};

/// Sizes of the attention of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of heads.
    pub heads: usize,
    /// Width of one head.
    pub head_width: usize,
    /// Longest sequence the model takes: the row length in the numbering of dropout's elements.
    pub positions: usize,
}

impl Shape {
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_width as f32).sqrt()
    }
}

/// Which rows belong to which sequence: first rows and, last, the number of rows.
#[derive(Clone, Copy)]
pub struct Spans<'a> {
    /// Of the query rows.
    pub queries: &'a [usize],
    /// Of the key and value rows.
    pub keys: &'a [usize],
}

/// Dropout on the probabilities.
#[derive(Clone, Copy)]
pub struct Drop {
    /// The mask of the site.
    pub mask: Mask,
    /// Number, in the whole batch, of the first query row.
    pub first_row: usize,
}

/// One head of one sequence: where it lies in the packed rows and in the saved probabilities.
struct Block {
    query_rows: usize,
    key_rows: usize,
    /// First value of the head in the query, context and gradient rows.
    query: usize,
    /// First value of the head's keys in the key-value rows; the values lie `width` further.
    key: usize,
    probabilities: std::ops::Range<usize>,
    first_element: usize,
    row_elements: usize,
}

fn blocks<'a>(shape: Shape, spans: Spans<'a>, drop: Drop) -> impl Iterator<Item = Block> + 'a {
    let mut next = 0;
    let sequences = spans.queries.windows(2).zip(spans.keys.windows(2));
    sequences
        .flat_map(move |(q, k)| (0..shape.heads).map(move |head| (q, k, head)))
        .map(move |(q, k, head)| {
            let (query_rows, key_rows) = (q[1] - q[0], k[1] - k[0]);
            let start = next;
            next += query_rows * key_rows;
            Block {
                query_rows,
                key_rows,
                query: q[0] * shape.width() + head * shape.head_width,
                key: k[0] * 2 * shape.width() + head * shape.head_width,
                probabilities: start..next,
                first_element: ((drop.first_row + q[0]) * shape.heads + head) * shape.positions,
                row_elements: shape.heads * shape.positions,
            }
        })
}

fn probability_count(shape: Shape, spans: Spans<'_>) -> usize {
    let sequences = spans.queries.windows(2).zip(spans.keys.windows(2));
    sequences
        .map(|(q, k)| (q[1] - q[0]) * (k[1] - k[0]) * shape.heads)
        .sum()
}

/// Writes the context rows (one a query row, `width` values) to `context`.
///
/// `query` holds `width` values a row, `key_value` `2 * width` (keys, then values). `probabilities`
/// is kept for the backward pass, before dropout.
pub fn forward(
    shape: Shape,
    spans: Spans<'_>,
    query: &[f32],
    key_value: &[f32],
    drop: Drop,
    probabilities: &mut Vec<f32>,
    context: &mut [f32],
) {
    let (width, d) = (shape.width(), shape.head_width);
    probabilities.resize(probability_count(shape, spans), 0.0);
    let mut dropped = Vec::new();
    for block in blocks(shape, spans, drop) {
        let (m, n) = (block.query_rows, block.key_rows);
        let p = &mut probabilities[block.probabilities.clone()];
        multiply(
            shape.scale(),
            View::new(&query[block.query..], m, d, width),
            View::new(&key_value[block.key..], n, d, 2 * width).transposed(),
            ViewMut::new(p, m, n, n),
            Into::Replace,
        );
        softmax(p, n);
        let used = if drop.mask.keeps_all() {
            &*p
        } else {
            masked(p, &block, drop.mask, &mut dropped);
            &dropped
        };
        multiply(
            1.0,
            View::new(used, m, n, n),
            View::new(&key_value[block.key + width..], n, d, 2 * width),
            ViewMut::new(&mut context[block.query..], m, d, width),
            Into::Replace,
        );
    }
}

/// Gradients of `query` and `key_value`, replacing what is there, from that of the context.
#[expect(
    clippy::too_many_arguments,
    reason = "four inputs of the forward pass, one gradient in, two out"
)]
pub fn backward(
    shape: Shape,
    spans: Spans<'_>,
    query: &[f32],
    key_value: &[f32],
    drop: Drop,
    probabilities: &[f32],
    dcontext: &[f32],
    dquery: &mut [f32],
    dkey_value: &mut [f32],
) {
    let (width, d) = (shape.width(), shape.head_width);
    let (mut dropped, mut dscores) = (Vec::new(), Vec::new());
    for block in blocks(shape, spans, drop) {
        let (m, n) = (block.query_rows, block.key_rows);
        let p = &probabilities[block.probabilities.clone()];
        let dcontext = View::new(&dcontext[block.query..], m, d, width);
        let used = if drop.mask.keeps_all() {
            p
        } else {
            masked(p, &block, drop.mask, &mut dropped);
            &dropped
        };
        multiply(
            1.0,
            View::new(used, m, n, n).transposed(),
            dcontext,
            ViewMut::new(&mut dkey_value[block.key + width..], n, d, 2 * width),
            Into::Replace,
        );
        dscores.resize(m * n, 0.0);
        multiply(
            1.0,
            dcontext,
            View::new(&key_value[block.key + width..], n, d, 2 * width).transposed(),
            ViewMut::new(&mut dscores, m, n, n),
            Into::Replace,
        );
        softmax_backward(p, used, &mut dscores, n, drop.mask.keeps_all());
        multiply(
            shape.scale(),
            View::new(&dscores, m, n, n),
            View::new(&key_value[block.key..], n, d, 2 * width),
            ViewMut::new(&mut dquery[block.query..], m, d, width),
            Into::Replace,
        );
        multiply(
            shape.scale(),
            View::new(&dscores, m, n, n).transposed(),
            View::new(&query[block.query..], m, d, width),
            ViewMut::new(&mut dkey_value[block.key..], n, d, 2 * width),
            Into::Replace,
        );
    }
}

fn softmax(scores: &mut [f32], columns: usize) {
    vectorised!({
        for row in scores.chunks_exact_mut(columns) {
            let peak = largest(row);
            for x in row.iter_mut() {
                *x = exp(*x - peak);
            }
            let inverse = 1.0 / sum_by(columns, |i| row[i]);
            for x in row.iter_mut() {
                *x *= inverse;
            }
        }
    });
}

/// `dscores = p * (mask * dp - Σ p mask dp)`; `used` is `p * mask`, so `p mask dp = used * dp`.
fn softmax_backward(p: &[f32], used: &[f32], dscores: &mut [f32], columns: usize, unmasked: bool) {
    vectorised!({
        let rows = p.chunks_exact(columns).zip(used.chunks_exact(columns));
        for ((p, used), ds) in rows.zip(dscores.chunks_exact_mut(columns)) {
            let mean = dot(used, ds);
            if unmasked {
                for (ds, p) in ds.iter_mut().zip(p) {
                    *ds = p * (*ds - mean);
                }
            } else {
                for ((ds, p), used) in ds.iter_mut().zip(p).zip(used) {
                    *ds = used * *ds - p * mean;
                }
            }
        }
    });
}

fn masked(p: &[f32], block: &Block, mask: Mask, out: &mut Vec<f32>) {
    out.clear();
    out.extend_from_slice(p);
    for (row, values) in out.chunks_exact_mut(block.key_rows).enumerate() {
        mask.apply(values, block.first_element + row * block.row_elements);
    }
}
