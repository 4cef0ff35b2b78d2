use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;
use crate::drift::proportion::Z95;

/// Both right, only the candidate, only the champion, neither.
fn table(counts: [u64; 4]) -> Paired {
    let mut paired = Paired::default();
    let cells = [(true, true), (false, true), (true, false), (false, false)];
    for (count, (champion, candidate)) in counts.into_iter().zip(cells) {
        (0..count).for_each(|_| paired.add(champion, candidate, 1.0));
    }
    paired
}

/// Bentur et al. 2009, the example of Fagerland, Lydersen and Laake 2013 (mid-p 0.039) and 2014 (Newcombe's interval).
#[test]
fn mid_p_and_interval_are_those_of_the_published_example() {
    let paired = table([1, 7, 1, 12]);
    assert!(
        (paired.p() - (18.0 - 8.0) / 256.0).abs() < 1e-12,
        "{}",
        paired.p()
    );
    let (low, high) = paired.interval(Z95);
    assert!(
        (low - 0.026).abs() < 5e-4 && (high - 0.507).abs() < 5e-4,
        "{low} {high}"
    );
}

#[test]
fn mid_p_of_few_pairs_agrees_with_pencil_and_paper() {
    assert_eq!(mid_p(0, 0), 1.0);
    assert!((mid_p(0, 3) - 0.125).abs() < 1e-12);
    assert!((mid_p(2, 2) - (1.0 - 0.5 * 6.0 / 16.0)).abs() < 1e-12);
}

#[test]
fn models_that_never_differ_leave_an_interval_with_a_width() {
    let (low, high) = table([80, 0, 0, 20]).interval(Z95);
    assert!(low < -0.01 && high > 0.01 && low > -0.1 && high < 0.1);
}

#[test]
fn without_examples_nothing_is_known() {
    assert_eq!(Paired::default().interval(Z95), (-1.0, 1.0));
    assert_eq!(macro_recall(&[Paired::default()], Z95), None);
}

#[test]
fn doubling_every_weight_changes_nothing_and_unequal_ones_count_for_fewer_examples() {
    let mut doubled = Paired::default();
    (0..50).for_each(|i| doubled.add(i % 3 == 0, i % 5 < 3, 2.0));
    let mut plain = Paired::default();
    (0..50).for_each(|i| plain.add(i % 3 == 0, i % 5 < 3, 1.0));
    assert_eq!(doubled.interval(Z95), plain.interval(Z95));
    assert!(!doubled.is_weighted() && doubled.p() == plain.p());
    let mut uneven = Paired::default();
    (0..50).for_each(|i| uneven.add(i % 3 == 0, i % 5 < 3, if i < 10 { 5.0 } else { 1.0 }));
    assert!(uneven.is_weighted() && uneven.effective() < 35.0);
}

#[test]
fn a_macro_recall_of_classes_alike_is_that_of_one_with_a_narrower_interval() {
    let class = table([60, 12, 4, 24]);
    let one = macro_recall(&[class], Z95).unwrap();
    let three = macro_recall(&[class, Paired::default(), class, class], Z95).unwrap();
    assert!((one.candidate - 0.72).abs() < 1e-12 && (three.candidate - 0.72).abs() < 1e-12);
    let width = |of: &MacroRecall| of.interval.1 - of.interval.0;
    assert!((width(&three) - width(&one) / 3.0_f64.sqrt()).abs() < 1e-12);
    assert!((one.p - 2.0 * normal_cdf(-2.0)).abs() < 1e-12 && three.p < one.p);
}

/// Draws the answers of two models whose chances to be right are `champion` and `candidate`, and who differ no more than they must
/// but for `also` of the examples.
fn draw(n: usize, champion: f64, candidate: f64, also: f64, rng: &mut ChaCha8Rng) -> Paired {
    let (gain, loss) = (
        (candidate - champion).max(0.0),
        (champion - candidate).max(0.0),
    );
    let mut paired = Paired::default();
    for _ in 0..n {
        let draw: f64 = rng.random();
        let edges = [gain + also, gain + also + loss + also];
        let both = champion.min(candidate) - also;
        let (c, d) = if draw < edges[0] {
            (false, true)
        } else if draw < edges[1] {
            (true, false)
        } else {
            let right = draw < edges[1] + both;
            (right, right)
        };
        paired.add(c, d, 1.0);
    }
    paired
}

/// `cargo test rates_of_the_paired_tests -- --nocapture` prints the figures.
#[test]
fn rates_of_the_paired_tests_are_about_what_they_promise() {
    let runs = 4000;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (n, difference) in [(100, 0.0), (400, 0.0), (2400, 0.0), (400, -0.02)] {
        let (mut inside, mut below, mut differ, mut lost) = (0, 0, 0, 0);
        for _ in 0..runs {
            let paired = draw(n, 0.7, 0.7 + difference, 0.06, &mut rng);
            let (low, high) = paired.interval(Z95);
            inside += u32::from((low..=high).contains(&difference));
            below += u32::from(high < difference);
            differ += u32::from(paired.p() <= 0.05);
            lost += u32::from(paired.loss_p(-difference) <= 0.05);
        }
        let [inside, below, differ, lost] =
            [inside, below, differ, lost].map(|count| f64::from(count) / f64::from(runs));
        println!(
            "n {n}, difference {difference}: interval holds it {inside:.4}, lies below it {below:.4}; \
             p <= 0.05 {differ:.4}; loss_p <= 0.05 {lost:.4}"
        );
        // Three standard errors are 0.010 at 0.05, 0.0074 at 0.025.
        assert!((0.94..=0.99).contains(&inside), "{inside}");
        assert!(below <= 0.033 && lost <= 0.06, "{below} {lost}");
        if difference == 0.0 {
            assert!(differ <= 0.06, "{differ}");
        }
    }
}

