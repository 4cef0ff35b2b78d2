//! Of what the drift baseline of the new model is made: the feed of late, so that a change that the model has learnt is no longer one
//! once enough has been labelled since.

use super::config::DatasetConfig;
use super::groups::Group;
use super::rows::Row;
use crate::labels::Sampling;

/// Of fewer a baseline does not know how far a feed moves by itself in the course of time (it takes ten windows of a hundred to tell),
/// and would call that drift.
pub const FEWEST_BASELINE: usize = 1_000;

/// The newest of the messages that are not trained on; none where they are too few. Those that were not chosen by chance say nothing of
/// the feed's shares.
pub(super) fn newest<'a>(
    config: &DatasetConfig,
    away: impl Iterator<Item = &'a Group<'a>>,
) -> Vec<Row> {
    let mut rows: Vec<Row> = away
        .filter(|group| group.sampling == Sampling::Random)
        .map(|group| group.row(1))
        .collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.time), row.print));
    rows.truncate(config.baseline_rows as usize);
    if rows.len() < FEWEST_BASELINE {
        rows.clear();
    }
    rows
}
