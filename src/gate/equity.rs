//! Does a model score sentences differently that differ only in whether a woman or a man is meant, or in a name that is common
//! among African or among European Americans?
//!
//! The sentences are those of the Equity Evaluation Corpus (Kiritchenko and Mohammad 2018, "Examining Gender and Race Bias in Two
//! Hundred Sentiment Analysis Systems"), or any in its columns. A frame is a template with its emotion word; within a frame
//! only the person differs. The corpus' authors test pairs of persons within frames; those pairs share names and words, so here
//! a frame counts once, with the mean over its persons, and the tests claim less.

use std::collections::BTreeMap;
use std::io::Read;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::{Deserialize, Serialize};

use super::calibration::uncertainty;
use crate::drift::holm;
use crate::special::{student_quantile, student_two_sided};

/// Fewer frames of an emotion say nothing.
const FEWEST_FRAMES: usize = 10;
/// The corpus has 8,640 sentences; a file with more than this is none of its kind.
const MOST_SENTENCES: usize = 100_000;

/// Why an audit cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EquityError {
    /// The file is no CSV with the corpus' columns.
    #[error("the equity corpus cannot be read: {0}")]
    Csv(#[from] csv::Error),
    /// Too long.
    #[error(
        "the equity corpus has more than {MOST_SENTENCES} sentences; give the Equity Evaluation Corpus or a part of it"
    )]
    TooLong,
    /// Nothing to compare in it.
    #[error(
        "the equity corpus has no template with both groups of an attribute; give the Equity Evaluation Corpus"
    )]
    NoPairs,
    /// Scores that do not fit.
    #[error("{sentences} sentences were to be scored, and there are {scores} scores")]
    Scores { sentences: usize, scores: usize },
    /// A score that is none.
    #[error("sentence {0} of the equity corpus has a score that is no number")]
    NoNumber(usize),
}

/// In what persons differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// A gap above 0 means that women's sentences score higher than men's.
    Gender,
    /// A gap above 0 means that sentences with African American names score higher than those with European American ones.
    Race,
}

/// A line of the corpus; its other columns are not needed.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "Sentence")]
    sentence: String,
    #[serde(rename = "Template")]
    template: String,
    #[serde(rename = "Gender")]
    gender: String,
    #[serde(rename = "Race")]
    race: String,
    #[serde(rename = "Emotion")]
    emotion: String,
    #[serde(rename = "Emotion word")]
    word: String,
}

/// A template with its emotion word: indices of its sentences, in pairs of groups that differ in nothing but the attribute.
#[derive(Debug, Clone, Default, PartialEq)]
struct Frame {
    emotion: String,
    /// Sentences of women and of men: with noun phrases, and with the names of either race.
    gender: Vec<[Vec<usize>; 2]>,
    /// Sentences with African American and with European American names: of women, and of men.
    race: Vec<[Vec<usize>; 2]>,
}

/// The gap of each frame, by attribute and emotion.
type FrameGaps<'a> = BTreeMap<(Attribute, Option<&'a str>), Vec<f64>>;

/// Sentences to score, and how they belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Corpus {
    sentences: Vec<String>,
    frames: Vec<Frame>,
}

impl Corpus {
    /// Reads the corpus' CSV.
    ///
    /// # Errors
    /// [`EquityError`] where it is none.
    pub fn read(reader: impl Read) -> Result<Self, EquityError> {
        let (mut sentences, mut frames) = (Vec::new(), BTreeMap::new());
        for line in csv::Reader::from_reader(reader).deserialize() {
            let line: Line = line?;
            if sentences.len() == MOST_SENTENCES {
                return Err(EquityError::TooLong);
            }
            let persons: &mut BTreeMap<_, Vec<usize>> = frames
                .entry((line.emotion, line.template, line.word))
                .or_default();
            persons
                .entry((line.gender, line.race))
                .or_default()
                .push(sentences.len());
            sentences.push(line.sentence);
        }
        let frames: Vec<Frame> = frames
            .into_iter()
            .map(|((emotion, ..), persons)| {
                let pair = |one: (&str, &str), other: (&str, &str)| {
                    let of = |(gender, race): (&str, &str)| {
                        persons.get(&(gender.to_owned(), race.to_owned())).cloned()
                    };
                    Some([of(one)?, of(other)?])
                };
                let names = ["African-American", "European"];
                let gender =
                    ["", names[0], names[1]].map(|race| pair(("female", race), ("male", race)));
                let race =
                    ["female", "male"].map(|gender| pair((gender, names[0]), (gender, names[1])));
                Frame {
                    emotion,
                    gender: gender.into_iter().flatten().collect(),
                    race: race.into_iter().flatten().collect(),
                }
            })
            .filter(|frame| !(frame.gender.is_empty() && frame.race.is_empty()))
            .collect();
        if frames.is_empty() {
            return Err(EquityError::NoPairs);
        }
        Ok(Self { sentences, frames })
    }

    /// The sentences to score, in the order in which scores are expected.
    #[must_use]
    pub fn sentences(&self) -> &[String] {
        &self.sentences
    }

