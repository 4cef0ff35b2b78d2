//! Which model a message is scored by: always the same one for an author.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::record::{Message, Origin};

/// Whose messages stay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit<'a> {
    Author(&'a str),
    Subject(&'a str),
    /// The producer's identifier of the message.
    Id(&'a str),
    Origin(&'a Origin),
}

/// By what messages are kept together first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepTogether {
    /// An author's messages; else a subject's.
    #[default]
    Author,
    /// A subject's messages; else an author's.
    Subject,
}

impl<'a> Unit<'a> {
    /// The author of a message, else its subject (or the other way round), else its id, else its place in Kafka. It does not
    /// depend on which instance asks, nor on how often the message was delivered.
    #[must_use]
    pub fn of(message: &'a Message, together: KeepTogether) -> Self {
        let author = message.author.as_deref().map(Self::Author);
        let subject = message.subject.as_deref().map(Self::Subject);
        let found = match together {
            KeepTogether::Author => author.or(subject),
            KeepTogether::Subject => subject.or(author),
        };
        found
            .or(message.id.as_deref().map(Self::Id))
            .unwrap_or(Self::Origin(&message.raw.origin))
    }

    /// Where the unit stands between 0 and 1 (not included): as good as drawn at random for each salt.
    #[must_use]
    pub fn point(self, salt: &str) -> f64 {
        let mut hash = Sha256::new();
        let mut part = |text: &[u8]| {
            // The length keeps the parts apart: salt "a" with author "bc" is not salt "ab" with author "c".
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        part(salt.as_bytes());
        match self {
            Self::Author(author) => {
                part(b"author");
                part(author.as_bytes());
            }
            Self::Subject(subject) => {
                part(b"subject");
                part(subject.as_bytes());
            }
            Self::Id(id) => {
                part(b"id");
                part(id.as_bytes());
            }
            Self::Origin(origin) => {
                part(b"origin");
                part(origin.topic.as_bytes());
                part(&origin.partition.to_le_bytes());
                part(&origin.offset.to_le_bytes());
            }
        }
        let digest = hash.finalize();
        let first = digest.iter().take(8);
        let number = first.fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        // A float holds 53 bits exactly.
        (number >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A split that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SplitError {
    #[error("share {0} is not between 0 and 1; give each arm a part of the messages")]
    Share(f64),
    #[error("the shares of the arms add up to {0}, which is more than all messages")]
    Sum(f64),
}

/// How messages are divided: arms take their shares from 0 on, in their order, and the champion the rest.
///
/// With one arm its units are those whose point lies below the share. So a growing share only adds units: none goes back to the
/// champion. Of several arms this holds for the first, and for all together.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    salt: String,
    edges: Vec<f64>,
}

impl Split {
    /// A split into arms of these shares and the champion. The salt must be new for each experiment: with the same one the same
    /// authors would try everything first.
    ///
    /// # Errors
    /// [`SplitError`] where the shares are none.
    pub fn new(salt: &str, shares: &[f64]) -> Result<Self, SplitError> {
        let (mut sum, mut edges) = (0.0, Vec::with_capacity(shares.len()));
        for &share in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(SplitError::Share(share));
            }
            sum += share;
            edges.push(sum);
        }
        // Ten arms of a tenth may add up to a little more than one.
        if sum > 1.0 + 1e-9 {
            return Err(SplitError::Sum(sum));
        }
        Ok(Self {
            salt: salt.to_owned(),
            edges,
        })
    }

    /// The arm of a unit by number; none is the champion.
    #[must_use]
    pub fn arm(&self, unit: Unit<'_>) -> Option<usize> {
        let point = unit.point(&self.salt);
        self.edges.iter().position(|&edge| point < edge)
    }
}

/// What is done with a message while a model is tried beside the champion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The champion scores it.
    Champion,
    /// The champion serves it, and the candidate scores it too.
    Shadow,
    /// The candidate serves it.
    Candidate,
}

/// How messages are divided between the champion and one model beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Division {
    together: KeepTogether,
    share: f64,
    serves: Split,
    shadow_share: f64,
    shadows: Split,
}

impl Division {
    /// The candidate serves `share` of the units, and scores `shadow_share` of the other messages too, which are drawn one by one.
    ///
    /// # Errors
    /// [`SplitError`] where the shares are none.
    pub fn new(
        salt: &str,
        share: f64,
        shadow_share: f64,
        together: KeepTogether,
    ) -> Result<Self, SplitError> {
        Ok(Self {
            together,
            share,
            serves: Split::new(salt, &[share])?,
            shadow_share,
            // Another salt, so that the draw does not know of the arms.
            shadows: Split::new(&format!("shadow {salt}"), &[shadow_share])?,
        })
    }

    /// The part of the feed that the candidate serves.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Whether the champion alone scores everything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.share <= 0.0 && self.shadow_share <= 0.0
    }

    /// What is done with a message: the same whichever instance asks, and however often it is delivered.
    #[must_use]
    pub fn place(&self, message: &Message) -> Place {
        let serves = || self.serves.arm(Unit::of(message, self.together)).is_some();
        let shadows = || {
            self.shadows
                .arm(Unit::Origin(&message.raw.origin))
                .is_some()
        };
        if self.share > 0.0 && serves() {
            Place::Candidate
        } else if self.shadow_share >= 1.0 || (self.shadow_share > 0.0 && shadows()) {
            Place::Shadow
        } else {
            Place::Champion
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;
    use crate::record::RawMessage;

    fn message(author: Option<&str>, subject: Option<&str>, id: Option<&str>) -> Message {
        Message {
            raw: RawMessage {
                origin: Origin {
                    topic: "tweets".into(),
                    partition: 1,
                    offset: 7,
                },
                kafka_time: DateTime::<Utc>::UNIX_EPOCH,
                key: None,
                headers: Vec::new(),
                payload: None,
            },
            id: id.map(str::to_owned),
            text: "fine".into(),
            author: author.map(str::to_owned),
            source: None,
            subject: subject.map(str::to_owned),
            language: None,
            event_time: DateTime::<Utc>::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_message_goes_by_its_author_else_subject_else_id_else_place() {
        let of = |message: &Message, together| Unit::of(message, together).point("s");
        let author = Unit::Author("ann").point("s");
        let whole = message(Some("ann"), Some("delta"), Some("1"));
        assert_eq!(of(&whole, KeepTogether::Author), author);
        assert_eq!(
            of(&whole, KeepTogether::Subject),
            Unit::Subject("delta").point("s")
        );
        let one = message(Some("ann"), None, Some("1"));
        assert_eq!(of(&one, KeepTogether::Subject), author);
        let none = message(None, None, Some("1"));
        assert_eq!(of(&none, KeepTogether::Author), Unit::Id("1").point("s"));
        let bare = message(None, None, None);
        let place = Unit::Origin(&bare.raw.origin).point("s");
        assert_eq!(of(&bare, KeepTogether::Author), place);
    }

    /// Worked out by another program from the definition. A release that moved
    /// points would move authors between the models of a running rollout.
    #[test]
    fn a_point_is_the_same_in_every_release() {
        assert!((Unit::Author("ann").point("s") - 0.3775225205802223).abs() < 1e-15);
    }

    #[test]
    fn shares_that_are_none_are_refused() {
        assert!(matches!(Split::new("s", &[1.5]), Err(SplitError::Share(_))));
        assert!(matches!(
            Split::new("s", &[f64::NAN]),
            Err(SplitError::Share(_))
        ));
        assert!(matches!(
            Split::new("s", &[0.6, 0.6]),
            Err(SplitError::Sum(_))
        ));
        assert!(Split::new("s", &[0.1; 10]).is_ok());
    }

    #[test]
    fn arms_get_their_shares_of_many_authors_and_two_salts_divide_them_independently() {
        let split = Split::new("one", &[0.1, 0.3]).unwrap();
        let other = Split::new("two", &[0.1, 0.3]).unwrap();
        let count = 20_000;
        let mut table = [[0_u32; 3]; 3];
        for author in 0..count {
            let author = author.to_string();
            let place = |split: &Split| split.arm(Unit::Author(&author)).unwrap_or(2);
            table[place(&split)][place(&other)] += 1;
        }
        let shares = [0.1, 0.3, 0.6];
        for (row, one) in table.iter().zip(shares) {
            for (&cell, two) in row.iter().zip(shares) {
                let expected = one * two * f64::from(count);
                // Four standard deviations of a count.
                assert!(
                    (f64::from(cell) - expected).abs() < 4.0 * expected.sqrt(),
                    "{table:?}"
                );
            }
        }
    }

    #[test]
    fn a_division_serves_a_share_of_authors_and_draws_the_shadow_from_the_other_messages() {
        let division = Division::new("s", 0.25, 0.5, KeepTogether::Author).unwrap();
        let (authors, each) = (2000, 10);
        let mut counts = [0_u32; 3];
        let mut served = 0;
        for author in 0..authors {
            let author = author.to_string();
            let places = (0..each).map(|offset| {
                let mut message = message(Some(&author), None, None);
                message.raw.origin.offset =
                    i64::from(author.parse::<i32>().unwrap() * each + offset);
                division.place(&message)
            });
            let places: Vec<Place> = places.collect();
            let candidates = places.iter().filter(|place| **place == Place::Candidate);
            let candidates = candidates.count();
            assert!(
                [0, places.len()].contains(&candidates),
                "an author has one model"
            );
            served += u32::from(candidates > 0);
            for place in places {
                counts[place as usize] += 1;
            }
        }
        let near = |count: u32, mean: f64| (f64::from(count) - mean).abs() < 4.0 * mean.sqrt();
        assert!(near(served, 500.0), "{served} authors");
        let rest = f64::from(20_000 - counts[2]) / 2.0;
        assert!(near(counts[0], rest) && near(counts[1], rest), "{counts:?}");
    }

    proptest! {
        #[test]
        fn shares_of_nothing_and_of_everything_leave_no_draw(author in ".{0,12}", salt in ".{0,6}", together: bool) {
            let together = if together { KeepTogether::Author } else { KeepTogether::Subject };
            let message = message(Some(&author), Some("delta"), None);
            let place = |share, shadow| Division::new(&salt, share, shadow, together).unwrap().place(&message);
            prop_assert!(Division::new(&salt, 0.0, 0.0, together).unwrap().is_idle());
            prop_assert_eq!(place(0.0, 0.0), Place::Champion);
            prop_assert_eq!(place(0.0, 1.0), Place::Shadow);
            prop_assert_eq!(place(1.0, 1.0), Place::Candidate);
        }

        #[test]
        fn the_shadow_share_moves_nobody_between_the_models(author in ".{0,12}", share in 0.0_f64..1.0, one in 0.0_f64..1.0, other in 0.0_f64..1.0) {
            let message = message(Some(&author), None, None);
            let serves = |shadow| {
                let division = Division::new("s", share, shadow, KeepTogether::Author).unwrap();
                division.place(&message) == Place::Candidate
            };
            prop_assert_eq!(serves(one), serves(other));
        }

        #[test]
        fn a_growing_canary_takes_no_author_back(author in ".{0,12}", salt in ".{0,6}", share in 0.0_f64..1.0, more in 0.0_f64..1.0) {
            let (small, large) = (share.min(more), share.max(more));
            let arm = |share| Split::new(&salt, &[share]).unwrap().arm(Unit::Author(&author));
            prop_assert!(arm(small).is_none() || arm(large).is_some());
            prop_assert_eq!(arm(0.0), None);
            prop_assert_eq!(arm(1.0), Some(0));
        }

        #[test]
        fn a_unit_has_one_arm_and_keeps_it(author in ".{0,12}", shares in prop::collection::vec(0.0_f64..0.25, 1..4)) {
            let split = Split::new("s", &shares).unwrap();
            let arm = split.arm(Unit::Author(&author));
            prop_assert_eq!(arm, split.clone().arm(Unit::Author(&author)));
            prop_assert!(arm.is_none_or(|arm| arm < shares.len()));
        }

        #[test]
        fn kinds_of_units_do_not_share_points(name in ".{1,12}") {
            let points = [Unit::Author(&name), Unit::Subject(&name), Unit::Id(&name)].map(|unit| unit.point("s"));
            prop_assert!(points[0] != points[1] && points[1] != points[2] && points[0] != points[2]);
        }
    }
}
