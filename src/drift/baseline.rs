//! What live messages are compared with: the counts of held-out data and how much windows of it vary.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::copies::{Copies, distinct_by};
use super::counts::{Counts, Shape};
use super::dispersion::Movement;
use super::labelled::Labelled;
use super::null::{Null, NullSettings};
use super::reading::Reading;
use crate::adjustment::Adjustment;

/// The number in `baseline.json` that says how to read it.
pub const FORMAT: u32 = 1;
/// The number of a baseline that has to do with an adjusted model: code that knows none would compare it wrongly.
pub const FORMAT_ADJUSTED: u32 = 2;

/// Held-out data as a model saw it. Written to and read from `baseline.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// [`FORMAT`] or [`FORMAT_ADJUSTED`].
    pub format: u32,
    /// The model and code that it was made with.
    #[serde(flatten)]
    pub identity: Identity,
    /// The model's labels.
    pub labels: Vec<String>,
    /// The id of the token that stands for unknown ones, where the tokenizer has one.
    pub unknown: Option<u32>,
    /// The sizes of the counts.
    pub shape: Shape,
    /// Held-out messages, copies included.
    pub messages: u64,
    /// The copies among them.
    pub copies: Copies,
    /// The times of the first and the last message, in milliseconds since 1970.
    pub span: Option<(i64, i64)>,
    /// How good the model was on them, where truths are known.
    pub labelled: Option<Labelled>,
    /// How much windows of the distinct messages vary.
    pub null: Null,
    /// Counts of the distinct messages.
    pub counts: Counts,
    /// The same of each source that has enough of them, where there is more than one source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_source: BTreeMap<String, SourceBaseline>,
    /// What is undone in a reading before it is compared, where the readings are of a model that adjusts the one that the
    /// baseline was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Adjustment>,
}

/// What is normal for one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceBaseline {
    /// Counts of its distinct messages.
    pub counts: Counts,
    /// How much windows of them vary.
    pub null: Null,
}

/// Sources with a baseline of their own at most, those with most messages.
const MOST_SOURCES: usize = 20;

/// What a baseline belongs to: another model or tokenizer gives other scores and tokens for the same messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// SHA-256 of the model's weights, in hexadecimal.
    pub model_sha256: String,
    /// SHA-256 of the tokenizer's file, in hexadecimal.
    pub tokenizer_sha256: String,
    /// Version of the code that made it.
    pub code_version: String,
    /// What the model does to the probabilities of another one with the same weights, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjustment: Option<Adjustment>,
}

impl Identity {
    /// Of a model and a tokenizer by the hashes of their files, and of this code.
    #[must_use]
    pub fn new(model_sha256: impl Into<String>, tokenizer_sha256: impl Into<String>) -> Self {
        Self {
            model_sha256: model_sha256.into(),
            tokenizer_sha256: tokenizer_sha256.into(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            adjustment: None,
        }
    }

    /// The same of a model that adjusts another one's probabilities.
    #[must_use]
    pub fn adjusted(self, adjustment: Option<Adjustment>) -> Self {
        Self { adjustment, ..self }
    }
}

/// Why there is no usable baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// Nothing can be resampled from so few.
    #[error(
        "{distinct} distinct held-out messages are too few for a baseline; give at least {needed}"
    )]
    TooFew {
        /// Distinct messages given.
        distinct: usize,
        /// Distinct messages needed.
        needed: usize,
    },
    /// Not a baseline at all.
    #[error("this is not a baseline ({0}); build one from held-out messages")]
    Malformed(#[from] serde_json::Error),
    /// Made by another version of the code.
    #[error(
        "the baseline has format {found} and this version reads {FORMAT} and {FORMAT_ADJUSTED}; build it again"
    )]
    Format {
        /// The format that it has.
        found: u64,
    },
    /// Its parts contradict each other.
    #[error("the baseline contradicts itself ({0}); build it again")]
    Inconsistent(&'static str),
    /// Made for another model.
    #[error(
        "the baseline was made for the model {made_for} and the running one is {running}; build a baseline for it"
    )]
    OtherModel {
        /// SHA-256 that the baseline names.
        made_for: String,
        /// SHA-256 of the running model.
        running: String,
    },
    /// Made for a derived model, and not this one.
    #[error(
        "the baseline was made with a recalibrated or corrected model, and the running one is another; build a baseline for it"
    )]
    OtherAdjustment,
    /// Made for another tokenizer.
    #[error(
        "the baseline was made for the tokenizer {made_for} and the running one is {running}; build a baseline for it"
    )]
    OtherTokenizer {
        /// SHA-256 that the baseline names.
        made_for: String,
        /// SHA-256 of the running tokenizer.
        running: String,
    },
}

