//! How far a window's counts are from a reference's: one number for each thing that may drift.
//!
//! None of them is a test by itself: what is far is decided by the [`Null`](super::null::Null), which knows how far windows of
//! the reference's own data are. So a statistic may be biased (the raw divergence of two samples over a large vocabulary
//! always is) as long as it grows with the distance.

use std::f64::consts::LN_2;
use std::ops::Index;

use serde::{Deserialize, Serialize};

use super::counts::{Counts, Shape};

/// A thing that may drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Predicted classes: the likelihood ratio G = 2 sum O ln(O/E) of the hypothesis that window and reference have the same
    /// shares (Wilks 1938; Sokal and Rohlf, "Biometry", chapter 17).
    Classes,
    /// The labels' probabilities: the largest over the labels of the two-sample Kolmogorov-Smirnov distance of that label's
    /// probability (Smirnov 1939), from histograms. Labels move before predicted classes do.
    Scores,
    /// Tokens: the Jensen-Shannon divergence (Lin 1991) of their distributions, in nats. Two samples of one distribution over
    /// B tokens are about (B - 1)(1/n + 1/m)/8 apart, which the null takes into account.
    Vocabulary,
    /// Tokens: the distance between the window's cross-entropy and the reference's, in nats a token, both under the
    /// reference's unigram model. New vocabulary raises the window's, repetition lowers it; either is a distance.
    Surprise,
    /// Tokens in a message: the Kolmogorov-Smirnov distance.
    Lengths,
    /// Share of tokens that the tokenizer does not know: the two-proportion z, absolute, with Yates's correction (1934).
    Unknown,
    /// Tokens that a word is cut into, on average: the absolute difference. Words that the tokenizer was not made for are cut
    /// into more.
    PiecesPerWord,
    /// The model's doubt: the Kolmogorov-Smirnov distance of the entropy of a message's probabilities.
    Entropy,
}

impl Statistic {
    /// Every statistic, in the order of [`Values`].
    pub const ALL: [Self; 8] = [
        Self::Classes,
        Self::Scores,
        Self::Vocabulary,
        Self::Surprise,
        Self::Lengths,
        Self::Unknown,
        Self::PiecesPerWord,
        Self::Entropy,
    ];

    /// Its name in files, metrics and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Classes => "classes",
            Self::Scores => "scores",
            Self::Vocabulary => "vocabulary",
            Self::Surprise => "surprise",
            Self::Lengths => "lengths",
            Self::Unknown => "unknown",
            Self::PiecesPerWord => "pieces_per_word",
            Self::Entropy => "entropy",
        }
    }

    /// A value of a window of `n` readings on the scale of a squared distance between distributions, which does not grow with
    /// n if the distributions differ, and on which independent causes of a distance add up.
    #[must_use]
    pub fn squared_distance(self, value: f64, n: usize) -> f64 {
        match self {
            Self::Classes => value / n as f64,
            Self::Unknown => value * value / n as f64,
            Self::Vocabulary => value,
            _ => value * value,
        }
    }

    /// The value that [`Self::squared_distance`] makes the distance of.
    #[must_use]
    pub fn from_squared_distance(self, distance: f64, n: usize) -> f64 {
        match self {
            Self::Classes => distance * n as f64,
            Self::Unknown => (distance * n as f64).sqrt(),
            Self::Vocabulary => distance,
            _ => distance.sqrt(),
        }
    }

    /// By what factor a value grows with the window, if the distributions differ: that of a test does, a distance does not.
    #[must_use]
    pub fn growth(self, times_larger: f64) -> f64 {
        match self {
            Self::Classes => times_larger,
            Self::Unknown => times_larger.sqrt(),
            _ => 1.0,
        }
    }
}

/// The value of each statistic.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Values([f64; Statistic::ALL.len()]);

impl Index<Statistic> for Values {
    type Output = f64;

    fn index(&self, statistic: Statistic) -> &f64 {
        &self.0[statistic as usize]
    }
}

/// Added to each token's count in the reference's unigram model: the estimator of Krichevsky and Trofimov (1981). A token that
/// the reference lacks thus has a probability.
const ADDED: f64 = 0.5;

