//! What several labels of one message come to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Sampling;

/// A label of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Numbers labels in the order of their arrival.
    pub id: i64,
    pub annotator: String,
    pub label: String,
    pub sampling: Sampling,
    pub given_at: DateTime<Utc>,
}

/// What they come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consensus {
    /// The label that most annotators give; none where two or more have as many.
    pub label: Option<String>,
    pub annotators: usize,
    /// By chance as soon as one annotator was given the message by chance: what others chose does not change that.
    pub sampling: Sampling,
    /// When the latest of them was given.
    pub given_at: DateTime<Utc>,
    /// The votes that were replaced by a later one of the same annotator.
    pub superseded: Vec<i64>,
}

/// The consensus of a message's labels; none without any. Of one annotator's the latest counts, by when it was given and then by
/// when it arrived.
#[must_use]
pub fn consensus(votes: &[Vote]) -> Option<Consensus> {
    let mut latest: BTreeMap<&str, &Vote> = BTreeMap::new();
    let mut superseded = Vec::new();
    for vote in votes {
        let held = latest.entry(&vote.annotator).or_insert(vote);
        if held.id == vote.id {
            continue;
        }
        if (held.given_at, held.id) < (vote.given_at, vote.id) {
            superseded.push(held.id);
            *held = vote;
        } else {
            superseded.push(vote.id);
        }
    }
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    for vote in latest.values() {
        *tally.entry(&vote.label).or_default() += 1;
    }
    let most = tally.values().copied().max()?;
    let mut leading = tally.iter().filter(|(_, count)| **count == most);
    let label = leading.next().map(|(label, _)| (*label).to_owned());
    let by_chance = |vote: &&&Vote| vote.sampling == Sampling::Random;
    Some(Consensus {
        label: label.filter(|_| leading.next().is_none()),
        annotators: latest.len(),
        sampling: match latest.values().find(by_chance) {
            Some(_) => Sampling::Random,
            None => Sampling::Uncertain,
        },
        given_at: latest.values().map(|vote| vote.given_at).max()?,
        superseded,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vote(id: i64, annotator: &str, label: &str, second: i64) -> Vote {
        Vote {
            id,
            annotator: annotator.into(),
            label: label.into(),
            sampling: Sampling::Random,
            given_at: DateTime::from_timestamp(second, 0).unwrap(),
        }
    }

    #[test]
    fn most_annotators_decide_and_a_tie_decides_nothing() {
        let votes = [
            vote(1, "ann", "good", 1),
            vote(2, "bob", "bad", 1),
            vote(3, "cyd", "good", 1),
            vote(4, "dan", "bad", 1),
        ];
        let label = |votes: &[Vote]| consensus(votes).and_then(|consensus| consensus.label);
        assert_eq!(label(&votes[..1]).as_deref(), Some("good"));
        assert_eq!(label(&votes[..2]), None);
        assert_eq!(label(&votes[..3]).as_deref(), Some("good"));
        assert_eq!(label(&votes), None);
        assert_eq!(consensus(&[]), None);
    }

    #[test]
    fn of_one_annotator_the_latest_label_counts_whatever_came_last() {
        let votes = [
            vote(1, "ann", "good", 5),
            vote(2, "ann", "bad", 9),
            vote(3, "ann", "good", 7),
            vote(4, "ann", "fair", 9),
        ];
        let found = consensus(&votes).unwrap();
        assert_eq!(
            (found.label.as_deref(), found.annotators),
            (Some("fair"), 1)
        );
        assert_eq!(found.superseded, [1, 3, 2]);
    }

    #[test]
    fn one_who_was_given_the_message_by_chance_makes_it_a_matter_of_chance() {
        let mut votes = [vote(1, "ann", "good", 1), vote(2, "bob", "good", 1)];
        votes[0].sampling = Sampling::Uncertain;
        assert_eq!(consensus(&votes).unwrap().sampling, Sampling::Random);
        votes[1].sampling = Sampling::Uncertain;
        assert_eq!(consensus(&votes).unwrap().sampling, Sampling::Uncertain);
    }

    proptest! {
        #[test]
        fn the_order_in_which_labels_are_read_does_not_matter(
            raw in prop::collection::vec((0_usize..3, 0_usize..3, 0_i64..4), 1..12), turn in 0_usize..12,
        ) {
            let votes: Vec<Vote> = (0..).zip(raw)
                .map(|(id, (who, what, when))| vote(id, ["a", "b", "c"][who], ["x", "y", "z"][what], when))
                .collect();
            let mut turned = votes.clone();
            turned.rotate_left(turn % votes.len());
            let (mut one, mut other) = (consensus(&votes).unwrap(), consensus(&turned).unwrap());
            one.superseded.sort_unstable();
            other.superseded.sort_unstable();
            prop_assert_eq!(one.superseded.len() + one.annotators, votes.len());
            prop_assert_eq!(one, other);
        }
    }
}
