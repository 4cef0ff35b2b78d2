//! Tests of the explanation on small feeds made by hand and by chance.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::super::counts::Shape;
use super::super::reading::Fingerprint;
use super::*;

const SHAPE: Shape = Shape {
    vocabulary: 60,
    labels: 2,
    max_tokens: 16,
};

fn reading(near: u64, source: &str, subject: &str, label: usize, tokens: Vec<u32>) -> Reading {
    Reading {
        time: 0,
        print: Fingerprint { exact: near, near },
        author: None,
        source: source.into(),
        subject: subject.into(),
        label,
        probabilities: if label == 0 {
            vec![0.9, 0.1]
        } else {
            vec![0.1, 0.9]
        },
        words: tokens.len() as u32,
        tokens,
        truncated: false,
    }
}

/// Messages over `sources` and `subjects`, all with usual tokens (0 to 39) but for those of which `is_new(source, subject)`.
fn feed(
    count: usize,
    sources: usize,
    subjects: usize,
    seed: u64,
    is_new: impl Fn(usize, usize) -> bool,
) -> Vec<Reading> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|index| {
            let (source, subject) = (rng.random_range(0..sources), rng.random_range(0..subjects));
            let new = is_new(source, subject);
            let tokens = (0..10)
                .map(|_| {
                    if new && rng.random_bool(0.5) {
                        rng.random_range(40..45)
                    } else {
                        rng.random_range(0..40)
                    }
                })
                .collect();
            reading(
                index as u64,
                &format!("s{source}"),
                &format!("t{subject}"),
                usize::from(new),
                tokens,
            )
        })
        .collect()
}

fn count(readings: &[Reading]) -> Counts {
    let mut counts = Counts::new(SHAPE);
    readings.iter().for_each(|reading| counts.add(reading));
    counts
}

/// Dunning's G² of two vocabularies over what it is on average without drift: one for each token.
fn surprise(reference: &Counts) -> impl Fn(&Counts) -> Option<f64> {
    |counts| {
        let (now, before) = (counts.pieces() as f64, reference.pieces() as f64);
        let pairs = counts.tokens.iter().zip(&reference.tokens);
        let sum: f64 = pairs
            .map(|(&a, &b)| {
                if a + b == 0 {
                    0.0
                } else {
                    part(a as f64, b as f64, now, before)
                }
            })
            .sum();
        Some(sum / SHAPE.vocabulary as f64)
    }
}

fn explained(window: &[Reading], reference: &Counts) -> Explanation {
    let window: Vec<&Reading> = window.iter().collect();
    explain(&window, reference, 10, 2.0, surprise(reference))
}

fn group(kind: GroupKind, name: &str) -> Group {
    Group {
        kind,
        name: Some(name.into()),
    }
}

#[test]
fn a_drift_of_one_subject_is_told_from_a_drift_of_all() {
    let reference = count(&feed(4000, 3, 6, 1, |_, _| false));
    let one = explained(&feed(900, 3, 6, 2, |_, subject| subject == 4), &reference);
    assert_eq!(one.scope, Some(Scope::One(group(GroupKind::Subject, "t4"))));
    assert!(one.one_subject().is_some_and(|part| part > 0.7), "{one:?}");
    let all = explained(&feed(900, 3, 6, 3, |_, _| true), &reference);
    assert_eq!(all.scope, Some(Scope::All));
    assert_eq!(all.one_subject(), None);
    let none = explained(&feed(900, 3, 6, 4, |_, _| false), &reference);
    assert_eq!(none.scope, None);
}

#[test]
fn a_group_without_which_too_few_are_left_to_say_is_not_blamed() {
    let reference = count(&feed(4000, 3, 6, 1, |_, _| false));
    let window = feed(900, 3, 6, 2, |_, subject| subject == 4);
    let readings: Vec<&Reading> = window.iter().collect();
    let surprise = surprise(&reference);
    let unless_few = |counts: &Counts| surprise(counts).filter(|_| counts.messages > 850);
    let explanation = explain(&readings, &reference, 10, 2.0, unless_few);
    assert!(explanation.distance > 2.0);
    assert_eq!(explanation.one_subject(), None);
    let subjects = explanation
        .groups
        .iter()
        .filter(|part| part.group.kind == GroupKind::Subject);
    assert!(subjects.clone().count() > 0);
    assert!(subjects.into_iter().all(|part| part.fall.is_none()));
}