/// With fewer unknown tokens than this, both seen and expected in a window, their shares are not compared: one odd message
/// would decide.
const FEWEST_UNKNOWN: f64 = 10.0;

/// Counts that windows are compared with, with the sums that every comparison needs.
#[derive(Debug, Clone)]
pub struct Reference<'a> {
    counts: &'a Counts,
    unknown: Option<u32>,
    pieces: u64,
    /// For each token its share of [`Self::own`].
    terms: Vec<f64>,
    /// Sum over the tokens of their count times the logarithm of what is left of it when one occurrence is left out.
    own: f64,
}

/// Whether a window's readings are among the reference's and have to be taken out of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Within,
    Apart,
}

impl<'a> Reference<'a> {
    /// A reference; `unknown` is the id of the token that stands for unknown ones, where the tokenizer has one.
    #[must_use]
    pub fn new(counts: &'a Counts, unknown: Option<u32>) -> Self {
        let terms: Vec<f64> = counts.tokens.iter().map(|&count| left_out(count)).collect();
        Self {
            counts,
            unknown,
            pieces: counts.pieces(),
            own: terms.iter().sum(),
            terms,
        }
    }

    /// The sizes of its counts.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.counts.shape()
    }

    /// Measures a window that the reference does not hold. All values are 0 where either is empty.
    #[must_use]
    pub fn measure(&self, window: &Counts) -> Values {
        self.values(window, Part::Apart)
    }

    /// Measures a window of the reference's own readings against all the others.
    #[must_use]
    pub fn measure_part(&self, window: &Counts) -> Values {
        self.values(window, Part::Within)
    }

    fn values(&self, window: &Counts, part: Part) -> Values {
        let pair = |of: fn(&Counts) -> &[u64]| Pair {
            window: of(window),
            reference: of(self.counts),
            part,
        };
        let scores = (0..self.counts.scores.len().min(window.scores.len())).map(|label| {
            let pair = Pair {
                window: &window.scores[label],
                reference: &self.counts.scores[label],
                part,
            };
            pair.kolmogorov_smirnov()
        });
        let (vocabulary, surprise) = self.tokens(window, part);
        Values([
            pair(|counts| &counts.classes).likelihood_ratio(),
            scores.fold(0.0, f64::max),
            vocabulary,
            surprise,
            pair(|counts| &counts.lengths).kolmogorov_smirnov(),
            self.unknown(window, part),
            self.pieces_per_word(window, part),
            pair(|counts| &counts.entropy).kolmogorov_smirnov(),
        ])
    }

    /// Jensen-Shannon divergence and difference of cross-entropies, in one pass over the window's tokens.
    ///
    /// A token that the window lacks adds half of its share in the reference, times ln 2, to the divergence, whichever token
    /// it is, so those need no pass. The reference's own cross-entropy is taken with each occurrence left out in turn (Ney,
    /// Essen and Kneser 1995); the plain one would be lower than that of new text by nature, and the difference lopsided.
    fn tokens(&self, window: &Counts, part: Part) -> (f64, f64) {
        let pieces = window.pieces();
        let others = part.rest(self.pieces, pieces);
        if pieces == 0 || others < 2 {
            return (0.0, 0.0);
        }
        let (n, m) = (pieces as f64, others as f64);
        let (mut divergence, mut seen, mut cross, mut own) = (0.0, 0.0, 0.0, self.own);
        let counts = window.tokens.iter().zip(&self.counts.tokens).enumerate();
        for (token, (&count, &reference)) in counts.filter(|(_, (count, _))| **count > 0) {
            let rest = part.rest(reference, count);
            let (p, q) = (count as f64 / n, rest as f64 / m);
            let middle = f64::midpoint(p, q);
            divergence += p * (p / middle).ln();
            if rest > 0 {
                divergence += q * (q / middle).ln();
            }
            seen += q;
            cross -= count as f64 * (rest as f64 + ADDED).ln();
            if part == Part::Within {
                own += left_out(rest) - self.terms[token];
            }
        }
        let vocabulary = 0.5 * (divergence + (1.0 - seen).max(0.0) * LN_2);
        let total = m + ADDED * self.counts.tokens.len() as f64;
        let surprise = (total.ln() + cross / n) - ((total - 1.0).ln() - own / m);
        (vocabulary.max(0.0), surprise.abs())
    }

    fn unknown(&self, window: &Counts, part: Part) -> f64 {
        let Some(unknown) = self.unknown.map(|id| id as usize) else {
            return 0.0;
        };
        let of = |counts: &Counts| counts.tokens.get(unknown).copied().unwrap_or(0);
        let (pieces, seen) = (window.pieces(), of(window));
        let others = part.rest(self.pieces, pieces);
        let among_others = part.rest(of(self.counts), seen);
        let (n, m) = (pieces as f64, others as f64);
        let pooled = (seen + among_others) as f64 / (n + m);
        if pieces == 0 || others == 0 || FEWEST_UNKNOWN > (seen as f64).max(pooled * n) {
            return 0.0;
        }
        let inverse = 1.0 / n + 1.0 / m;
        let difference = (seen as f64 / n - among_others as f64 / m).abs() - 0.5 * inverse;
        let variance = pooled * (1.0 - pooled) * inverse;
        if variance > 0.0 {
            difference.max(0.0) / variance.sqrt()
        } else {
            0.0
        }
    }

    fn pieces_per_word(&self, window: &Counts, part: Part) -> f64 {
        let pieces = window.pieces();
        let words = part.rest(self.counts.words, window.words);
        if window.words == 0 || words == 0 {
            return 0.0;
        }
        let ratio = pieces as f64 / window.words as f64;
        (ratio - part.rest(self.pieces, pieces) as f64 / words as f64).abs()
    }
}