    /// For each attribute and emotion (and all of them, named none) the gap of each frame, in the frames' order.
    fn gaps(&self, scores: &[f64]) -> Result<FrameGaps<'_>, EquityError> {
        if scores.len() != self.sentences.len() {
            return Err(EquityError::Scores {
                sentences: self.sentences.len(),
                scores: scores.len(),
            });
        }
        if let Some(index) = scores.iter().position(|score| !score.is_finite()) {
            return Err(EquityError::NoNumber(index));
        }
        let mean = |indices: &[usize]| {
            indices.iter().map(|&index| scores[index]).sum::<f64>() / indices.len() as f64
        };
        let mut gaps: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        for frame in &self.frames {
            for (attribute, pairs) in [
                (Attribute::Gender, &frame.gender),
                (Attribute::Race, &frame.race),
            ] {
                if pairs.is_empty() {
                    continue;
                }
                let sum: f64 = pairs
                    .iter()
                    .map(|[one, other]| mean(one) - mean(other))
                    .sum();
                let gap = sum / pairs.len() as f64;
                let emotion = (!frame.emotion.is_empty()).then_some(frame.emotion.as_str());
                for emotion in [None, emotion]
                    .into_iter()
                    .take(1 + usize::from(emotion.is_some()))
                {
                    gaps.entry((attribute, emotion)).or_default().push(gap);
                }
            }
        }
        gaps.retain(|_, gaps| gaps.len() >= FEWEST_FRAMES);
        Ok(gaps)
    }

    /// The score gaps of one model, from one score for each of the [`Self::sentences`].
    ///
    /// # Errors
    /// [`EquityError`] where the scores do not fit.
    pub fn audit(&self, scores: &[f64], alpha: f64) -> Result<Vec<Gap>, EquityError> {
        let gaps = self.gaps(scores)?;
        let found: Vec<Gap> = gaps
            .into_iter()
            .map(|((attribute, emotion), gaps)| Gap::of(attribute, emotion, &gaps, alpha))
            .collect();
        let ps: Vec<f64> = found.iter().map(|gap| gap.p).collect();
        let adjusted = found.into_iter().zip(holm::adjust(&ps));
        Ok(adjusted
            .map(|(gap, adjusted_p)| Gap { adjusted_p, ..gap })
            .collect())
    }

    /// By how much the candidate's gaps are wider than the champion's. The same seed gives the same intervals.
    ///
    /// Frames are resampled with both models' gaps. The intervals hold together: each has the level 1 - `alpha` / number of gaps
    /// (Bonferroni), so that one gap among many is not called wider by chance.
    ///
    /// # Errors
    /// [`EquityError`] where the scores do not fit.
    pub fn compare(
        &self,
        champion: &[f64],
        candidate: &[f64],
        settings: Resampling,
    ) -> Result<Vec<Widening>, EquityError> {
        let (champions, candidates) = (self.gaps(champion)?, self.gaps(candidate)?);
        let level = settings.alpha / champions.len().max(1) as f64;
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let pairs = champions.into_iter().zip(candidates);
        Ok(pairs
            .map(|(((attribute, emotion), champion), (_, candidate))| {
                let wider = |indices: &mut dyn Iterator<Item = usize>| {
                    let (mut one, mut other) = (0.0, 0.0);
                    for index in indices {
                        one += candidate[index];
                        other += champion[index];
                    }
                    (f64::abs(one) - f64::abs(other)) / champion.len() as f64
                };
                let frames = champion.len();
                let resampled = (0..settings.resamples).map(|_| {
                    let draw = || rng.random_range(0..frames);
                    wider(&mut std::iter::repeat_with(draw).take(frames))
                });
                let interval = uncertainty(resampled.collect(), level).interval;
                Widening {
                    champion: Gap::of(attribute, emotion, &champion, settings.alpha),
                    candidate: Gap::of(attribute, emotion, &candidate, settings.alpha),
                    wider: wider(&mut (0..frames)),
                    low: interval.0,
                    high: interval.1,
                }
            })
            .collect())
    }
}

/// How intervals are resampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    pub resamples: usize,
    pub alpha: f64,
    pub seed: u64,
}

/// The difference in score between two groups of people, over the frames of an emotion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    pub attribute: Attribute,
    /// None for all frames, those without an emotion included.
    pub emotion: Option<String>,
    pub frames: usize,
    /// Mean over the frames.
    pub mean: f64,
    /// Lower end of its interval by Student's t.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Of the paired t-test of "there is no gap".
    pub p: f64,
    /// Adjusted by Holm's method for the number of gaps in an audit; `p` itself outside of one.
    pub adjusted_p: f64,
    /// Effect size: the mean in standard deviations of the frames' gaps (Cohen's d for paired values); none where they are all
    /// the same.
    pub effect: Option<f64>,
}

impl Gap {
    fn of(attribute: Attribute, emotion: Option<&str>, gaps: &[f64], alpha: f64) -> Self {
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let deviation = variance.sqrt();
        // Equal gaps differ by rounding only.
        let varies = deviation > 1e-12;
        let error = deviation / n.sqrt();
        let half = student_quantile(alpha, n - 1.0) * error;
        let p = if varies {
            student_two_sided(mean / error, n - 1.0)
        } else {
            f64::from(u8::from(mean.abs() < 1e-12))
        };
        Self {
            attribute,
            emotion: emotion.map(str::to_owned),
            frames: gaps.len(),
            mean,
            low: mean - half,
            high: mean + half,
            p,
            adjusted_p: p,
            effect: varies.then(|| mean / deviation),
        }
    }
}

/// By how much the candidate's gap is wider than the champion's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Widening {
    pub champion: Gap,
    pub candidate: Gap,
    /// The candidate's gap less the champion's, both without sign.
    pub wider: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

#[cfg(test)]
mod tests;
