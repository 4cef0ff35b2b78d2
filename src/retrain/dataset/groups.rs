//! Copies of a text, taken together: one label, one part, one row.

use std::collections::{BTreeMap, HashSet};

use super::Input;
use super::config::DatasetConfig;
use super::draw::Drawable;
use super::part::Part;
use super::report::{LeftOut, Report};
use super::rows::{FeedbackRow, HeldOutRow, Row};
use crate::drift::reading::Fingerprint;
use crate::labels::consensus::{Consensus, consensus};
use crate::labels::{Sampling, canonical};

/// Labelled messages with the same text but for case, links, mentions, numbers and punctuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// Their [`Fingerprint::near`].
    pub print: u64,
    pub part: Part,
    /// Index of the class.
    pub label: usize,
    /// The one that stands for all.
    pub chosen: &'a FeedbackRow,
    pub sampling: Sampling,
}

impl<'a> Group<'a> {
    /// The row to train on.
    #[must_use]
    pub fn row(&self, repeats: u32) -> Row {
        Row {
            id: self.chosen.origin.to_string(),
            text: self.chosen.text.trim().to_owned(),
            label: self.label,
            time: Some(self.chosen.event_time),
            repeats,
            print: self.print,
        }
    }

    /// The row for the gate.
    #[must_use]
    pub fn held_out_row(&self) -> HeldOutRow {
        HeldOutRow {
            row: self.row(1),
            source: self.chosen.source.clone(),
            subject: self.chosen.subject.clone(),
            sampling: self.sampling,
            inclusion: self.chosen.inclusion,
        }
    }

    pub(super) fn drawable(&self) -> Drawable<'a> {
        Drawable {
            print: self.print,
            time: self.chosen.event_time,
            author: self.chosen.author.as_deref(),
            source: self.chosen.source.as_deref(),
        }
    }
}

/// A message whose label counts.
struct Usable<'a> {
    row: &'a FeedbackRow,
    label: usize,
    /// Annotators who gave that label.
    agreeing: u64,
    sampling: Sampling,
}

/// The groups of all messages whose label counts, in the order of their fingerprints. `taboo` are those of texts that
/// validate or are held out elsewhere.
pub(super) fn of<'a>(
    config: &DatasetConfig,
    input: &Input<'a>,
    taboo: &HashSet<u64>,
    report: &mut Report,
) -> Vec<Group<'a>> {
    let mut copies: BTreeMap<u64, Vec<&FeedbackRow>> = BTreeMap::new();
    for row in input.feedback {
        if row.text.trim().is_empty() {
            report.leave_out(LeftOut::NoText, 1);
        } else {
            let print = Fingerprint::of(row.text.trim()).near;
            copies.entry(print).or_default().push(row);
        }
    }
    let mut groups = Vec::new();
    for (print, mut rows) in copies {
        if taboo.contains(&print) {
            report.leave_out(LeftOut::CopyOfHeldOut, rows.len());
            continue;
        }
        rows.sort_by_key(|row| (row.arrived, &row.origin));
        // The first that was labelled decides, whatever became of its label: copies that come later change nothing.
        let part = Part::of(rows[0], config);
        let usable: Vec<Usable<'_>> = rows
            .iter()
            .filter_map(|row| match usable(row, input.labels, config) {
                Ok(usable) => Some(usable),
                Err(reason) => {
                    report.leave_out(reason, 1);
                    None
                }
            })
            .collect();
        groups.extend(agree(print, part, &usable, report));
    }
    groups
}

fn usable<'a>(
    row: &'a FeedbackRow,
    labels: &[String],
    config: &DatasetConfig,
) -> Result<Usable<'a>, LeftOut> {
    let found = consensus(&row.votes).ok_or(LeftOut::NoLabel)?;
    let said = found.label.as_deref().ok_or(LeftOut::Tie)?;
    let agreeing = agreeing(row, &found, said);
    if (agreeing as f64) < config.min_agreement * found.annotators as f64 {
        return Err(LeftOut::LowAgreement);
    }
    let name = canonical(labels, said).ok_or(LeftOut::UnknownLabel)?;
    let label = labels
        .iter()
        .position(|label| label == name)
        .ok_or(LeftOut::UnknownLabel)?;
    Ok(Usable {
        row,
        label,
        agreeing,
        sampling: found.sampling,
    })
}

/// How many annotators last said so.
fn agreeing(row: &FeedbackRow, found: &Consensus, said: &str) -> u64 {
    let votes = row.votes.iter();
    let counts = |vote: &&crate::labels::consensus::Vote| {
        vote.label == said && !found.superseded.contains(&vote.id)
    };
    votes.filter(counts).count() as u64
}

/// The label that most annotators of all copies give; none where two labels have as many.
fn agree<'a>(
    print: u64,
    part: Part,
    usable: &[Usable<'a>],
    report: &mut Report,
) -> Option<Group<'a>> {
    let mut tally: BTreeMap<usize, u64> = BTreeMap::new();
    for one in usable {
        *tally.entry(one.label).or_default() += one.agreeing;
    }
    let most = tally.values().copied().max()?;
    let mut leading = tally
        .iter()
        .filter(|(_, votes)| **votes == most)
        .map(|(&label, _)| label);
    let label = leading.next()?;
    if leading.next().is_some() {
        report.leave_out(LeftOut::Contradicting, usable.len());
        return None;
    }
    let same = usable.iter().filter(|one| one.label == label).count();
    report.leave_out(LeftOut::Contradicted, usable.len() - same);
    report.leave_out(LeftOut::Copy, same - 1);
    let chosen = usable.iter().find(|one| one.label == label)?;
    Some(Group {
        print,
        part,
        label,
        chosen: chosen.row,
        sampling: chosen.sampling,
    })
}