impl Part {
    /// What a reference's counter holds besides the window's.
    fn rest(self, reference: u64, window: u64) -> u64 {
        match self {
            Self::Within => reference.saturating_sub(window),
            Self::Apart => reference,
        }
    }
}

/// A token's count times the logarithm of its smoothed count when one of its occurrences is left out.
fn left_out(count: u64) -> f64 {
    if count == 0 {
        0.0
    } else {
        count as f64 * (count as f64 - 1.0 + ADDED).ln()
    }
}

/// One histogram of a window and of its reference.
struct Pair<'a> {
    window: &'a [u64],
    reference: &'a [u64],
    part: Part,
}

impl Pair<'_> {
    fn bins(&self) -> impl Iterator<Item = (u64, u64)> {
        let bins = self.window.iter().zip(self.reference);
        bins.map(|(&window, &reference)| (window, self.part.rest(reference, window)))
    }

    fn totals(&self) -> (f64, f64) {
        let add = |sum: (u64, u64), bin: (u64, u64)| (sum.0 + bin.0, sum.1 + bin.1);
        let (window, reference) = self.bins().fold((0, 0), add);
        (window as f64, reference as f64)
    }

    /// The largest distance between the two distribution functions at the bins' edges.
    fn kolmogorov_smirnov(&self) -> f64 {
        let (n, m) = self.totals();
        if n == 0.0 || m == 0.0 {
            return 0.0;
        }
        let (mut below, mut largest) = ((0, 0), 0.0_f64);
        for (window, reference) in self.bins() {
            below = (below.0 + window, below.1 + reference);
            largest = largest.max((below.0 as f64 / n - below.1 as f64 / m).abs());
        }
        largest
    }

    fn likelihood_ratio(&self) -> f64 {
        let (n, m) = self.totals();
        if n == 0.0 || m == 0.0 {
            return 0.0;
        }
        let term = |observed: u64, expected: f64| {
            let observed = observed as f64;
            if observed == 0.0 {
                0.0
            } else {
                observed * (observed / expected).ln()
            }
        };
        let of_bin = |(window, reference): (u64, u64)| {
            let share = (window + reference) as f64 / (n + m);
            term(window, share * n) + term(reference, share * m)
        };
        (2.0 * self.bins().map(of_bin).sum::<f64>()).max(0.0)
    }
}

#[cfg(test)]
mod tests;
