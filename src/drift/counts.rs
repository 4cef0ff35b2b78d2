//! What many readings add up to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reading::Reading;

/// Bins of equal width of a probability, and of the entropy as a share of its maximum.
pub const BINS: usize = 100;

/// Counters over a set of readings. They merge by addition, and what was added can be taken away again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Readings counted.
    pub messages: u64,
    /// Those whose text was cut.
    pub truncated: u64,
    /// Words in them.
    pub words: u64,
    /// How often each token occurs, by its id.
    pub tokens: Vec<u64>,
    /// Readings by their number of tokens, special ones excluded; the last entry holds all longer ones.
    pub lengths: Vec<u64>,
    /// Readings by predicted label.
    pub classes: Vec<u64>,
    /// For each label, readings by that label's probability: `[labels][BINS]`.
    pub scores: Vec<Vec<u64>>,
    /// Readings by the probability of the predicted label: `[BINS]`.
    pub confidence: Vec<u64>,
    /// Readings by the entropy of their probabilities as a share of the largest possible: `[BINS]`.
    pub entropy: Vec<u64>,
    /// Readings by source.
    pub sources: BTreeMap<String, u64>,
}

/// The sizes of the vectors in [`Counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Labels of the model.
    pub labels: usize,
    /// Most tokens that the model reads.
    pub max_tokens: usize,
}

impl Counts {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self {
            messages: 0,
            truncated: 0,
            words: 0,
            tokens: vec![0; shape.vocabulary],
            lengths: vec![0; shape.max_tokens + 1],
            classes: vec![0; shape.labels],
            scores: vec![vec![0; BINS]; shape.labels],
            confidence: vec![0; BINS],
            entropy: vec![0; BINS],
            sources: BTreeMap::new(),
        }
    }

    /// The sizes of its vectors.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            vocabulary: self.tokens.len(),
            labels: self.classes.len(),
            max_tokens: self.lengths.len() - 1,
        }
    }

    /// Counts a reading. Tokens beyond the vocabulary and labels beyond the model's are not counted: they cannot come from the
    /// model that these counts are of.
    pub fn add(&mut self, reading: &Reading) {
        self.messages += 1;
        self.truncated += u64::from(reading.truncated);
        self.words += u64::from(reading.words);
        for &token in &reading.tokens {
            bump(&mut self.tokens, token as usize);
        }
        let longest = self.lengths.len() - 1;
        bump(&mut self.lengths, reading.tokens.len().min(longest));
        bump(&mut self.classes, reading.label);
        for (bins, &probability) in self.scores.iter_mut().zip(&reading.probabilities) {
            bump(bins, bin(f64::from(probability)));
        }
        let confidence = reading.probabilities.get(reading.label).copied();
        bump(
            &mut self.confidence,
            bin(f64::from(confidence.unwrap_or(0.0))),
        );
        bump(
            &mut self.entropy,
            bin(entropy_share(&reading.probabilities)),
        );
        if let Some(count) = self.sources.get_mut(&*reading.source) {
            *count += 1;
        } else {
            self.sources.insert(reading.source.to_string(), 1);
        }
    }

    /// Adds what others have counted.
    ///
    /// # Panics
    /// When the shapes differ: counts of different models never mix.
    pub fn merge(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine + theirs);
        for (source, count) in &other.sources {
            *self.sources.entry(source.clone()).or_default() += count;
        }
    }

    /// Takes away what was added before.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn subtract(&mut self, part: &Self) {
        self.combine(part, u64::saturating_sub);
        for (source, count) in &part.sources {
            if let Some(held) = self.sources.get_mut(source) {
                *held = held.saturating_sub(*count);
            }
        }
        self.sources.retain(|_, count| *count > 0);
    }

    fn combine(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64 + Copy) {
        assert_eq!(self.shape(), other.shape(), "counts of one model only");
        let each = |mine: &mut [u64], theirs: &[u64]| {
            for (mine, &theirs) in mine.iter_mut().zip(theirs) {
                *mine = with(*mine, theirs);
            }
        };
        self.messages = with(self.messages, other.messages);
        self.truncated = with(self.truncated, other.truncated);
        self.words = with(self.words, other.words);
        each(&mut self.tokens, &other.tokens);
        each(&mut self.lengths, &other.lengths);
        each(&mut self.classes, &other.classes);
        for (mine, theirs) in self.scores.iter_mut().zip(&other.scores) {
            each(mine, theirs);
        }
        each(&mut self.confidence, &other.confidence);
        each(&mut self.entropy, &other.entropy);
    }
}

