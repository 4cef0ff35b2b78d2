use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;
use crate::special::ln_gamma;

fn counts(better: u64, worse: u64) -> Discordant {
    Discordant::of_counts(better + worse, better, worse)
}

#[test]
fn without_labels_nothing_is_proven() {
    let none = Discordant::default();
    assert!((none.p_better() - 1.0).abs() < 1e-9 && (none.p_worse() - 1.0).abs() < 1e-9);
    assert_eq!(none.share(0.05), (0.0, 1.0));
    assert_eq!(Tally::default().interval(0.05), (0.0, 1.0));
}

#[test]
fn a_wealth_is_worth_one_unit_on_average_where_there_is_no_difference() {
    for n in [1_u64, 7, 60] {
        let ways = |k: u64| {
            let of = |x: u64| ln_gamma(x as f64 + 1.0);
            of(n) - of(k) - of(n - k) - n as f64 * std::f64::consts::LN_2
        };
        let mean: f64 = (0..=n)
            .map(|k| (ways(k) + ln_wealth(k as f64, (n - k) as f64)).exp())
            .sum();
        assert!((mean - 1.0).abs() < 1e-9, "{n}: {mean}");
    }
}

/// The chance that a rule is ever met in the first `most` discordant pairs, and the mean number of pairs until it is or they end,
/// worked out over all sequences.
fn ever(most: usize, share: f64, met: impl Fn(u64, u64) -> bool) -> (f64, f64) {
    let (mut alive, mut crossed, mut pairs) = (vec![1.0], 0.0, 0.0);
    for n in 1..=most {
        pairs += alive.iter().sum::<f64>();
        let mut next = vec![0.0; n + 1];
        for (better, chance) in alive.iter().enumerate() {
            next[better + 1] += chance * share;
            next[better] += chance * (1.0 - share);
        }
        for (better, chance) in next.iter_mut().enumerate() {
            if *chance > 0.0 && met(better as u64, (n - better) as u64) {
                crossed += *chance;
                *chance = 0.0;
            }
        }
        alive = next;
    }
    (crossed, pairs)
}

/// `cargo test exact_rates_of_the_test -- --nocapture` prints the figures.
#[test]
fn exact_rates_of_the_test_on_discordant_pairs_keep_the_level_at_any_stopping_time() {
    let most = 1000;
    for (share, level) in [(0.5, 0.05), (0.5, 0.01), (0.45, 0.05)] {
        let (crossed, _) = ever(most, share, |better, worse| {
            counts(better, worse).p_better() <= level
        });
        println!("share {share}: called better at {level} in the first {most} pairs: {crossed:.4}");
        assert!(crossed <= level && crossed > 0.0, "{crossed}");
    }
    for share in [0.55, 0.6, 0.7] {
        let (crossed, pairs) = ever(most, share, |better, worse| {
            counts(better, worse).p_better() <= 0.05
        });
        println!(
            "share {share}: called better at 0.05 in the first {most} pairs: {crossed:.4}, after {pairs:.0} on average"
        );
        assert!(share < 0.6 || crossed > 0.95);
    }
    // A mid-p test at every look, for comparison.
    let (naive, _) = ever(most, 0.5, |better, worse| {
        crate::gate::paired::mid_p(better, worse) <= 0.05
    });
    println!("share 0.5: McNemar's test at every pair, either way, at 0.05: {naive:.4}");
    assert!(naive > 0.2, "{naive}");
}

#[test]
fn exact_rates_of_the_confidence_sequence_keep_the_level_at_any_stopping_time() {
    for share in [0.5, 0.6] {
        let (missed, _) = ever(400, share, |better, worse| {
            let (low, high) = counts(better, worse).share(0.05);
            share < low || share > high
        });
        println!("share {share}: the sequence ever misses it in 400 pairs: {missed:.4}");
        assert!(missed <= 0.05, "{missed}");
    }
    for share in [0.5, 0.9] {
        let (missed, _) = ever(400, share, |hits, misses| {
            let (low, high) = Tally::of(hits, hits + misses).interval(0.05);
            share < low || share > high
        });
        println!("mean {share}: the sequence of a tally ever misses it in 400: {missed:.4}");
        assert!(missed <= 0.05, "{missed}");
    }
}

/// How often `ever` holds of 2,000 runs, with a tolerance of three standard errors.
fn rate(what: &str, level: f64, mut ever: impl FnMut(&mut ChaCha8Rng) -> bool) -> f64 {
    let runs = 2000;
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let count = (0..runs).filter(|_| ever(&mut rng)).count();
    let rate = count as f64 / f64::from(runs);
    println!("{what}: {rate:.4} of {runs} runs, level {level}");
    assert!(rate <= level + 3.0 * (level * (1.0 - level) / f64::from(runs)).sqrt());
    rate
}

/// Labels are asked for three times as often where the models differ and the candidate is the better one, and weights put that
/// right; without them it is called better though it is not.
#[test]
fn rates_of_the_weighted_test_keep_the_level_at_any_stopping_time_and_without_weights_they_do_not()
{
    let label = |rng: &mut ChaCha8Rng, share: f64| {
        let better = rng.random::<f64>() < share;
        let chance = if better { 0.9 } else { 0.3 };
        (rng.random::<f64>() < chance).then_some((better, 0.3 / chance))
    };
    let ever = |rng: &mut ChaCha8Rng, share: f64, weighted: bool| {
        let mut pairs = Discordant::default();
        (0..600).any(|_| {
            if let Some((better, weight)) = label(rng, share) {
                pairs.add(!better, better, if weighted { weight } else { 1.0 });
            }
            pairs.p_better() <= 0.05
        })
    };
    rate("weighted, no difference", 0.05, |rng| ever(rng, 0.5, true));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let without = (0..200).filter(|_| ever(&mut rng, 0.5, false)).count();
    println!("the same without weights: {without} of 200 runs");
    assert!(without > 190);
    let found = (0..200).filter(|_| ever(&mut rng, 0.7, true)).count();
    println!(
        "weighted, 70 % of the differences favour the candidate: called so in {found} of 200 runs"
    );
    assert!(found > 150);
}

