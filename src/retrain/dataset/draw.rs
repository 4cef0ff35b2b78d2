//! Which rows are taken when there are more than wanted, and how often each occurs.

use std::collections::HashMap;

use super::config::DatasetConfig;
use super::report::{LeftOut, Report};
use crate::coin;

/// What the draw looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawable<'a> {
    /// Fingerprint of its text: the draw is by a hash of it.
    pub print: u64,
    pub time: i64,
    pub author: Option<&'a str>,
    pub source: Option<&'a str>,
}

/// Most rows in all, of one author and of one source; 0 of the last two stands for no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    pub rows: u32,
    pub author: u32,
    pub source: u32,
}

/// Milliseconds of a day.
const DAY: f64 = 86_400_000.0;
/// However old, a row keeps a chance.
const LEAST_WEIGHT: f64 = 1e-6;

/// 1 for the newest, half of it for each half-life of age.
fn weight(item: &Drawable<'_>, config: &DatasetConfig, newest: i64) -> f64 {
    if config.half_life_days == 0 {
        return 1.0;
    }
    let days = newest.saturating_sub(item.time).max(0) as f64 / DAY;
    let halvings = days / f64::from(config.half_life_days);
    (-halvings).exp2().max(LEAST_WEIGHT)
}

/// Indices of the rows that are taken, in no order that matters.
///
/// Rows are lined up by -ln(u) / weight, u being even between 0 and 1, and taken from the front as far as the caps allow: a
/// draw without replacement in which each next row is taken with a chance that goes by its weight (Efraimidis and Spirakis
/// 2006, "Weighted random sampling with a reservoir"). u is a hash of text and seed, so the draw does not depend on the
/// order of rows, and one that was taken is likely to be taken again when others have come.
pub(super) fn draw(
    items: &[Drawable<'_>],
    caps: Caps,
    config: &DatasetConfig,
    newest: i64,
    report: &mut Report,
) -> Vec<usize> {
    let mut line: Vec<(f64, usize)> = items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let u = fallen("row", item.print, config.seed);
            (-(1.0 - u).ln() / weight(item, config, newest), index)
        })
        .collect();
    line.sort_by(|one, other| {
        one.0
            .total_cmp(&other.0)
            .then_with(|| items[one.1].print.cmp(&items[other.1].print))
    });
    let mut taken = Vec::new();
    let mut of_author: HashMap<(&str, &str), u32> = HashMap::new();
    let mut of_source: HashMap<&str, u32> = HashMap::new();
    for (_, index) in line {
        let item = &items[index];
        let source = item.source.unwrap_or_default();
        // Whoever is not named is nobody in particular.
        let by_author = item
            .author
            .map(|author| of_author.entry((source, author)).or_default());
        let by_source = of_source.entry(source).or_default();
        let full = |count: u32, cap: u32| cap > 0 && count >= cap;
        if taken.len() >= caps.rows as usize {
            report.leave_out(LeftOut::RowCap, 1);
        } else if by_author
            .as_deref()
            .is_some_and(|&count| full(count, caps.author))
        {
            report.leave_out(LeftOut::AuthorCap, 1);
        } else if full(*by_source, caps.source) {
            report.leave_out(LeftOut::SourceCap, 1);
        } else {
            taken.push(index);
            *by_source += 1;
            if let Some(count) = by_author {
                *count += 1;
            }
        }
    }
    taken
}

/// How often a row occurs in an epoch: `repeats` times where it is new, towards once with its age. The fraction is a matter
/// of chance.
pub(super) fn repeats(item: &Drawable<'_>, config: &DatasetConfig, newest: i64) -> u32 {
    let more = f64::from(config.repeats.saturating_sub(1)) * weight(item, config, newest);
    1 + (more + fallen("repeats", item.print, config.seed)).floor() as u32
}

/// A number in [0, 1) for a text.
pub(super) fn fallen(what: &str, print: u64, seed: u64) -> f64 {
    coin::toss(what, &[&seed.to_be_bytes(), &print.to_be_bytes()])
}
