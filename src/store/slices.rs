//! Splits rows into statements of bounded size.

/// Most rows in one statement: past this, larger statements gain nothing.
const MAX_ROWS: usize = 4_096;

/// Most bytes of payload in one statement; Postgres takes no message above 1 GiB, and both sides hold it in memory.
const MAX_BYTES: usize = 16 << 20;

/// Consecutive parts of `rows`, each of at most [`MAX_ROWS`] rows and, but for a single larger row, [`MAX_BYTES`].
pub(super) fn bounded<T>(rows: &[T], bytes: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    split(rows, bytes, MAX_ROWS, MAX_BYTES)
}

fn split<T>(
    mut rows: &[T],
    bytes: impl Fn(&T) -> usize,
    max_rows: usize,
    max_bytes: usize,
) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        if rows.is_empty() {
            return None;
        }
        let mut held = 0;
        let fitting = rows
            .iter()
            .take(max_rows)
            .take_while(|row| {
                held += bytes(row);
                held <= max_bytes
            })
            .count();
        let (part, rest) = rows.split_at(fitting.max(1));
        rows = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_stay_within_rows_and_bytes_and_lose_nothing() {
        let sizes = [1, 1, 1, 1, 50, 3, 4, 9, 2];
        let parts: Vec<&[usize]> = split(&sizes, |&size| size, 3, 10).collect();
        assert_eq!(parts, [&[1, 1, 1][..], &[1], &[50], &[3, 4], &[9], &[2]]);
        assert_eq!(parts.concat(), sizes);
    }

    #[test]
    fn no_rows_make_no_statement() {
        assert_eq!(bounded::<usize>(&[], |&size| size).count(), 0);
    }
}