#[test]
fn rates_of_the_test_between_arms_keep_the_level_at_any_stopping_time_and_find_a_gain() {
    let ever = |rng: &mut ChaCha8Rng, candidate: f64, most: usize| {
        // The champion's arm has more labels, which wait.
        let draw = |rng: &mut ChaCha8Rng, share: f64| rng.random::<f64>() < share;
        let mut pairs = Discordant::default();
        (0..most).any(|_| {
            let (one, other) = (draw(rng, candidate), draw(rng, 0.7));
            pairs.merge(&Discordant::of_arms(&[one], &[other]));
            pairs.p_better() <= 0.05
        })
    };
    rate("arms of 800 labels, no difference", 0.05, |rng| {
        ever(rng, 0.7, 800)
    });
    rate("arms of 800 labels, candidate worse", 0.05, |rng| {
        ever(rng, 0.68, 800)
    });
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let found = (0..200).filter(|_| ever(&mut rng, 0.8, 800)).count();
    println!("arms of 800 labels, 10 points better: called so in {found} of 200 runs");
    assert!(found > 150);
}

/// The share of a class in either arm, looked at after every five messages of each.
#[test]
fn rates_of_the_drift_between_arms_keep_the_level_at_any_stopping_time() {
    let mut widths = 0.0;
    let ever = |rng: &mut ChaCha8Rng| {
        let (mut candidate, mut champion) = (Tally::default(), Tally::default());
        let mut draw = || f64::from(u8::from(rng.random::<f64>() < 0.3));
        let mut missed = false;
        for message in 1..=500 {
            candidate.add(draw());
            champion.add(draw());
            if message % 5 == 0 {
                let (low, high) = Tally::difference(&candidate, &champion, 0.05);
                missed |= low > 0.0 || high < 0.0;
            }
        }
        let (low, high) = Tally::difference(&candidate, &champion, 0.05);
        widths += high - low;
        missed
    };
    rate("class share of arms of 500, no difference", 0.05, ever);
    println!(
        "mean width of the interval of the difference after 500: {:.3}",
        widths / 2000.0
    );
}

#[test]
fn pairs_of_arms_are_made_in_order_and_the_rest_waits() {
    let pairs = Discordant::of_arms(&[true, false, true], &[false, false, true, true]);
    assert_eq!(pairs, Discordant::of_counts(3, 1, 0));
    assert!((pairs.gain() - 1.0 / 3.0).abs() < 1e-12);
}

proptest! {
    #[test]
    fn better_and_worse_are_mirror_images_and_not_both_proven(better in 0_u64..3000, worse in 0_u64..3000) {
        let (one, other) = (counts(better, worse), counts(worse, better));
        prop_assert!((one.p_better() - other.p_worse()).abs() < 1e-9);
        prop_assert!((0.0..=1.0).contains(&one.p_better()));
        prop_assert!(one.p_better() > 0.5 || one.p_worse() > 0.5);
        let (low, high) = one.share(0.05);
        prop_assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0);
    }

    #[test]
    fn one_more_pair_for_the_candidate_never_weakens_its_proof(better in 0_u64..500, worse in 0_u64..500) {
        prop_assert!(counts(better + 1, worse).p_better() <= counts(better, worse).p_better() + 1e-9);
        prop_assert!(counts(better, worse + 1).p_better() >= counts(better, worse).p_better() - 1e-9);
    }

    #[test]
    fn an_interval_holds_its_mean_and_narrows_with_alpha(values in prop::collection::vec(0.0_f64..=1.0, 1..200)) {
        let mut tally = Tally::default();
        values.iter().for_each(|&value| tally.add(value));
        let (low, high) = tally.interval(0.05);
        prop_assert!(low <= tally.mean() && tally.mean() <= high);
        let (wide_low, wide_high) = tally.interval(0.01);
        prop_assert!(wide_low <= low + 1e-9 && high <= wide_high + 1e-9);
    }

    #[test]
    fn it_does_not_matter_in_how_many_parts_labels_are_counted(
        labels in prop::collection::vec((any::<bool>(), any::<bool>(), 0.1_f64..1.0), 0..60), cut in 0_usize..60,
    ) {
        let of = |labels: &[(bool, bool, f64)]| {
            let mut pairs = Discordant::default();
            labels.iter().for_each(|&(champion, candidate, weight)| pairs.add(champion, candidate, weight));
            pairs
        };
        let cut = cut.min(labels.len());
        let mut parts = of(&labels[..cut]);
        parts.merge(&of(&labels[cut..]));
        let whole = of(&labels);
        prop_assert!((parts.balance - whole.balance).abs() < 1e-9 && (parts.weight - whole.weight).abs() < 1e-9);
        prop_assert_eq!((parts.labels, parts.discordant), (whole.labels, whole.discordant));
    }
}
