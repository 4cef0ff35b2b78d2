//! A bounded sample by weights, with the probability with which each of it got in.
//!
//! Each item has a key, which is exponentially distributed with its weight as rate; the sample holds the items with the
//! smallest keys, so many in all and so many of one author (Efraimidis and Spirakis 2006, "Weighted random sampling with a
//! reservoir"; Cohen and Kaplan 2007, "Summarizing data using bottom-k sketches"). Given the keys of all others, an item is
//! in the sample just if its key lies below a threshold, which has the probability 1 - exp(-weight * threshold) ("rank
//! conditioning", Cohen and Kaplan 2007). Sums weighted by the inverse of these probabilities are unbiased, and their terms
//! uncorrelated.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A key, and the item's number, which makes it unique.
type Key = (u64, u64);

/// Items with their keys. It holds those that the thresholds need: no more than `(size + 1) * (per_author + 1)`.
#[derive(Debug)]
pub struct Keys<T> {
    size: usize,
    per_author: usize,
    /// All items held.
    held: BTreeMap<Key, Held<T>>,
    /// Of each author who is named the smallest keys, one more than may be in the sample.
    authors: HashMap<u64, BTreeSet<Key>>,
    /// Keys that count against the size: of each author the smallest ones. One more than the size.
    front: BTreeSet<Key>,
    added: u64,
}

#[derive(Debug)]
struct Held<T> {
    weight: f64,
    author: Option<u64>,
    item: T,
}

/// An item of the sample with the probability with which it got in.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled<T> {
    pub item: T,
    pub probability: f64,
}

/// The thresholds of a sample, for the probability of items that are not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Below the key at the sample's edge an item would have got in.
    edge: f64,
    /// The same for the authors who have as many items as they may.
    authors: HashMap<u64, f64>,
}

impl Thresholds {
    /// The probability with which an item that is not in the sample would have got in.
    #[must_use]
    pub fn probability(&self, weight: f64, author: Option<u64>) -> f64 {
        let own = author.and_then(|author| self.authors.get(&author)).copied();
        below(self.edge.min(own.unwrap_or(f64::INFINITY)), weight)
    }
}

/// The chance of a key below the threshold.
fn below(threshold: f64, weight: f64) -> f64 {
    -(-weight * threshold).exp_m1()
}

impl<T> Keys<T> {
    /// A sample of at most `size` items, at most `per_author` of an author; 0 of an author: as many as there are.
    #[must_use]
    pub fn new(size: usize, per_author: usize) -> Self {
        Self {
            size,
            per_author,
            held: BTreeMap::new(),
            authors: HashMap::new(),
            front: BTreeSet::new(),
            added: 0,
        }
    }

    /// Items that are held, in the sample or for its thresholds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Adds an item. `u` is its chance number in [0, 1); the weight is above 0.
    pub fn add(&mut self, item: T, weight: f64, u: f64, author: Option<u64>) {
        // Of floats that are not negative, the order is that of their bits; minus zero would be the last.
        let drawn = -(-u).ln_1p();
        let key = if drawn > 0.0 { drawn / weight } else { 0.0 };
        let key = (key.to_bits(), self.added);
        self.added += 1;
        let beyond_edge =
            self.front.len() > self.size && self.front.last().is_some_and(|last| key > *last);
        if beyond_edge {
            return;
        }
        let author = author.filter(|_| self.per_author > 0);
        self.held.insert(
            key,
            Held {
                weight,
                author,
                item,
            },
        );
        match author {
            None => {
                self.front.insert(key);
            }
            Some(author) => self.line_up(key, author),
        }
        while self.front.len() > self.size + 1 {
            if let Some(last) = self.front.pop_last() {
                self.drop_beyond(last);
            }
        }
    }

    /// Puts a key among its author's.
    fn line_up(&mut self, key: Key, author: u64) {
        let own = self.authors.entry(author).or_default();
        own.insert(key);
        let first = own.iter().take(self.per_author).any(|one| *one == key);
        if first {
            self.front.insert(key);
            // The one that it pushes back counts no longer, but is the author's threshold.
            if let Some(pushed) = own.iter().nth(self.per_author) {
                self.front.remove(pushed);
            }
        }
        if own.len() > self.per_author + 1
            && let Some(last) = own.pop_last()
        {
            self.held.remove(&last);
        }
    }

    /// Forgets an item beyond the edge, and those of its author behind it: no threshold will ever be as large.
    fn drop_beyond(&mut self, key: Key) {
        let Some(gone) = self.held.remove(&key) else {
            return;
        };
        let Some(author) = gone.author else {
            return;
        };
        if let Some(own) = self.authors.get_mut(&author) {
            for behind in own.split_off(&key) {
                self.held.remove(&behind);
            }
            if own.is_empty() {
                self.authors.remove(&author);
            }
        }
    }