impl Baseline {
    /// Builds a baseline from held-out readings, each with the index of its true label where that is known. The order of the
    /// readings does not matter.
    ///
    /// # Errors
    /// [`BaselineError::TooFew`] when the distinct readings are fewer than twice the smallest size of window.
    pub fn build(
        mut readings: Vec<(Reading, Option<usize>)>,
        labels: Vec<String>,
        unknown: Option<u32>,
        shape: Shape,
        identity: Identity,
        settings: &NullSettings,
    ) -> Result<Self, BaselineError> {
        // Of equal readings with different truths the same one is kept, however they were ordered.
        readings.sort_by_key(|(reading, truth)| (reading.time, truth.is_none(), *truth));
        let kept = distinct_by(&readings, |(reading, _)| reading);
        let smallest = settings.sizes.iter().copied().filter(|&size| size > 0);
        let needed = 2 * smallest.min().unwrap_or(1);
        if kept.len() < needed {
            return Err(BaselineError::TooFew {
                distinct: kept.len(),
                needed,
            });
        }
        let distinct: Vec<&Reading> = kept.iter().map(|(reading, _)| reading).collect();
        let mut counts = Counts::new(shape);
        distinct.iter().for_each(|reading| counts.add(reading));
        let truths = kept
            .iter()
            .filter_map(|(reading, truth)| Some((reading, (*truth)?)));
        let time = |held: Option<&(Reading, _)>| held.map(|(reading, _)| reading.time);
        Ok(Self {
            format: format(identity.adjustment.is_some()),
            identity,
            unknown,
            shape,
            messages: readings.len() as u64,
            copies: Copies::among(readings.iter().map(|(reading, _)| reading)),
            span: time(readings.first()).zip(time(readings.last())),
            labelled: Labelled::of(truths, labels.len()),
            null: Null::of(&distinct, shape, unknown, settings),
            by_source: by_source(&distinct, needed, shape, unknown, settings),
            undone: None,
            labels,
            counts,
        })
    }

    /// How its messages move in the course of time, where that is so much that changes which matter may be hidden by it.
    #[must_use]
    pub fn movement(&self) -> Option<Movement> {
        let readings = usize::try_from(self.counts.messages).unwrap_or(usize::MAX);
        self.null.movement(readings).filter(Movement::is_large)
    }

