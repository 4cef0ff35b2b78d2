//! The sum of word, position and token-type embeddings, and its sparse gradient.

use std::collections::HashMap;

/// The three tables, each row `width` values.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    /// One row a token of the vocabulary.
    pub words: &'a [f32],
    /// One row a position.
    pub positions: &'a [f32],
    /// One row a token type; one-segment texts use the first.
    pub types: &'a [f32],
    /// Length of a row.
    pub width: usize,
}

/// Writes the sum of the three embeddings of each token to `y`. `offsets` are the sequences' first
/// tokens and, last, the number of tokens.
pub fn forward(tables: Tables<'_>, tokens: &[u32], offsets: &[usize], y: &mut [f32]) {
    let width = tables.width;
    for span in offsets.windows(2) {
        let rows = y[span[0] * width..span[1] * width].chunks_exact_mut(width);
        for (position, (y, &token)) in rows.zip(&tokens[span[0]..span[1]]).enumerate() {
            let word = &tables.words[token as usize * width..][..width];
            let place = &tables.positions[position * width..][..width];
            for (((y, w), p), t) in y.iter_mut().zip(word).zip(place).zip(tables.types) {
                *y = w + p + t;
            }
        }
    }
}

/// Gradient of the word table: only the rows of tokens that occurred.
#[derive(Default)]
pub struct SparseRows {
    slots: HashMap<u32, usize>,
    values: Vec<f32>,
}

impl SparseRows {
    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.values.clear();
    }

    /// Adds `row` to the row of `token`.
    pub fn add(&mut self, token: u32, row: &[f32]) {
        match self.slots.get(&token) {
            Some(slot) => {
                let there = &mut self.values[slot * row.len()..][..row.len()];
                for (a, b) in there.iter_mut().zip(row) {
                    *a += b;
                }
            }
            None => {
                self.slots.insert(token, self.values.len() / row.len());
                self.values.extend_from_slice(row);
            }
        }
    }

    /// Adds every row of `other`, in the order in which they first occurred.
    pub fn merge(&mut self, other: &SparseRows, width: usize) {
        let mut rows: Vec<_> = other
            .slots
            .iter()
            .map(|(token, slot)| (*slot, *token))
            .collect();
        rows.sort_unstable();
        for (slot, token) in rows {
            self.add(token, &other.values[slot * width..][..width]);
        }
    }

    /// The row of `token`, if it occurred.
    pub fn row(&self, token: u32, width: usize) -> Option<&[f32]> {
        self.slots
            .get(&token)
            .map(|slot| &self.values[slot * width..][..width])
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, row after row, to be scaled.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

/// Spreads the gradient of the sum over the three tables; `dpositions` and `dtypes` are replaced.
pub fn backward(
    gradient: &[f32],
    tokens: &[u32],
    offsets: &[usize],
    dwords: &mut SparseRows,
    dpositions: &mut [f32],
    dtypes: &mut [f32],
    width: usize,
) {
    dwords.clear();
    dpositions.fill(0.0);
    dtypes.fill(0.0);
    for span in offsets.windows(2) {
        let rows = gradient[span[0] * width..span[1] * width].chunks_exact(width);
        for (position, (row, &token)) in rows.zip(&tokens[span[0]..span[1]]).enumerate() {
            dwords.add(token, row);
            let place = &mut dpositions[position * width..][..width];
            for ((p, t), g) in place.iter_mut().zip(dtypes.iter_mut()).zip(row) {
                *p += g;
                *t += g;
            }
        }
    }
}