#[test]
fn a_drift_of_two_sources_is_of_some() {
    let reference = count(&feed(4000, 8, 3, 5, |_, _| false));
    let some = explained(
        &feed(900, 8, 3, 6, |source, _| source == 1 || source == 6),
        &reference,
    );
    let Some(Scope::Some(mut groups)) = some.scope else {
        panic!("{:?}", some.scope)
    };
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(
        groups,
        [
            group(GroupKind::Source, "s1"),
            group(GroupKind::Source, "s6")
        ]
    );
}

/// With the distance of a weak drift that is in all messages alike, taking out any large group goes below the threshold.
#[test]
fn a_group_is_not_blamed_for_a_drift_that_any_as_many_messages_would_take_along() {
    let reference = count(&feed(4000, 3, 1, 7, |_, _| false));
    let window = feed(300, 3, 1, 8, |_, _| true);
    let readings: Vec<&Reading> = window.iter().collect();
    let by_number = |counts: &Counts| Some(counts.messages as f64);
    let explanation = explain(&readings, &reference, 5, 299.0, by_number);
    assert!(
        explanation
            .groups
            .iter()
            .any(|part| part.distance_without.is_some_and(|without| without < 299.0))
    );
    assert_eq!(explanation.scope, Some(Scope::All));
}

#[test]
fn a_group_of_half_the_messages_is_not_one_among_others() {
    let reference = count(&feed(4000, 3, 1, 9, |_, _| false));
    let window: Vec<Reading> = (0..200)
        .map(|i| {
            reading(
                i,
                if i < 100 { "new" } else { "s1" },
                "",
                0,
                vec![if i < 100 { 41 } else { i as u32 % 40 }; 4],
            )
        })
        .collect();
    assert_eq!(explained(&window, &reference).scope, Some(Scope::All));
}