    /// Ends the sample: its items, from the smallest key on, and the thresholds of all others.
    #[must_use]
    pub fn close(mut self) -> (Vec<Sampled<T>>, Thresholds) {
        let front: Vec<Key> = self.front.iter().copied().collect();
        let at = |index: usize| {
            front
                .get(index)
                .map_or(f64::INFINITY, |key| f64::from_bits(key.0))
        };
        // For one within the sample the edge is the next key behind it, unless taking it away lets its author's next one in.
        let (inner, edge) = (at(self.size), at(self.size.wrapping_sub(1)));
        let mut sampled = Vec::new();
        for key in front.into_iter().take(self.size) {
            let Some(held) = self.held.remove(&key) else {
                continue;
            };
            let own = held.author.and_then(|author| self.authors.get(&author));
            let behind = own.and_then(|own| own.iter().nth(self.per_author));
            let threshold = behind.map_or(inner, |behind| inner.min(f64::from_bits(behind.0)));
            sampled.push(Sampled {
                probability: below(threshold, held.weight),
                item: held.item,
            });
        }
        let full = |own: &BTreeSet<Key>| {
            own.iter()
                .nth(self.per_author.saturating_sub(1))
                .map(|key| f64::from_bits(key.0))
        };
        let authors = self
            .authors
            .iter()
            .filter_map(|(&author, own)| Some((author, full(own)?)));
        let thresholds = Thresholds {
            authors: authors.collect(),
            edge: if self.size == 0 { 0.0 } else { edge },
        };
        (sampled, thresholds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    /// What the sample is by its definition, and the probabilities by trying all others with one key at a time.
    fn by_definition(
        items: &[(f64, f64, Option<u64>)],
        size: usize,
        per_author: usize,
    ) -> Vec<(usize, f64)> {
        let sample = |keys: &[f64]| -> Vec<usize> {
            let mut order: Vec<usize> = (0..keys.len()).collect();
            order.sort_by(|&one, &other| keys[one].total_cmp(&keys[other]));
            let mut counts: HashMap<u64, usize> = HashMap::new();
            let allowed = order.into_iter().filter(|&index| match items[index].2 {
                Some(author) if per_author > 0 => {
                    let count = counts.entry(author).or_default();
                    *count += 1;
                    *count <= per_author
                }
                _ => true,
            });
            allowed.take(size).collect()
        };
        let keys: Vec<f64> = items
            .iter()
            .map(|&(weight, u, _)| -(-u).ln_1p() / weight)
            .collect();
        let sampled = sample(&keys);
        let probability = |index: usize| {
            // The threshold is a key of another item, or there is none.
            let mut tried: Vec<f64> = keys.clone();
            tried.sort_by(f64::total_cmp);
            tried.push(f64::INFINITY);
            let within = |key: f64| {
                let mut moved = keys.clone();
                moved[index] = key;
                sample(&moved).contains(&index)
            };
            let threshold = tried
                .iter()
                .copied()
                .find(|&key| !within(key * 1.000_000_1))
                .unwrap_or(f64::INFINITY);
            below(threshold, items[index].0)
        };
        sampled
            .into_iter()
            .map(|index| (index, probability(index)))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn the_sample_and_its_probabilities_are_those_of_the_definition(
            seed in any::<u64>(), count in 0_usize..40, size in 0_usize..8, per_author in 0_usize..3, authors in 1_u64..8,
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let items: Vec<(f64, f64, Option<u64>)> = (0..count)
                .map(|_| (rng.random_range(0.05..1.0), rng.random(), rng.random_bool(0.8).then(|| rng.random_range(0..authors))))
                .collect();
            let mut keys = Keys::new(size, per_author);
            for (index, &(weight, u, author)) in items.iter().enumerate() {
                keys.add(index, weight, u, author);
                prop_assert!(keys.held() <= (size + 1) * (per_author + 1));
            }
            let (sampled, thresholds) = keys.close();
            let expected = by_definition(&items, size, per_author);
            prop_assert_eq!(sampled.len(), expected.len());
            for (found, (index, probability)) in sampled.iter().zip(&expected) {
                prop_assert_eq!(found.item, *index);
                prop_assert!((found.probability - probability).abs() < 1e-5, "{} {}", found.probability, probability);
            }
            // One that is not in it would have got in with a key a little below its threshold, and not with one a little
            // above.
            if let Some(other) = (0..count).find(|index| sampled.iter().all(|found| found.item != *index)) {
                let (weight, _, author) = items[other];
                let author = author.filter(|_| per_author > 0);
                let threshold = -(-thresholds.probability(weight, author)).ln_1p() / weight;
                for (factor, inside) in [(0.999, true), (1.001, false)] {
                    let mut moved = items.clone();
                    moved[other].1 = -(-threshold * factor * weight).exp_m1();
                    let found = by_definition(&moved, size, per_author).iter().any(|(index, _)| *index == other);
                    prop_assert_eq!(found, inside && size > 0);
                }
            }
        }
    }

    /// The sum over all items, estimated from a sample of 20 of 500 a thousand times: its mean must be the sum.
    #[test]
    fn sums_weighted_by_the_inverse_probabilities_are_unbiased() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let items: Vec<(f64, f64, u64)> = (0..500)
            .map(|_| {
                (
                    rng.random_range(0.05..1.0),
                    f64::from(rng.random_range(0..10_u8)),
                    rng.random_range(0..60),
                )
            })
            .collect();
        let truth: f64 = items.iter().map(|(_, value, _)| value).sum();
        let estimates: Vec<f64> = (0..1_000)
            .map(|_| {
                let mut keys = Keys::new(20, 2);
                for &(weight, value, author) in &items {
                    keys.add(value, weight, rng.random(), Some(author));
                }
                keys.close()
                    .0
                    .iter()
                    .map(|found| found.item / found.probability)
                    .sum()
            })
            .collect();
        let mean = estimates.iter().sum::<f64>() / 1_000.0;
        let variance = estimates
            .iter()
            .map(|one| (one - mean).powi(2))
            .sum::<f64>()
            / 999.0;
        let error = (variance / 1_000.0).sqrt();
        assert!(
            (mean - truth).abs() < 3.5 * error,
            "{mean} instead of {truth}, standard error {error}"
        );
    }
}
