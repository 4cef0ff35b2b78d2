//! What is different in a window: which tokens, which sources and subjects, which labels.

use std::collections::HashMap;

use serde::Serialize;

use super::counts::Counts;
use super::proportion::{share, wilson};
use super::reading::Reading;

pub mod groups;

pub use groups::{Group, GroupKind, GroupPart, Scope};

/// Examples of each token at most.
const EXAMPLES: usize = 3;

/// Why a window differs from its reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Tokens that moved most, the strongest first.
    pub tokens: Vec<TokenMove>,
    /// Sources and subjects with most messages, by kind and falling number.
    pub groups: Vec<GroupPart>,
    /// Whether one, some or all of the groups carry the drift; none where the distance is below the threshold.
    pub scope: Option<Scope>,
    /// The labels' shares, in their order.
    pub labels: Vec<LabelMove>,
    /// Distance of the whole window.
    pub distance: f64,
}

/// How the use of a token has changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenMove {
    /// The token's id.
    pub token: u32,
    /// Its part in Dunning's G² of the two vocabularies, above zero if it occurs more than before and below if less.
    pub contribution: f64,
    /// The size of that part as a share of the whole G², 0 to 1.
    pub part: f64,
    /// How often it occurs in the window.
    pub count: u64,
    /// How often it would occur there if it did as in the reference.
    pub expected: f64,
    /// Messages of the window in which it occurs.
    pub messages: u64,
    /// Indices in the window of up to three such messages, no two of them near copies.
    pub examples: Vec<usize>,
}

/// How often a label is predicted, before and now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LabelMove {
    /// Share in the reference.
    pub before: f64,
    /// Its 95 % interval (Wilson 1927).
    pub before_interval: (f64, f64),
    /// Share in the window.
    pub now: f64,
    /// Its 95 % interval.
    pub now_interval: (f64, f64),
}

impl Explanation {
    /// The part of the distance (0 to 1) that goes when the one subject goes that carries it; none where no subject does so
    /// alone.
    #[must_use]
    pub fn one_subject(&self) -> Option<f64> {
        let Some(Scope::One(group)) = &self.scope else {
            return None;
        };
        let part = self.groups.iter().find(|part| part.group == *group)?;
        let fall = part.fall?;
        (group.kind == GroupKind::Subject && self.distance > 0.0)
            .then(|| (fall / self.distance).clamp(0.0, 1.0))
    }
}

/// Explains how the messages of a window differ from a reference.
///
/// `limit` is the most tokens to name. `distance` says how far counts are from the reference, more being farther (minus the
/// logarithm of a p-value, say, or the Jensen-Shannon divergence), and nothing where they are too few to say; `threshold` is the distance from which there is drift. The
/// distance is taken once for the window, once for each of at most 102 groups, and some twenty times for the [`Scope`].
#[must_use]
pub fn explain(
    window: &[&Reading],
    reference: &Counts,
    limit: usize,
    threshold: f64,
    distance: impl Fn(&Counts) -> Option<f64>,
) -> Explanation {
    let mut counts = Counts::new(reference.shape());
    window.iter().for_each(|reading| counts.add(reading));
    let (groups, scope) = groups::explain(window, &counts, reference, threshold, &distance);
    Explanation {
        tokens: tokens(window, &counts, reference, limit),
        groups,
        scope,
        labels: labels(&counts, reference),
        distance: distance(&counts).unwrap_or(0.0),
    }
}