#[test]
fn the_tokens_that_came_and_went_are_named_with_examples_that_are_no_copies() {
    let reference = count(
        &(0..100)
            .map(|i| reading(i, "s", "", 0, vec![1, 2, 3, 3]))
            .collect::<Vec<_>>(),
    );
    let window: Vec<Reading> = (0..100)
        .map(|i| reading(i / 2, "s", "", 1, vec![1, 2, 7, 7]))
        .collect();
    let explanation = explained(&window, &reference);
    let [first, second] = &explanation.tokens[..] else {
        panic!("{:?}", explanation.tokens)
    };
    let (came, went) = if first.token == 7 {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!(
        (came.token, came.count, came.expected, came.messages),
        (7, 200, 0.0, 100)
    );
    assert_eq!(came.examples, [0, 2, 4]);
    assert_eq!(
        (went.token, went.count, went.expected, went.messages),
        (3, 0, 200.0, 0)
    );
    assert!(went.examples.is_empty() && went.contribution < 0.0 && came.contribution > 0.0);
    assert!(
        (came.part - 0.5).abs() < 1e-9 && (came.contribution - 400.0 * 2.0_f64.ln()).abs() < 1e-9
    );
}

#[test]
fn one_message_that_repeats_a_token_does_not_name_it() {
    let reference = count(&feed(400, 1, 1, 10, |_, _| false));
    let mut window = feed(50, 1, 1, 11, |_, _| false);
    window.push(reading(999, "s0", "t0", 0, vec![50; 300]));
    assert!(
        explained(&window, &reference)
            .tokens
            .iter()
            .all(|one| one.token != 50)
    );
}

#[test]
fn labels_are_shown_before_and_now_with_intervals() {
    let reference = count(&feed(1000, 1, 2, 12, |_, _| false));
    let explanation = explained(&feed(500, 1, 2, 13, |_, subject| subject == 0), &reference);
    let [one, other] = explanation.labels[..] else {
        panic!()
    };
    assert_eq!((one.before, other.before), (1.0, 0.0));
    assert!((other.now - 0.5).abs() < 0.1 && other.now_interval.0 > other.before_interval.1);
    assert!((one.now + other.now - 1.0).abs() < 1e-9);
}

#[test]
fn beyond_fifty_groups_the_smaller_ones_are_taken_together_and_never_blamed() {
    let reference = count(&feed(2000, 80, 1, 14, |_, _| false));
    let explanation = explained(&feed(2000, 80, 1, 15, |source, _| source > 70), &reference);
    let sources: Vec<&GroupPart> = explanation
        .groups
        .iter()
        .filter(|part| part.group.kind == GroupKind::Source)
        .collect();
    assert_eq!(sources.len(), 51);
    assert_eq!(sources[50].group.name, None);
    for total in [
        sources.iter().map(|part| part.share).sum::<f64>(),
        sources.iter().filter_map(|part| part.reference_share).sum(),
    ] {
        assert!((total - 1.0).abs() < 1e-9, "{total}");
    }
    assert!(sources[..50].is_sorted_by(|a, b| a.messages >= b.messages));
}

#[test]
fn the_smaller_groups_taken_together_are_not_named_as_the_one() {
    let reference = count(&feed(4000, 1, 1, 18, |_, _| false));
    let window: Vec<Reading> = (0..1500 + 60)
        .map(|i: u64| {
            let (source, token) = if i < 1500 {
                (i % 50, i as u32 * 7 % 40)
            } else {
                (i, 41)
            };
            reading(i, &format!("s{source}"), "", 0, vec![token; 4])
        })
        .collect();
    let explanation = explained(&window, &reference);
    let rest = explanation
        .groups
        .iter()
        .find(|part| part.group.name.is_none())
        .unwrap();
    assert!(
        rest.messages == 60 && rest.distance_without.is_some_and(|without| without < 2.0),
        "{rest:?}"
    );
    assert_eq!(explanation.scope, Some(Scope::All));
}

#[test]
fn an_empty_window_and_an_empty_reference_are_explained_by_nothing() {
    let reference = count(&feed(10, 1, 1, 16, |_, _| false));
    let explanation = explain(&[], &reference, 5, 1.0, |_| Some(0.0));
    assert!(
        explanation.tokens.is_empty()
            && explanation.groups.is_empty()
            && explanation.scope.is_none()
    );
    assert_eq!(explanation.labels[0].now_interval, (0.0, 1.0));
    let window = feed(10, 1, 1, 17, |_, _| false);
    let explanation = explained(&window, &Counts::new(SHAPE));
    assert!(explanation.tokens.is_empty());
    assert!(
        explanation
            .groups
            .iter()
            .all(|part| part.reference_share.is_none() && part.distance_without.is_none())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_parts_of_all_tokens_add_up_to_the_jensen_shannon_divergence(
        now in prop::collection::vec(0_u64..30, 8), before in prop::collection::vec(0_u64..30, 8),
    ) {
        let (n, m) = (now.iter().sum::<u64>() as f64, before.iter().sum::<u64>() as f64);
        prop_assume!(n > 0.0 && m > 0.0);
        let entropy = |shares: &[f64]| -> f64 { shares.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum() };
        let p: Vec<f64> = now.iter().map(|&c| c as f64 / n).collect();
        let q: Vec<f64> = before.iter().map(|&c| c as f64 / m).collect();
        let mixed: Vec<f64> = p.iter().zip(&q).map(|(p, q)| (n * p + m * q) / (n + m)).collect();
        let divergence = entropy(&mixed) - (n * entropy(&p) + m * entropy(&q)) / (n + m);
        let parts = now.iter().zip(&before).filter(|(a, b)| **a + **b > 0).map(|(&a, &b)| part(a as f64, b as f64, n, m));
        prop_assert!((parts.sum::<f64>() / (2.0 * (n + m)) - divergence).abs() < 1e-9);
    }

    #[test]
    fn shares_of_groups_sum_to_one_and_named_examples_hold_their_token(seed: u64, count_of in 1_usize..60) {
        let reference = count(&feed(100, 3, 4, 1, |_, _| false));
        let window = feed(count_of, 3, 4, seed, |source, _| source == 0);
        let explanation = explained(&window, &reference);
        for kind in [GroupKind::Source, GroupKind::Subject] {
            let parts = explanation.groups.iter().filter(|part| part.group.kind == kind);
            prop_assert!((parts.map(|part| part.share).sum::<f64>() - 1.0).abs() < 1e-9);
        }
        for one in &explanation.tokens {
            prop_assert!(one.examples.iter().all(|&index| window[index].tokens.contains(&one.token)));
            prop_assert_eq!(one.contribution < 0.0, (one.count as f64) < one.expected);
        }
        prop_assert!(explanation.tokens.iter().map(|one| one.part).sum::<f64>() < 1.0 + 1e-9);
    }
}
