//! How fast the candidate runs beside the champion, on one machine at one precision, from repeated runs.

use serde::{Deserialize, Serialize};

/// More runs than this of a model say nothing new.
pub const MOST_RUNS: usize = 50;

/// What was measured of each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Messages in a second: more is better.
    Throughput,
    /// Milliseconds for a message or a batch: less is better.
    Latency,
}

impl Quantity {
    /// As it stands in sentences and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
        }
    }
}

/// Repeated runs of both models, taken in turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    pub quantity: Quantity,
    /// One value a run.
    pub champion: Vec<f64>,
    pub candidate: Vec<f64>,
    /// On what was measured, such as the processor's name and the number of threads.
    pub machine: String,
    /// The form of the weights and of the arithmetic, such as `fp32` or `int8`.
    pub precision: String,
}

/// The candidate's speed as a multiple of the champion's: above 1 it is faster, in whichever quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    pub quantity: Quantity,
    /// Median of the champion's runs.
    pub champion: f64,
    /// Median of the candidate's.
    pub candidate: f64,
    pub runs: (usize, usize),
    /// How many times as fast the candidate is.
    pub ratio: f64,
    /// Ends of the ratio's interval; none where there are too few runs for one.
    pub interval: Option<(f64, f64)>,
    pub machine: String,
    pub precision: String,
}

/// Compares runs; none where a model has none, or a value is not above 0. Beyond [`MOST_RUNS`] runs of a model are left out.
///
/// The ratio is the median of all ratios of a run of the one and a run of the other (Hodges and Lehmann 1963, "Estimates of
/// location based on rank tests", on logarithms), which lies near the ratio of the medians; the interval is that of the
/// rank-sum test, exact for any distribution of the runs if the models differ by a factor (Hollander, Wolfe and Chicken 2014,
/// "Nonparametric Statistical Methods", 4.3). At 95 % it needs four runs of each.
#[must_use]
pub fn compare(runs: &Runs, alpha: f64) -> Option<Speed> {
    let sorted = |values: &[f64]| {
        let mut values: Vec<f64> = values.iter().copied().take(MOST_RUNS).collect();
        values.sort_by(f64::total_cmp);
        let usable = values.iter().all(|value| value.is_finite() && *value > 0.0);
        (usable && !values.is_empty()).then_some(values)
    };
    let (champion, candidate) = (sorted(&runs.champion)?, sorted(&runs.candidate)?);
    let mut ratios: Vec<f64> = champion
        .iter()
        .flat_map(|champion| {
            candidate.iter().map(move |candidate| match runs.quantity {
                Quantity::Throughput => candidate / champion,
                Quantity::Latency => champion / candidate,
            })
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let outside = most_outside(champion.len(), candidate.len(), alpha / 2.0);
    Some(Speed {
        quantity: runs.quantity,
        champion: median(&champion),
        candidate: median(&candidate),
        runs: (champion.len(), candidate.len()),
        ratio: median(&ratios),
        interval: outside.map(|count| (ratios[count], ratios[ratios.len() - 1 - count])),
        machine: runs.machine.clone(),
        precision: runs.precision.clone(),
    })
}

/// The middle of sorted values, between the two middle ones of an even number.
fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        f64::midpoint(sorted[half - 1], sorted[half])
    }
}

/// How many of the smallest ratios (and of the largest) may lie outside of the interval: the most that Mann and Whitney's U
/// stays below with chance `tail` or less; none where even the smallest is not as rare as that.
fn most_outside(n: usize, m: usize, tail: f64) -> Option<usize> {
    let chances = rank_sums(n, m);
    let mut below = 0.0;
    let mut count = None;
    for (u, chance) in chances.iter().enumerate() {
        below += chance;
        if below > tail {
            break;
        }
        count = Some(u);
    }
    count
}

