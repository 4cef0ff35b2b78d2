//! What two models say of a chunk, put together message by message. Pure.

use crate::model::backend::InferError;
use crate::record::{Encoded, Prediction};
use crate::rollout::share::Place;

/// What the model beside the champion is to score of a chunk.
pub(super) struct Second<A> {
    pub arm: A,
    /// What is done with each of the chunk's messages, in their order.
    pub places: Vec<Place>,
    /// The model's tokens of those that are not the champion's alone.
    pub encoded: Vec<Encoded>,
}

/// Which of a chunk's two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    Champion,
    Second,
}

/// What is served of a message, and what the other model says of it.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub by: Voice,
    pub encoded: Encoded,
    pub said: Result<Prediction, InferError>,
    /// Of the second model, where the champion serves and it was asked too.
    pub shadow: Option<Prediction>,
}

/// What a model says of a text.
pub(super) type Said = (Encoded, Result<Prediction, InferError>);

/// The messages, by their place in the chunk, that the second model was to serve and has failed on. `said` are its answers to
/// those that are not the champion's alone.
pub(super) fn fallen(places: &[Place], said: &[Result<Prediction, InferError>]) -> Vec<usize> {
    let asked = places.iter().enumerate();
    let asked = asked.filter(|(_, place)| **place != Place::Champion);
    asked
        .zip(said)
        .filter(|((_, place), said)| **place == Place::Candidate && said.is_err())
        .map(|((index, _), _)| index)
        .collect()
}

/// The champion's tokens with those of the `fallen` messages in their places.
pub(super) fn with_fallen(
    places: &[Place],
    encoded: Vec<Encoded>,
    fallen: Vec<(usize, Encoded)>,
) -> Vec<Encoded> {
    if fallen.is_empty() {
        return encoded;
    }
    let mut own = encoded.into_iter();
    let mut fallen = fallen.into_iter().peekable();
    let all = places.iter().enumerate().filter_map(|(index, place)| {
        let fell = fallen.next_if(|(message, _)| *message == index);
        match (fell, place) {
            (Some((_, encoded)), _) => Some(encoded),
            (None, Place::Candidate) => None,
            (None, Place::Champion | Place::Shadow) => own.next(),
        }
    });
    all.collect()
}

/// One answer for each message, in their order. `champion` has said something of each that it serves, the `fallen` ones among
/// them, `second` of each that is not the champion's alone.
pub(super) fn join(
    places: &[Place],
    fallen: &[usize],
    champion: Vec<Said>,
    second: Vec<Said>,
) -> Vec<Answer> {
    let (mut champion, mut second) = (champion.into_iter(), second.into_iter());
    let mut fallen = fallen.iter().peekable();
    let answers = places.iter().enumerate().filter_map(|(index, place)| {
        let other = (*place != Place::Champion).then(|| second.next()).flatten();
        let fell = fallen.next_if(|message| **message == index).is_some();
        if *place == Place::Candidate && !fell {
            let (encoded, said) = other?;
            return Some(Answer {
                by: Voice::Second,
                encoded,
                said,
                shadow: None,
            });
        }
        let (encoded, said) = champion.next()?;
        let shadow = other.and_then(|(_, said)| said.ok());
        Some(Answer {
            by: Voice::Champion,
            encoded,
            shadow: shadow.filter(|_| said.is_ok()),
            said,
        })
    });
    answers.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens that name the message and whose they are.
    fn encoded(message: usize, whose: u32) -> Encoded {
        Encoded {
            ids: vec![message as u32, whose],
            truncated: false,
        }
    }

    fn says(label: usize, fails: bool) -> Result<Prediction, InferError> {
        if fails {
            return Err(InferError {
                rows: 1,
                width: 2,
                reason: "it fails".into(),
            });
        }
        Ok(Prediction {
            label,
            probabilities: vec![],
        })
    }

    fn place() -> impl Strategy<Value = Place> {
        prop::sample::select(vec![Place::Champion, Place::Shadow, Place::Candidate])
    }

    proptest! {
        /// As the stage does it, with a champion that says 0 and a second model that says 1, and fails where it is told to.
        #[test]
        fn every_message_has_one_answer_in_its_place_and_whom_the_second_fails_the_champion_serves(
            messages in prop::collection::vec((place(), any::<bool>(), any::<bool>()), 0..60),
        ) {
            let places: Vec<Place> = messages.iter().map(|(place, ..)| *place).collect();
            let asked = |not: Place| {
                let all = places.iter().enumerate().filter(move |(_, place)| **place != not);
                all.map(|(index, _)| index).collect::<Vec<_>>()
            };
            let theirs = asked(Place::Champion);
            let said: Vec<_> = theirs.iter().map(|&index| says(1, messages[index].1)).collect();
            let fell = fallen(&places, &said);
            let own: Vec<_> = asked(Place::Candidate).into_iter().map(|index| encoded(index, 0)).collect();
            let again = fell.iter().map(|&index| (index, encoded(index, 0))).collect();
            let own = with_fallen(&places, own, again);
            let champion: Vec<Said> = own
                .into_iter()
                .map(|encoded| {
                    let fails = messages[encoded.ids[0] as usize].2;
                    (encoded, says(0, fails))
                })
                .collect();
            let second: Vec<Said> = theirs.iter().map(|&index| encoded(index, 1)).zip(said).collect();
            let answers = join(&places, &fell, champion, second);
            prop_assert_eq!(answers.len(), messages.len());
            for (index, (answer, (place, fails, champion_fails))) in answers.iter().zip(&messages).enumerate() {
                let serves = *place == Place::Candidate && !fails;
                let (by, whose) = if serves { (Voice::Second, 1) } else { (Voice::Champion, 0) };
                prop_assert_eq!(answer.by, by);
                prop_assert_eq!(&answer.encoded, &encoded(index, whose));
                let label = answer.said.as_ref().ok().map(|prediction| prediction.label);
                let expected = if serves { Some(1) } else { (!champion_fails).then_some(0) };
                prop_assert_eq!(label, expected);
                let shadowed = *place == Place::Shadow && !fails && !champion_fails;
                prop_assert_eq!(answer.shadow.as_ref().map(|prediction| prediction.label), shadowed.then_some(1));
            }
        }
    }
}