/// A third of the messages are unsure ones, on which the models differ more; they are labelled more often than others, as when
/// people are asked for them, or less.
#[test]
fn rates_of_the_weighted_interval_are_about_what_they_promise_and_without_weights_it_is_off() {
    let runs = 2000;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for (chance_unsure, chance_sure) in [(0.3, 0.1), (0.1, 0.3)] {
        let (mut inside, mut differ, mut unweighted) = (0, 0, 0);
        for _ in 0..runs {
            let (mut weighted, mut plain) = (Paired::default(), Paired::default());
            for _ in 0..3000 {
                let unsure = rng.random::<f64>() < 1.0 / 3.0;
                // The candidate gains 12 points where it is unsure and loses 6 elsewhere: nothing in all.
                let (gain, loss) = if unsure { (0.2, 0.08) } else { (0.01, 0.07) };
                let (champion, candidate) = match rng.random::<f64>() {
                    draw if draw < gain => (false, true),
                    draw if draw < gain + loss => (true, false),
                    draw => (draw < 0.75, draw < 0.75),
                };
                let chance = if unsure { chance_unsure } else { chance_sure };
                if rng.random::<f64>() < chance {
                    weighted.add(champion, candidate, 1.0 / chance);
                    plain.add(champion, candidate, 1.0);
                }
            }
            let holds = |paired: &Paired| {
                let (low, high) = paired.interval(Z95);
                u32::from((low..=high).contains(&0.0))
            };
            inside += holds(&weighted);
            unweighted += holds(&plain);
            differ += u32::from(weighted.p() <= 0.05);
        }
        let [inside, differ, unweighted] =
            [inside, differ, unweighted].map(|count| f64::from(count) / f64::from(runs));
        println!(
            "unsure ones labelled with chance {chance_unsure}, others {chance_sure}: interval holds the difference \
             {inside:.4}, p <= 0.05 {differ:.4}; interval without weights {unweighted:.4}"
        );
        // Three standard errors at 0.05 are 0.015.
        assert!(
            (0.93..=0.985).contains(&inside) && differ < 0.07,
            "{inside} {differ}"
        );
        assert!(unweighted < 0.9, "{unweighted}");
    }
}

#[test]
fn rates_of_the_macro_recall_interval_are_about_what_they_promise() {
    let runs = 2000;
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let (mut inside, mut differ) = (0, 0);
    for _ in 0..runs {
        let classes = [(120, 0.6), (900, 0.7), (700, 0.75)]
            .map(|(n, recall)| draw(n, recall, recall, 0.06, &mut rng));
        let found = macro_recall(&classes, Z95).unwrap();
        inside += u32::from(found.interval.0 <= 0.0 && found.interval.1 >= 0.0);
        differ += u32::from(found.p <= 0.05);
    }
    let [inside, differ] = [inside, differ].map(|count| f64::from(count) / f64::from(runs));
    println!("macro recall: interval holds the difference {inside:.4}; p <= 0.05 {differ:.4}");
    assert!(
        (0.935..=0.985).contains(&inside) && differ <= 0.065,
        "{inside} {differ}"
    );
}

proptest! {
    #[test]
    fn an_interval_holds_the_difference_and_turns_round_with_the_models(
        counts in [0_u64..60, 0_u64..60, 0_u64..60, 0_u64..60],
    ) {
        prop_assume!(counts.iter().sum::<u64>() > 0);
        let paired = table(counts);
        let turned = table([counts[0], counts[2], counts[1], counts[3]]);
        let (low, high) = paired.interval(Z95);
        prop_assert!(-1.0 <= low && low <= paired.difference() && paired.difference() <= high && high <= 1.0);
        prop_assert!((turned.interval(Z95).0 + high).abs() < 1e-9);
        prop_assert_eq!(paired.p(), turned.p());
    }

    #[test]
    fn a_loss_is_the_less_proven_the_larger_the_margin(
        counts in [0_u64..60, 0_u64..60, 0_u64..60, 0_u64..60], margin in 0.0_f64..0.2, more in 0.0_f64..0.2,
    ) {
        prop_assume!(counts.iter().sum::<u64>() > 0);
        let paired = table(counts);
        prop_assert!(paired.loss_p(margin) <= paired.loss_p(margin + more) + 1e-9);
        let proven = paired.loss_p(margin) < 0.0249;
        prop_assert!(!proven || paired.interval(Z95).1 < -margin);
    }
}