    /// Reads what [`Baseline::to_json`] wrote.
    ///
    /// # Errors
    /// When it is no baseline, has another format or its parts contradict each other.
    pub fn parse(bytes: &[u8]) -> Result<Self, BaselineError> {
        #[derive(Deserialize)]
        struct Head {
            format: u64,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if ![FORMAT, FORMAT_ADJUSTED]
            .map(u64::from)
            .contains(&head.format)
        {
            return Err(BaselineError::Format { found: head.format });
        }
        let baseline: Self = serde_json::from_slice(bytes)?;
        baseline.check().map_err(BaselineError::Inconsistent)?;
        Ok(baseline)
    }

    /// The contents of `baseline.json`.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, BaselineError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Checks that it was made for the model and tokenizer that run.
    ///
    /// # Errors
    /// When it was made for others; the error names both.
    pub fn fits(&self, model_sha256: &str, tokenizer_sha256: &str) -> Result<(), BaselineError> {
        let made_for = &self.identity;
        if made_for.model_sha256 != model_sha256 {
            return Err(BaselineError::OtherModel {
                made_for: made_for.model_sha256.clone(),
                running: model_sha256.to_owned(),
            });
        }
        if made_for.tokenizer_sha256 != tokenizer_sha256 {
            return Err(BaselineError::OtherTokenizer {
                made_for: made_for.tokenizer_sha256.clone(),
                running: tokenizer_sha256.to_owned(),
            });
        }
        Ok(())
    }

    /// The format that says enough to whoever reads it.
    pub(super) fn format_needed(&self) -> u32 {
        format(self.undone.is_some() || self.identity.adjustment.is_some())
    }

    fn check(&self) -> Result<(), &'static str> {
        let counts = &self.counts;
        if self.format != self.format_needed() {
            return Err("its format is not that of what it says of adjustments");
        }
        let adjustments = [&self.undone, &self.identity.adjustment];
        if adjustments
            .into_iter()
            .flatten()
            .any(|adjustment| adjustment.check(self.shape.labels).is_err())
        {
            return Err("its adjustment cannot be undone");
        }
        if counts.lengths.is_empty() || counts.shape() != self.shape {
            return Err("its counts have another shape than it says");
        }
        let empty = Counts::new(self.shape);
        let bins = |held: &[Vec<u64>]| held.iter().map(Vec::len).collect::<Vec<_>>();
        if bins(&counts.scores) != bins(&empty.scores)
            || counts.entropy.len() != empty.entropy.len()
            || counts.confidence.len() != empty.confidence.len()
        {
            return Err("its histograms have another number of bins");
        }
        if self.labels.len() != self.shape.labels {
            return Err("it names another number of labels than it counts");
        }
        let labels = self.shape.labels;
        if self.labelled.as_ref().is_some_and(|labelled| {
            let confusion = &labelled.confusion;
            confusion.len() != labels
                || confusion.iter().any(|row| row.len() != labels)
                || labelled.priors.len() != labels
        }) {
            return Err("it was labelled with another number of labels than it counts");
        }
        let parts = self.by_source.values();
        if !self.null.is_complete() || parts.clone().any(|part| !part.null.is_complete()) {
            return Err("its null distributions are incomplete");
        }
        if parts
            .clone()
            .any(|part| part.counts.lengths.is_empty() || part.counts.shape() != self.shape)
        {
            return Err("the counts of its sources have another shape than it says");
        }
        Ok(())
    }
}

fn format(adjusted: bool) -> u32 {
    if adjusted { FORMAT_ADJUSTED } else { FORMAT }
}

/// What is normal for each source with as many distinct readings as are `needed`; nothing where there is only one.
fn by_source(
    readings: &[&Reading],
    needed: usize,
    shape: Shape,
    unknown: Option<u32>,
    settings: &NullSettings,
) -> BTreeMap<String, SourceBaseline> {
    let mut sources: BTreeMap<&str, Vec<&Reading>> = BTreeMap::new();
    for reading in readings {
        sources.entry(&reading.source).or_default().push(reading);
    }
    if sources.len() < 2 {
        return BTreeMap::new();
    }
    let mut largest: Vec<(&str, Vec<&Reading>)> = sources.into_iter().collect();
    largest.retain(|(_, readings)| readings.len() >= needed);
    largest.sort_by_key(|(_, readings)| std::cmp::Reverse(readings.len()));
    largest.truncate(MOST_SOURCES);
    let part = |(source, readings): (&str, Vec<&Reading>)| {
        let mut counts = Counts::new(shape);
        readings.iter().for_each(|reading| counts.add(reading));
        let null = Null::of(&readings, shape, unknown, settings);
        (source.to_owned(), SourceBaseline { counts, null })
    };
    largest.into_iter().map(part).collect()
}

#[cfg(test)]
mod tests;