/// The chance of each value of Mann and Whitney's U for samples of `n` and `m` from one distribution, by their recurrence (1947):
/// the largest value is in the one sample with chance n / (n + m), and then exceeds all of the other.
fn rank_sums(n: usize, m: usize) -> Vec<f64> {
    // `table[j]` holds the chances for samples of i and j, for the i of the outer loop.
    let mut table: Vec<Vec<f64>> = vec![vec![1.0]; m + 1];
    for i in 1..=n {
        let before = table;
        table = vec![vec![1.0]];
        for j in 1..=m {
            let mut chances = vec![0.0; i * j + 1];
            let share = i as f64 / (i + j) as f64;
            for (u, chance) in before[j].iter().enumerate() {
                chances[u + j] += share * chance;
            }
            for (u, chance) in table[j - 1].iter().enumerate() {
                chances[u] += (1.0 - share) * chance;
            }
            table.push(chances);
        }
    }
    table.swap_remove(m)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    fn runs(quantity: Quantity, champion: &[f64], candidate: &[f64]) -> Runs {
        Runs {
            quantity,
            champion: champion.to_vec(),
            candidate: candidate.to_vec(),
            machine: "two cores".into(),
            precision: "int8".into(),
        }
    }

    /// The table of critical values for U at 5 %, two-sided.
    #[test]
    fn as_many_ratios_lie_outside_as_the_tables_of_u_say() {
        for (n, m, critical) in [(4, 4, 0), (5, 5, 2), (8, 8, 13), (10, 10, 23), (5, 10, 8)] {
            assert_eq!(most_outside(n, m, 0.025), Some(critical), "{n} {m}");
        }
        assert_eq!(most_outside(3, 3, 0.025), None);
    }

    #[test]
    fn half_the_latency_is_twice_the_speed() {
        let speed = compare(
            &runs(
                Quantity::Latency,
                &[10.0, 10.2, 9.8, 10.1, 9.9],
                &[5.0, 5.1, 4.9, 5.05, 4.95],
            ),
            0.05,
        )
        .unwrap();
        let (low, high) = speed.interval.unwrap();
        assert!((speed.ratio - 2.0).abs() < 0.01 && low > 1.9 && high < 2.1);
        assert_eq!((speed.champion, speed.candidate), (10.0, 5.0));
    }

    #[test]
    fn few_runs_have_a_ratio_and_no_interval_and_none_have_nothing() {
        let two = compare(
            &runs(Quantity::Throughput, &[100.0, 102.0], &[99.0, 101.0]),
            0.05,
        )
        .unwrap();
        assert!(two.interval.is_none() && (two.ratio - 0.99).abs() < 0.01);
        assert_eq!(
            compare(&runs(Quantity::Throughput, &[], &[1.0]), 0.05),
            None
        );
        assert_eq!(
            compare(&runs(Quantity::Latency, &[0.0], &[1.0]), 0.05),
            None
        );
    }

    /// `cargo test rates_of_the_speed_interval -- --nocapture` prints the figure. Runs with a long tail, as on a shared machine.
    #[test]
    fn rates_of_the_speed_interval_are_what_they_promise() {
        let trials = 2000;
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut run = || 100.0 / (1.0 + 0.05 * rng.random::<f64>().powi(4) / 0.2);
        let mut inside = 0;
        for _ in 0..trials {
            let champion: Vec<f64> = (0..7).map(|_| run()).collect();
            let candidate: Vec<f64> = (0..7).map(|_| 0.9 * run()).collect();
            let speed = compare(&runs(Quantity::Throughput, &champion, &candidate), 0.05);
            let (low, high) = speed.unwrap().interval.unwrap();
            inside += u32::from((low..=high).contains(&0.9));
        }
        let coverage = f64::from(inside) / f64::from(trials);
        println!("seven runs of each: interval holds the ratio {coverage:.4}");
        // The exact level for seven and seven is 0.962.
        assert!((0.945..=0.98).contains(&coverage), "{coverage}");
    }

    proptest! {
        #[test]
        fn chances_of_u_add_up_and_are_the_same_from_both_ends(n in 1_usize..12, m in 1_usize..12) {
            let chances = rank_sums(n, m);
            prop_assert_eq!(chances.len(), n * m + 1);
            prop_assert!((chances.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (one, other) in chances.iter().zip(chances.iter().rev()) {
                prop_assert!((one - other).abs() < 1e-12);
            }
        }

        #[test]
        fn the_ratio_lies_in_its_interval(
            champion in prop::collection::vec(1.0_f64..10.0, 4..12), candidate in prop::collection::vec(1.0_f64..10.0, 4..12),
        ) {
            let speed = compare(&runs(Quantity::Throughput, &champion, &candidate), 0.05).unwrap();
            let (low, high) = speed.interval.unwrap();
            prop_assert!(low <= speed.ratio && speed.ratio <= high);
        }
    }
}
