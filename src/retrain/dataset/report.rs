//! What was chosen, and what was left out and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Selection;
use super::rows::Row;

/// Why a row was not taken. The first ones are of labelled messages, the last ones of base rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Its text is not kept, or empty.
    NoText,
    /// Nobody gave it a label.
    NoLabel,
    /// As many annotators gave another label.
    Tie,
    /// Too few of its annotators agree.
    LowAgreement,
    /// Its label is none of the model's.
    UnknownLabel,
    /// Its text validates or is held out elsewhere.
    CopyOfHeldOut,
    /// It would be held out or validate, but its text is one that the first training was on.
    CopyOfBase,
    /// A copy of a message that is taken.
    Copy,
    /// A copy of a message that is taken, to which more annotators gave another label.
    Contradicted,
    /// Its copies have other labels, and as many annotators for them.
    Contradicting,
    /// There are enough of its author.
    AuthorCap,
    /// There are enough of its source.
    SourceCap,
    /// There are enough.
    RowCap,
    /// A base row without a text or without a known class.
    BaseUnusable,
    /// A base row whose text validates or is held out.
    BaseCopyOfHeldOut,
    /// A copy of a base row.
    BaseCopy,
    /// A base row whose copies have other labels.
    BaseContradicting,
    /// A base row whose text is one of the labelled messages that are taken.
    BaseCopyOfFeedback,
    /// A base row that the draw passed over.
    BaseNotDrawn,
}

impl LeftOut {
    /// Why, for people.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::NoText => "without a text",
            Self::NoLabel => "without a label",
            Self::Tie => "with as many labels of two kinds",
            Self::LowAgreement => "on which too few agree",
            Self::UnknownLabel => "with a label that the model does not have",
            Self::CopyOfHeldOut => "that validate or are held out elsewhere",
            Self::CopyOfBase => "that the first training was on",
            Self::Copy => "that are copies",
            Self::Contradicted => "that are copies with the rarer label",
            Self::Contradicting => "whose copies have other labels",
            Self::AuthorCap => "beyond what one author may have",
            Self::SourceCap => "beyond what one source may have",
            Self::RowCap => "beyond max_rows",
            Self::BaseUnusable => "of the base without a text or a known class",
            Self::BaseCopyOfHeldOut => "of the base that validate or are held out",
            Self::BaseCopy => "of the base that are copies",
            Self::BaseContradicting => "of the base whose copies have other labels",
            Self::BaseCopyOfFeedback => "of the base that were labelled in the feed",
            Self::BaseNotDrawn => "of the base that were not drawn",
        }
    }

    /// Whether it is of a base row.
    #[must_use]
    pub fn is_base(self) -> bool {
        self >= Self::BaseUnusable
    }
}

/// What a choice came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Rows by class: labelled messages to train on.
    pub feedback: BTreeMap<String, u64>,
    /// Base rows to train on.
    pub base: BTreeMap<String, u64>,
    /// Rows that validate.
    pub validation: BTreeMap<String, u64>,
    /// Labelled messages for the gate.
    pub held_out: BTreeMap<String, u64>,
    /// Rows that the drift baseline is made of, where they are not those that validate.
    pub baseline: BTreeMap<String, u64>,
    /// Unlabelled texts.
    pub texts: u64,
    /// Rows of an epoch, repeats counted.
    pub epoch: u64,
    /// Rows left out, by reason.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Number of the latest label that was looked at; none without any.
    pub mark: Option<i64>,
    /// Hex SHA-256 of all that would be trained and calibrated on: the same hash, the same training.
    pub hash: String,
}

impl Report {
    pub(super) fn leave_out(&mut self, reason: LeftOut, rows: usize) {
        if rows > 0 {
            *self.left_out.entry(reason).or_default() += rows as u64;
        }
    }

    /// Of what was chosen, with what its report has counted so far.
    pub(super) fn of(selection: &Selection, mark: Option<i64>, labels: &[String]) -> Self {
        let count = |rows: &mut dyn Iterator<Item = &Row>| {
            let mut classes: BTreeMap<String, u64> =
                labels.iter().map(|label| (label.clone(), 0)).collect();
            for row in rows {
                *classes.entry(labels[row.label].clone()).or_default() += 1;
            }
            classes
        };
        let trained = selection.feedback.iter().chain(&selection.base);
        Self {
            feedback: count(&mut selection.feedback.iter()),
            base: count(&mut selection.base.iter()),
            validation: count(&mut selection.validation.iter()),
            held_out: count(&mut selection.held_out.iter().map(|held| &held.row)),
            baseline: count(&mut selection.baseline.iter()),
            texts: selection.texts.len() as u64,
            epoch: trained.map(|row| u64::from(row.repeats)).sum(),
            left_out: selection.report.left_out.clone(),
            mark,
            hash: hash(selection, labels),
        }
    }
}

/// Of each row's part, text, class and repeats. Where a row came from does not count, nor what is held out or what the baseline is
/// made of: the same is trained.
fn hash(selection: &Selection, labels: &[String]) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    labels.iter().for_each(|label| add(label.as_bytes()));
    let parts: [(&[u8], &[Row]); 3] = [
        (b"feedback", &selection.feedback),
        (b"base", &selection.base),
        (b"validation", &selection.validation),
    ];
    for (name, rows) in parts {
        add(name);
        for row in rows {
            add(row.text.as_bytes());
            add(&(row.label as u64).to_be_bytes());
            add(&row.repeats.to_be_bytes());
        }
    }
    add(b"texts");
    selection.texts.iter().for_each(|text| add(text.as_bytes()));
    hex::encode(hash.finalize())
}