/// The tokens with the largest parts in the difference of two vocabularies.
///
/// Dunning 1993 ("Accurate Methods for the Statistics of Surprise and Coincidence") compares counts with those expected if both
/// texts used a token equally: G² = 2 (a ln(a / E_a) + b ln(b / E_b)), summed over tokens. Counts of zero need no smoothing, as
/// 0 ln 0 is 0. Every token's part is at least zero, and their sum over twice the number of all tokens is the Jensen-Shannon
/// divergence (in nats) of the vocabularies, each weighted by its length (Lin 1991): so the parts are those of either.
///
/// G² takes every occurrence for one of its own, but a message that repeats a token does it all at once. So a token that rose
/// through a single message is not named unless the window has no other.
fn tokens(
    window: &[&Reading],
    counts: &Counts,
    reference: &Counts,
    limit: usize,
) -> Vec<TokenMove> {
    let mut messages: HashMap<u32, u64> = HashMap::new();
    for reading in window {
        let mut distinct = reading.tokens.clone();
        distinct.sort_unstable();
        distinct.dedup();
        for token in distinct {
            *messages.entry(token).or_default() += 1;
        }
    }
    let (moved, whole) = moved(counts, reference);
    let mut moves: Vec<TokenMove> = moved
        .into_iter()
        .map(|moved| TokenMove {
            token: moved.token,
            contribution: moved.contribution,
            part: moved.contribution.abs() / whole,
            count: moved.count,
            expected: moved.expected,
            messages: messages.get(&moved.token).copied().unwrap_or(0),
            examples: Vec::new(),
        })
        .filter(|moved| moved.contribution < 0.0 || moved.messages > 1 || window.len() == 1)
        .collect();
    moves.sort_by(|a, b| f64::total_cmp(&b.contribution.abs(), &a.contribution.abs()));
    moves.truncate(limit);
    give_examples(window, &mut moves);
    moves
}

/// A token's part in the difference of two vocabularies, as far as counts alone tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moved {
    pub token: u32,
    /// As in [`TokenMove`].
    pub contribution: f64,
    pub count: u64,
    /// How often it would occur if it did as in the reference.
    pub expected: f64,
}

/// Every token whose use has changed, by its id, and the whole G²; nothing where one of the two has no tokens.
#[must_use]
pub fn moved(counts: &Counts, reference: &Counts) -> (Vec<Moved>, f64) {
    let (now, before) = (counts.pieces() as f64, reference.pieces() as f64);
    let mut moves = Vec::new();
    let mut whole = 0.0;
    if now == 0.0 || before == 0.0 {
        return (moves, whole);
    }
    for (token, (&count, &old)) in (0_u32..).zip(counts.tokens.iter().zip(&reference.tokens)) {
        let (a, b) = (count as f64, old as f64);
        let size = part(a, b, now, before);
        whole += size;
        let expected = now * b / before;
        if size > 0.0 {
            moves.push(Moved {
                token,
                contribution: if a < expected { -size } else { size },
                count,
                expected,
            });
        }
    }
    (moves, whole)
}

/// What a token with these counts in texts of these lengths adds to G².
fn part(a: f64, b: f64, now: f64, before: f64) -> f64 {
    let term = |seen: f64, length: f64| {
        if seen > 0.0 {
            seen * (seen * (now + before) / ((a + b) * length)).ln()
        } else {
            0.0
        }
    };
    (2.0 * (term(a, now) + term(b, before))).max(0.0)
}

fn give_examples(window: &[&Reading], moves: &mut [TokenMove]) {
    let places: HashMap<u32, usize> = moves.iter().map(|one| one.token).zip(0..).collect();
    for (index, reading) in window.iter().enumerate() {
        for token in &reading.tokens {
            let Some(&place) = places.get(token) else {
                continue;
            };
            let examples = &mut moves[place].examples;
            let copy = |&other: &usize| window[other].print.near == reading.print.near;
            if examples.len() < EXAMPLES && !examples.iter().any(copy) {
                examples.push(index);
            }
        }
    }
}

fn labels(counts: &Counts, reference: &Counts) -> Vec<LabelMove> {
    let pairs = counts.classes.iter().zip(&reference.classes);
    pairs
        .map(|(&now, &before)| LabelMove {
            before: share(before, reference.messages),
            before_interval: wilson(before, reference.messages),
            now: share(now, counts.messages),
            now_interval: wilson(now, counts.messages),
        })
        .collect()
}

#[cfg(test)]
mod tests;
