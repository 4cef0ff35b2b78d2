//! Picks messages out of a stream, in bounded memory.
//!
//! Two ways to be picked, independent of each other. The random slice: a coin of the message's place and the salt falls
//! below a probability (Poisson sampling; Särndal, Swensson and Wretman 1992, "Model Assisted Survey Sampling", section
//! 3.5). It needs no state, so every instance and every redelivery decides alike, and nothing is clipped from it: it stands
//! for all messages. And the uncertain ones of a period: a sample by weights that fall with the margin
//! ([`keys`](super::keys)), without copies, authors in excess, and texts that are too short, too long or in another
//! language.

use std::collections::{HashSet, VecDeque};

use super::config::AnnotateConfig;
use super::keys::Keys;
use super::pick::{Candidate, Chance, Pick};
use crate::coin;
use crate::labels::Sampling;
use crate::record::Origin;

/// Texts that were picked and are remembered, so that their copies are not asked for again.
const REMEMBERED: usize = 50_000;
/// Messages of the random slice in one period.
const MOST_RANDOM: usize = 20_000;

/// The period holds as many messages as fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the period is full: close it and offer the message again")]
pub struct Full;

/// Messages of a period that are picked, or may yet be.
#[derive(Debug)]
pub struct Queue {
    config: AnnotateConfig,
    keys: Keys<Waiting>,
    /// Fingerprints of the period's texts.
    seen: HashSet<u64>,
    random: Vec<Tossed>,
    remembered: Remembered,
}

/// A message that may be picked for its uncertainty.
#[derive(Debug)]
struct Waiting {
    /// As if it was picked for that alone.
    pick: Pick,
    near: u64,
    /// Its place among those that the coin picked.
    tossed: Option<usize>,
}

/// A message that the coin picked.
#[derive(Debug)]
struct Tossed {
    pick: Pick,
    near: u64,
    /// Its weight and author, where it may be picked for its uncertainty, too.
    competes: Option<(f64, Option<u64>)>,
}

impl Queue {
    /// A queue whose first period picks `uncertain` messages for their uncertainty.
    #[must_use]
    pub fn new(config: AnnotateConfig, uncertain: u32) -> Self {
        Self {
            keys: Keys::new(uncertain as usize, config.per_author as usize),
            config,
            seen: HashSet::new(),
            random: Vec::new(),
            remembered: Remembered::default(),
        }
    }

    /// Offers the next message. `probability` is that of the random slice at the message's time ([`pace`](super::pace)).
    ///
    /// # Errors
    /// [`Full`]: the message was not looked at.
    pub fn offer(&mut self, candidate: &Candidate<'_>, probability: f64) -> Result<(), Full> {
        if self.seen.len() >= self.config.period_texts as usize || self.random.len() >= MOST_RANDOM
        {
            return Err(Full);
        }
        let near = candidate.print.near;
        let pick = |sampling| Pick {
            origin: candidate.origin.clone(),
            margin: candidate.margin,
            chance: Chance {
                random: probability,
                uncertain: 0.0,
            },
            sampling,
        };
        let weight = weight(&self.config, candidate.margin);
        let competes = self.competes(candidate);
        let tossed =
            (self.toss("random", candidate.origin) < probability).then_some(self.random.len());
        if tossed.is_some() {
            self.random.push(Tossed {
                pick: pick(Sampling::Random),
                near,
                competes: competes.then_some((weight, candidate.author)),
            });
        }
        if competes {
            let u = self.toss("uncertain", candidate.origin);
            let pick = pick(Sampling::Uncertain);
            self.keys
                .add(Waiting { pick, near, tossed }, weight, u, candidate.author);
        }
        Ok(())
    }

    /// Messages of the period that the coin has picked so far.
    #[must_use]
    pub fn random(&self) -> usize {
        self.random.len()
    }

    /// Ends the period and begins one that picks `uncertain` messages. What was picked comes in the order of its places.
    pub fn close(&mut self, uncertain: u32) -> Vec<Pick> {
        let next = Keys::new(uncertain as usize, self.config.per_author as usize);
        let (sampled, thresholds) = std::mem::replace(&mut self.keys, next).close();
        self.seen.clear();
        let mut picked = std::mem::take(&mut self.random);
        for tossed in &mut picked {
            if let Some((weight, author)) = tossed.competes {
                tossed.pick.chance.uncertain = thresholds.probability(weight, author);
            }
        }
        for found in sampled {
            let Waiting {
                mut pick,
                near,
                tossed,
            } = found.item;
            pick.chance.uncertain = found.probability;
            match tossed {
                Some(place) => picked[place].pick.chance = pick.chance,
                None => picked.push(Tossed {
                    pick,
                    near,
                    competes: None,
                }),
            }
        }
        // A message that was offered twice counts as it was offered first.
        picked.sort_by(|one, other| one.pick.origin.cmp(&other.pick.origin));
        picked.dedup_by(|later, first| later.pick.origin == first.pick.origin);
        let remember = |tossed: Tossed| {
            self.remembered.add(tossed.near);
            tossed.pick
        };
        picked.into_iter().map(remember).collect()
    }

    /// Whether it may be picked for its uncertainty: the first of its text in the period, of none that was picked before.
    fn competes(&mut self, candidate: &Candidate<'_>) -> bool {
        let config = &self.config;
        let fits = (config.min_words..=config.max_words).contains(&candidate.words);
        let said = candidate.language;
        let readable =
            config.languages.is_empty() || said.is_none_or(|said| is_of(&config.languages, said));
        let near = candidate.print.near;
        fits && readable && !self.remembered.prints.contains(&near) && self.seen.insert(near)
    }

    fn toss(&self, way: &str, origin: &Origin) -> f64 {
        let (partition, offset) = (origin.partition.to_be_bytes(), origin.offset.to_be_bytes());
        let place = [way.as_bytes(), origin.topic.as_bytes(), &partition, &offset];
        coin::toss(&self.config.salt, &place)
    }
}

/// From 1 where the model is not sure at all down to the exploration where it is quite sure.
fn weight(config: &AnnotateConfig, margin: f64) -> f64 {
    let unsure = (1.0 - margin.clamp(0.0, 1.0)).powf(config.sharpness);
    config.exploration + (1.0 - config.exploration) * unsure
}

/// Whether a language tag (`en-GB`) is of one of these languages (`en`).
fn is_of(languages: &[String], said: &str) -> bool {
    let primary = said.split(['-', '_']).next().unwrap_or_default();
    languages.iter().any(|language| {
        language.eq_ignore_ascii_case(primary) || language.eq_ignore_ascii_case(said)
    })
}

/// Fingerprints of texts that were picked, the latest ones.
#[derive(Debug, Default)]
struct Remembered {
    order: VecDeque<u64>,
    prints: HashSet<u64>,
}

impl Remembered {
    fn add(&mut self, near: u64) {
        if self.prints.insert(near) {
            self.order.push_back(near);
        }
        while self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.prints.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
