//! What a model is trained on: labelled messages of the feed, and rows of the data that its first training was on.
//!
//! [`choose`] is pure and depends on its rows, its settings and its seed, not on the order of the rows or the time of day.
//! In order: what several people say of a message becomes one label; copies of a text become one row ([`groups`]); a part is
//! held out for the gate and a part for validation, by a hash, so that a text that is once held out is always held out
//! ([`part`]); of the rest, newer rows are drawn rather than older ones, so many of each source and author ([`draw`]); base
//! rows are added class by class ([`base`]); the drift baseline is made of the feed of late ([`baseline`]). What was left out is
//! counted by its reason ([`report`]). [`files`] writes the rows as `tidewatch-finetune` reads them, and [`recipe`] how it is to
//! train on them.

pub mod base;
pub mod baseline;
pub mod config;
pub mod draw;
pub mod error;
pub mod files;
pub mod groups;
pub mod part;
pub mod recipe;
pub mod report;
pub mod rows;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use config::DatasetConfig;
use draw::{Caps, Drawable};
use error::DatasetError;
use groups::Group;
use part::Part;
use report::{LeftOut, Report};
use rows::{Base, FeedbackRow, HeldOutRow, Row, UnlabelledRow};

use crate::drift::reading::Fingerprint;

/// What can be chosen from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Names of the classes, in the order of the model's outputs.
    pub labels: &'a [String],
    /// Labelled messages of the feed.
    pub feedback: &'a [FeedbackRow],
    /// What the first training was on.
    pub base: &'a Base,
    /// Messages of the feed without a label.
    pub unlabelled: &'a [UnlabelledRow],
    /// [`Fingerprint::near`] of every text that must not be trained on: those of fixed held-out sets.
    pub held_out: &'a HashSet<u64>,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Labelled messages of the feed to train on.
    pub feedback: Vec<Row>,
    /// Rows of the base to train on.
    pub base: Vec<Row>,
    /// Rows to calibrate on and to choose by.
    pub validation: Vec<Row>,
    /// Labelled messages of the feed for the gate; no model of this line is ever trained on them.
    pub held_out: Vec<HeldOutRow>,
    /// Rows to make the drift baseline of, among those that validate or are held out; none where those that validate do.
    pub baseline: Vec<Row>,
    /// Unlabelled texts for continued pre-training.
    pub texts: Vec<String>,
    /// What was taken, and what was left out and why.
    pub report: Report,
}

/// Chooses what to train on.
///
/// # Errors
/// There is nothing to train on, or nothing to validate with; or the settings weigh a class that the model does not have.
pub fn choose(config: &DatasetConfig, input: &Input<'_>) -> Result<Selection, DatasetError> {
    let mut weighed = config.class_weights.keys();
    if let Some(name) = weighed.find(|name| !input.labels.contains(name)) {
        return Err(DatasetError::UnknownClass {
            name: name.clone(),
            labels: input.labels.join(", "),
        });
    }
    let mut report = Report::default();
    let base = base::Usable::of(input, &mut report);
    // A copy of a text that validates or is held out elsewhere has no place here.
    let mut taboo: HashSet<u64> = input.held_out.clone();
    taboo.extend(base.validation.iter().map(|row| row.print));
    let groups = groups::of(config, input, &taboo, &mut report);

    let (mut train, mut validation, mut held_out) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups {
        match group.part {
            Part::Train => train.push(group),
            // The champion has been trained on it.
            _ if base.trained.contains(&group.print) => report.leave_out(LeftOut::CopyOfBase, 1),
            Part::Validation => validation.push(group),
            Part::HeldOut => held_out.push(group),
        }
    }
    let newest = newest(&train);
    let caps = Caps {
        rows: config.max_rows,
        author: config.per_author,
        source: config.per_source,
    };
    let items: Vec<Drawable<'_>> = train.iter().map(Group::drawable).collect();
    let drawn = draw::draw(&items, caps, config, newest, &mut report);
    let mut feedback: Vec<Row> = drawn
        .iter()
        .map(|&index| train[index].row(draw::repeats(&items[index], config, newest)))
        .collect();
    feedback.sort_by_key(|row| row.print);
    let taken: HashSet<u64> = feedback.iter().map(|row| row.print).collect();
    let base_rows = base::stratified(&base, &taken, config, input.labels.len(), &mut report);

    let away = held_out.iter().chain(&validation).map(|group| group.print);
    taboo.extend(away);
    let texts = texts(config, input.unlabelled, &taboo);
    let baseline = baseline::newest(config, held_out.iter().chain(&validation));
    let mut validation: Vec<Row> = validation.iter().map(|group| group.row(1)).collect();
    validation.extend(base.validation);
    validation.sort_by(|one, other| (one.print, &one.id).cmp(&(other.print, &other.id)));
    let mut held_out: Vec<HeldOutRow> = held_out.iter().map(Group::held_out_row).collect();
    held_out.sort_by_key(|held| held.row.print);
    if feedback.is_empty() && base_rows.is_empty() {
        return Err(DatasetError::NothingToTrainOn);
    }
    if validation.is_empty() {
        return Err(DatasetError::NothingToValidateWith);
    }
    let mut selection = Selection {
        feedback,
        base: base_rows,
        validation,
        held_out,
        baseline,
        texts,
        report,
    };
    let mark = input.feedback.iter().map(|row| row.arrived).max();
    selection.report = Report::of(&selection, mark, input.labels);
    Ok(selection)
}

/// When the newest of these was written: ages are counted from there, so that the choice does not depend on the time of day.
fn newest(train: &[Group<'_>]) -> i64 {
    train
        .iter()
        .map(|group| group.chosen.event_time)
        .max()
        .unwrap_or_default()
}

/// Unlabelled texts, each once, drawn as labelled ones are.
fn texts(
    config: &DatasetConfig,
    unlabelled: &[UnlabelledRow],
    taboo: &HashSet<u64>,
) -> Vec<String> {
    // Of copies the one that comes first by everything they may differ in.
    let mut rows: Vec<(u64, &UnlabelledRow)> = unlabelled
        .iter()
        .filter(|row| !row.text.trim().is_empty())
        .map(|row| (Fingerprint::of(&row.text).near, row))
        .filter(|(print, _)| !taboo.contains(print))
        .collect();
    rows.sort();
    rows.dedup_by_key(|(print, _)| *print);
    let newest = rows
        .iter()
        .map(|(_, row)| row.event_time)
        .max()
        .unwrap_or_default();
    let caps = Caps {
        rows: config.max_texts,
        author: config.per_author,
        source: 0,
    };
    let items: Vec<Drawable<'_>> = rows
        .iter()
        .map(|&(print, row)| Drawable {
            print,
            time: row.event_time,
            author: row.author.as_deref(),
            source: row.source.as_deref(),
        })
        .collect();
    let mut drawn = draw::draw(&items, caps, config, newest, &mut Report::default());
    drawn.sort_unstable();
    drawn
        .iter()
        .map(|&index| rows[index].1.text.trim().to_owned())
        .collect()
}