impl Counts {
    /// Tokens in all.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.tokens.iter().sum()
    }

    /// The mean probability of the predicted label, to half the width of a bin; 0 without readings.
    #[must_use]
    pub fn mean_confidence(&self) -> f64 {
        let middle = |bin: usize| (bin as f64 + 0.5) / BINS as f64;
        let weighed = self.confidence.iter().enumerate();
        let sum: f64 = weighed
            .map(|(bin, &count)| middle(bin) * count as f64)
            .sum();
        sum / self.messages.max(1) as f64
    }
}

fn bump(counts: &mut [u64], index: usize) {
    if let Some(count) = counts.get_mut(index) {
        *count += 1;
    }
}

/// The bin of a number between 0 and 1.
fn bin(share: f64) -> usize {
    ((share * BINS as f64) as usize).min(BINS - 1)
}

/// The Shannon entropy of the probabilities as a share of the largest that so many labels can have. Where they do not sum to one,
/// as those of a model that gives any number of labels, it is no entropy, but still moves with how sure the model is.
#[must_use]
pub fn entropy_share(probabilities: &[f32]) -> f64 {
    if probabilities.len() < 2 {
        return 0.0;
    }
    let entropy: f64 = probabilities
        .iter()
        .map(|&p| f64::from(p))
        .filter(|p| *p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    (entropy / (probabilities.len() as f64).ln()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reading::Fingerprint;
    use super::*;

    const SHAPE: Shape = Shape {
        vocabulary: 50,
        labels: 3,
        max_tokens: 8,
    };

    prop_compose! {
        fn reading()(
            tokens in prop::collection::vec(0_u32..60, 0..12),
            label in 0_usize..3,
            raw in prop::array::uniform3(0.01_f32..1.0),
            source in "[ab]",
            truncated: bool,
        ) -> Reading {
            let total: f32 = raw.iter().sum();
            Reading {
                time: 0,
                print: Fingerprint { exact: 0, near: 0 },
        author: None,
                source: source.into(),
                subject: "".into(),
                label,
                probabilities: raw.iter().map(|p| p / total).collect(),
                words: tokens.len() as u32,
                tokens,
                truncated,
            }
        }
    }

    fn count(readings: &[Reading]) -> Counts {
        let mut counts = Counts::new(SHAPE);
        readings.iter().for_each(|reading| counts.add(reading));
        counts
    }

    proptest! {
        #[test]
        fn counting_apart_and_merging_is_counting_together_in_any_order(
            one in prop::collection::vec(reading(), 0..20), other in prop::collection::vec(reading(), 0..20),
        ) {
            let together = count(&[one.clone(), other.clone()].concat());
            let mut merged = count(&other);
            merged.merge(&count(&one));
            prop_assert_eq!(&merged, &together);
            merged.subtract(&count(&other));
            prop_assert_eq!(merged, count(&one));
        }

        #[test]
        fn every_histogram_holds_each_message_once(readings in prop::collection::vec(reading(), 0..20)) {
            let counts = count(&readings);
            for histogram in [&counts.lengths, &counts.classes, &counts.confidence, &counts.entropy, &counts.scores[1]] {
                prop_assert_eq!(histogram.iter().sum::<u64>(), counts.messages);
            }
        }
    }

    #[test]
    fn even_probabilities_have_all_the_entropy_there_is_and_a_sure_one_none() {
        assert!((entropy_share(&[0.25; 4]) - 1.0).abs() < 1e-6);
        assert_eq!(entropy_share(&[1.0, 0.0]), 0.0);
    }
}
