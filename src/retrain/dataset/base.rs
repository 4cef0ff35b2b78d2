//! Rows of the data that the first training was on, so that a model does not forget it.

use std::collections::{BTreeMap, HashSet};

use super::Input;
use super::config::DatasetConfig;
use super::draw::fallen;
use super::report::{LeftOut, Report};
use super::rows::{BaseRow, Row};
use crate::drift::reading::Fingerprint;

/// Base rows that can be used, each text once.
pub(super) struct Usable {
    pub train: Vec<Row>,
    pub validation: Vec<Row>,
    /// Fingerprints of all texts that the first training may have seen.
    pub trained: HashSet<u64>,
}

impl Usable {
    pub(super) fn of(input: &Input<'_>, report: &mut Report) -> Self {
        let labels = input.labels.len();
        let mut away = input.held_out.clone();
        let validation = distinct(&input.base.validation, labels, &away, report);
        away.extend(validation.iter().map(|row| row.print));
        let print = |row: &BaseRow| Fingerprint::of(row.text.trim()).near;
        Self {
            trained: input.base.train.iter().map(print).collect(),
            train: distinct(&input.base.train, labels, &away, report),
            validation,
        }
    }
}

/// One row for each text, in the order of their fingerprints. Copies with another label contradict each other, and none is
/// used.
fn distinct(rows: &[BaseRow], labels: usize, away: &HashSet<u64>, report: &mut Report) -> Vec<Row> {
    let mut copies: BTreeMap<u64, Vec<&BaseRow>> = BTreeMap::new();
    for row in rows {
        let print = Fingerprint::of(row.text.trim()).near;
        if row.text.trim().is_empty() || row.label >= labels {
            report.leave_out(LeftOut::BaseUnusable, 1);
        } else if away.contains(&print) {
            report.leave_out(LeftOut::BaseCopyOfHeldOut, 1);
        } else {
            copies.entry(print).or_default().push(row);
        }
    }
    let mut kept = Vec::new();
    for (print, copies) in copies {
        let Some(first) = copies
            .iter()
            .min_by_key(|row| (&row.id, &row.text, row.time))
        else {
            continue;
        };
        if copies.iter().any(|row| row.label != first.label) {
            report.leave_out(LeftOut::BaseContradicting, copies.len());
            continue;
        }
        report.leave_out(LeftOut::BaseCopy, copies.len() - 1);
        kept.push(Row {
            id: first.id.clone().unwrap_or_else(|| format!("{print:016x}")),
            text: first.text.trim().to_owned(),
            label: first.label,
            time: first.time,
            repeats: 1,
            print,
        });
    }
    kept
}

/// So many base rows, of each class in proportion; those whose text is `taken` already are passed over.
///
/// Shares are rounded by the largest remainders. Within a class the rows are those with the smallest hashes of text and
/// seed.
pub(super) fn stratified(
    base: &Usable,
    taken: &HashSet<u64>,
    config: &DatasetConfig,
    labels: usize,
    report: &mut Report,
) -> Vec<Row> {
    let mut classes: Vec<Vec<&Row>> = vec![Vec::new(); labels];
    for row in &base.train {
        if taken.contains(&row.print) {
            report.leave_out(LeftOut::BaseCopyOfFeedback, 1);
        } else {
            classes[row.label].push(row);
        }
    }
    let sizes: Vec<usize> = classes.iter().map(Vec::len).collect();
    let wanted = shares(&sizes, config.base_rows as usize);
    let mut rows = Vec::new();
    for (class, wanted) in classes.iter_mut().zip(wanted) {
        class.sort_by(|one, other| {
            let key = |row: &Row| fallen("base", row.print, config.seed);
            key(one)
                .total_cmp(&key(other))
                .then_with(|| one.print.cmp(&other.print))
        });
        report.leave_out(LeftOut::BaseNotDrawn, class.len() - wanted);
        rows.extend(class[..wanted].iter().map(|&row| row.clone()));
    }
    rows.sort_by_key(|row| row.print);
    rows
}

/// At most `wanted` in all, in proportion to the sizes.
fn shares(sizes: &[usize], wanted: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let wanted = wanted.min(total);
    let exact = |size: usize| (size as u128 * wanted as u128) / total.max(1) as u128;
    let remainder = |size: usize| (size as u128 * wanted as u128) % total.max(1) as u128;
    let mut shares: Vec<usize> = sizes.iter().map(|&size| exact(size) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse((remainder(sizes[class]), sizes.len() - class)));
    let missing = wanted - shares.iter().sum::<usize>();
    for class in order.into_iter().take(missing) {
        shares[class] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::shares;

    #[test]
    fn shares_are_in_proportion_and_remainders_go_to_the_largest() {
        assert_eq!(shares(&[50, 30, 20], 10), [5, 3, 2]);
        assert_eq!(shares(&[5, 3, 3], 10), [4, 3, 3]);
        assert_eq!(shares(&[1, 1], 9), [1, 1]);
        assert_eq!(shares(&[], 9), Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn shares_fill_what_is_wanted_and_take_no_more_than_there_is(sizes in prop::collection::vec(0_usize..50, 0..6), wanted in 0_usize..300) {
            let shares = shares(&sizes, wanted);
            prop_assert_eq!(shares.iter().sum::<usize>(), wanted.min(sizes.iter().sum()));
            prop_assert!(shares.iter().zip(&sizes).all(|(share, size)| share <= size));
        }
    }
}
