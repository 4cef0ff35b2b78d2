//! Streams of messages that change at a known message.

use rand::rngs::ChaCha8Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use super::prepared::Prepared;
use super::readings::Scored;

/// Messages before the change, and after it.
pub const MESSAGES: usize = 4_000;
/// The negative share where only the labels shift; it is about 0.15 before.
const NEGATIVE: f64 = 0.25;
/// Where only the words change, one message in so many has one that is new.
const REWORDED: f64 = 0.2;
/// What the gradual mix ends with, and the messages until then.
const MIXED: f64 = 0.05;
const RAMP: f64 = 2_000.0;
/// Names that no tweet of the data has.
const NAMES: [&str; 10] = [
    "Quillonex",
    "Vardomir",
    "Zeffelin",
    "Trobulark",
    "Myxantra",
    "Plomwick",
    "Ghestrax",
    "Owndrill",
    "Kwazzibar",
    "Yubrel",
];

/// How a stream changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// From the tweets before October 2015 to those after.
    Later,
    Airline,
    Films,
    /// More negative messages, each class's as before.
    Labels,
    /// New names in place of some words; the scores stay as they are.
    Words,
    /// A growing part to airlines.
    Gradual,
}

impl Scenario {
    pub const ALL: [Self; 6] = [
        Self::Later,
        Self::Airline,
        Self::Films,
        Self::Labels,
        Self::Words,
        Self::Gradual,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Later => "later",
            Self::Airline => "airline",
            Self::Films => "films",
            Self::Labels => "labels",
            Self::Words => "words",
            Self::Gradual => "gradual",
        }
    }
}

/// Messages of before and after each change, of one repetition.
pub struct Streams {
    pub before: Vec<Scored>,
    /// In the order of [`Scenario::ALL`].
    pub after: Vec<Vec<Scored>>,
}

/// Draws a repetition's streams, without replacement. What comes before is the same for all scenarios; it is drawn of the
/// unchanged texts, as is what is made of unchanged ones after. Where those are fewer than both need, both are drawn of all.
pub fn draw(prepared: &Prepared, unchanged: &[Scored], repetition: u64) -> Streams {
    let mut rng = ChaCha8Rng::seed_from_u64(repetition);
    let mut drawn: Vec<&Scored> = unchanged.iter().collect();
    drawn.shuffle(&mut rng);
    let mut again = drawn.clone();
    let (before, rest) = if drawn.len() >= 2 * MESSAGES {
        drawn.split_at(MESSAGES)
    } else {
        again.shuffle(&mut rng);
        (&drawn[..MESSAGES.min(drawn.len())], again.as_slice())
    };
    let after = Scenario::ALL.map(|scenario| match scenario {
        Scenario::Later => some(&prepared.later, &mut rng),
        Scenario::Airline => some(&prepared.airline, &mut rng),
        Scenario::Films => some(&prepared.films, &mut rng),
        Scenario::Labels => shifted(rest, &mut rng),
        Scenario::Words => reworded(prepared, rest, &mut rng),
        Scenario::Gradual => mixed(rest, &prepared.airline, &mut rng),
    });
    Streams {
        before: before.iter().copied().cloned().collect(),
        after: after.to_vec(),
    }
}

fn some(texts: &[Scored], rng: &mut ChaCha8Rng) -> Vec<Scored> {
    texts.sample(rng, MESSAGES).cloned().collect()
}

/// As many negative messages as the share asks for, and the others in the proportion that they have.
fn shifted(texts: &[&Scored], rng: &mut ChaCha8Rng) -> Vec<Scored> {
    let (negative, others): (Vec<&Scored>, Vec<&Scored>) =
        texts.iter().partition(|text| text.truth == Some(0));
    // As many as there are negative ones for.
    let messages = MESSAGES.min((negative.len() as f64 / NEGATIVE) as usize);
    let wanted = (messages as f64 * NEGATIVE) as usize;
    let mut drawn: Vec<Scored> = negative.into_iter().take(wanted).cloned().collect();
    drawn.extend(others.into_iter().take(messages - wanted).cloned());
    drawn.shuffle(rng);
    drawn
}

fn reworded(prepared: &Prepared, texts: &[&Scored], rng: &mut ChaCha8Rng) -> Vec<Scored> {
    let reword = |text: &&Scored| {
        if !rng.random_bool(REWORDED) {
            return (*text).clone();
        }
        let mut words: Vec<&str> = text.text.split_whitespace().collect();
        let place = rng.random_range(0..words.len().max(1));
        if let (Some(word), Some(name)) = (words.get_mut(place), NAMES.choose(rng)) {
            *word = name;
        }
        prepared.reader.reworded(text, words.join(" "))
    };
    texts.iter().take(MESSAGES).map(reword).collect()
}

fn mixed(texts: &[&Scored], others: &[Scored], rng: &mut ChaCha8Rng) -> Vec<Scored> {
    let mut others = others.sample(rng, MESSAGES);
    let texts = texts.iter().take(MESSAGES).enumerate();
    texts
        .map(|(place, text)| {
            let share = MIXED * (place as f64 / RAMP).min(1.0);
            let other = rng.random_bool(share).then(|| others.next());
            other.flatten().unwrap_or(text).clone()
        })
        .collect()
}
