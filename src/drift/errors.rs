//! Has the share of wrong answers gone up? Watched one labelled message after another, as labels come in late.
//!
//! For each size of rise watched for there is a fair bet on every message: it multiplies the stake by p1 / p0 if the answer was
//! wrong and by (1 - p1) / (1 - p0) if it was right, p0 being the baseline's error rate and p1 the risen one. While the error
//! rate is p0 or less, no bet gains on average, however the messages depend on each other (Waudby-Smith and Ramdas 2024,
//! "Estimating means of bounded random variables by betting"). With one unit freshly staked before every message the wealth is
//! an e-detector in the manner of Shiryaev and Roberts (Shin, Ramdas and Rinaldo 2023, "E-detectors: a nonparametric framework
//! for sequential change detection", section 2), and an alarm at a mean wealth of N over the bets comes, as long as nothing has
//! risen, no sooner than after N messages on average. Page and Hinkley's test needs its threshold simulated for the same
//! promise; here the promise is the threshold.

use serde::{Deserialize, Serialize};

use super::accuracy::EstimatedAccuracy;
use super::proportion::{share, wilson};

/// The rises watched for: the shares of the answers right so far that turn wrong. A rise in between is seen by its neighbours.
const RISES: [f64; 4] = [0.04, 0.08, 0.16, 0.32];
/// A baseline without errors, or with nothing but errors, leaves nothing to bet on.
const RATES: (f64, f64) = (0.001, 0.98);

/// Sequential test for a rise of the error rate. It can be stored and goes on where it stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelledTest {
    error_rate: f64,
    run_length: f64,
    wealth: [f64; RISES.len()],
    observed: u64,
    errors: u64,
    alarms: u64,
}

/// What a test says after a labelled message.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelledVerdict {
    /// The error rate has risen. The test has begun anew, with the next message as its first.
    pub risen: bool,
    /// Mean wealth of the bets; `risen` once it reaches `threshold`.
    pub wealth: f64,
    /// The promised mean number of messages between false alarms.
    pub threshold: f64,
    /// Labelled messages since the test last began.
    pub observed: u64,
    /// Wrong answers among them.
    pub errors: u64,
}

impl LabelledTest {
    /// A test against a baseline's `error_rate` (0 to 1) that raises a false alarm no more often than once in `run_length`
    /// labelled messages on average.
    ///
    /// The promise is kept as long as the chance of an error is at most `error_rate` for each message labelled. So where that
    /// rate was itself measured on a sample, give the upper end of its interval ([`wilson`]), and have messages labelled that
    /// were chosen by chance: those that the model is unsure of are wrong more often without any drift.
    #[must_use]
    pub fn new(error_rate: f64, run_length: f64) -> Self {
        Self {
            error_rate: error_rate.clamp(RATES.0, RATES.1),
            run_length: run_length.max(1.0),
            wealth: [0.0; RISES.len()],
            observed: 0,
            errors: 0,
            alarms: 0,
        }
    }

    /// Takes in whether the answer to the next labelled message was wrong.
    pub fn observe(&mut self, error: bool) -> LabelledVerdict {
        let base = self.error_rate;
        for (wealth, rise) in self.wealth.iter_mut().zip(RISES) {
            let risen = base + rise * (1.0 - base);
            let factor = if error {
                risen / base
            } else {
                (1.0 - risen) / (1.0 - base)
            };
            *wealth = (*wealth + 1.0) * factor;
        }
        self.observed += 1;
        self.errors += u64::from(error);
        let wealth = self.wealth.iter().sum::<f64>() / RISES.len() as f64;
        let verdict = LabelledVerdict {
            risen: wealth >= self.run_length,
            wealth,
            threshold: self.run_length,
            observed: self.observed,
            errors: self.errors,
        };
        if verdict.risen {
            self.alarms += 1;
            self.restart();
        }
        verdict
    }

    /// Forgets what was observed, as after a new model was put in place; the number of alarms stays.
    pub fn restart(&mut self) {
        self.wealth = [0.0; RISES.len()];
        self.observed = 0;
        self.errors = 0;
    }

    /// Alarms so far.
    #[must_use]
    pub fn alarms(&self) -> u64 {
        self.alarms
    }
}

/// Accuracy measured on labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredAccuracy {
    /// Share of the labelled answers that were right; 0 without labels.
    pub value: f64,
    /// Lower end of its 95 % interval (Wilson 1927).
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
    /// Labelled messages.
    pub messages: u64,
}

impl MeasuredAccuracy {
    /// Of `messages` labelled ones, `right` were answered right.
    #[must_use]
    pub fn of(right: u64, messages: u64) -> Self {
        let (low, high) = wilson(right, messages);
        Self {
            value: share(right, messages),
            low,
            high,
            messages,
        }
    }

    /// Whether the accuracy estimated without labels can be believed in view of the labels.
    ///
    /// The difference of the two has the interval that Zou and Donner 2008 ("Construction of confidence limits about effect
    /// measures: a general approach") put together from the two intervals: the distances from each value to the end that faces
    /// the other, added as squares. Two overlapping intervals would be too lenient a test.
    #[must_use]
    pub fn compare(&self, estimated: &EstimatedAccuracy) -> Agreement {
        if self.messages == 0 || estimated.messages == 0 {
            return Agreement::Unknown;
        }
        let above = estimated.value - self.value;
        let (of_estimate, of_measure) = if above > 0.0 {
            (estimated.value - estimated.low, self.high - self.value)
        } else {
            (estimated.high - estimated.value, self.value - self.low)
        };
        if above.abs() <= of_estimate.hypot(of_measure) {
            Agreement::Agrees
        } else if above > 0.0 {
            Agreement::TooHigh
        } else {
            Agreement::TooLow
        }
    }
}

/// How an accuracy estimated without labels compares with the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// There is nothing to compare.
    Unknown,
    /// No difference that chance does not explain.
    Agrees,
    /// The estimate is above the truth: the model is surer than right, as after concept drift.
    TooHigh,
    /// The estimate is below the truth.
    TooLow,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    /// Messages until the alarm when each is wrong with the probability given.
    fn run(error_rate: f64, test: &mut LabelledTest, rng: &mut ChaCha8Rng) -> u64 {
        for count in 1.. {
            if test.observe(rng.random_bool(error_rate)).risen {
                return count;
            }
        }
        unreachable!()
    }

    #[test]
    fn false_alarms_are_no_more_frequent_than_promised() {
        let mut rng = ChaCha8Rng::seed_from_u64(21);
        let mut test = LabelledTest::new(0.3, 500.0);
        let runs = 400;
        let total: u64 = (0..runs).map(|_| run(0.3, &mut test, &mut rng)).sum();
        let mean = total as f64 / f64::from(runs);
        // The standard error of the mean is about a twentieth of it.
        assert!(mean > 500.0 * 0.85, "{mean}");
        assert_eq!(test.alarms(), 400);
    }

    #[test]
    fn ten_points_more_errors_are_seen_within_a_few_hundred_messages() {
        let mut rng = ChaCha8Rng::seed_from_u64(22);
        let delays: Vec<u64> = (0..50)
            .map(|_| run(0.4, &mut LabelledTest::new(0.3, 10_000.0), &mut rng))
            .collect();
        let mean = delays.iter().sum::<u64>() as f64 / 50.0;
        assert!((100.0..450.0).contains(&mean), "{mean}");
    }

    #[test]
    fn a_falling_error_rate_is_no_alarm() {
        let mut rng = ChaCha8Rng::seed_from_u64(23);
        let mut test = LabelledTest::new(0.3, 1000.0);
        let alarms = (0..20_000).filter(|_| test.observe(rng.random_bool(0.2)).risen);
        assert_eq!(alarms.count(), 0);
    }

    #[test]
    fn after_an_alarm_the_test_begins_anew() {
        let mut test = LabelledTest::new(0.1, 100.0);
        let alarm = (0..100)
            .map(|_| test.observe(true))
            .find(|v| v.risen)
            .unwrap();
        assert!(alarm.wealth >= alarm.threshold && alarm.errors == alarm.observed);
        let next = test.observe(false);
        assert_eq!((next.observed, next.errors, next.risen), (1, 0, false));
    }

    #[test]
    fn a_baseline_without_errors_can_be_watched() {
        let mut test = LabelledTest::new(0.0, 1e6);
        let wealth = test.observe(false).wealth;
        assert!(wealth.is_finite() && wealth > 0.0);
        assert!((0..20).any(|_| test.observe(true).risen));
    }

    #[test]
    fn an_estimate_agrees_with_labels_unless_their_distance_is_beyond_chance() {
        let estimated = EstimatedAccuracy {
            value: 0.8,
            low: 0.77,
            high: 0.83,
            messages: 500,
        };
        let verdicts = [(0, 0), (156, 200), (144, 200), (190, 200)]
            .map(|(right, labelled)| MeasuredAccuracy::of(right, labelled).compare(&estimated));
        assert_eq!(
            verdicts,
            [
                Agreement::Unknown,
                Agreement::Agrees,
                Agreement::TooHigh,
                Agreement::TooLow
            ]
        );
    }

    proptest! {
        #[test]
        fn a_test_that_was_stored_goes_on_as_if_it_had_not_been(errors in prop::collection::vec(any::<bool>(), 1..80), at in 0_usize..80) {
            let mut test = LabelledTest::new(0.25, 50.0);
            let mut stored = test.clone();
            for (index, &error) in errors.iter().enumerate() {
                if index == at {
                    stored = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
                }
                let (one, other) = (test.observe(error), stored.observe(error));
                prop_assert_eq!((one.risen, one.errors, one.observed), (other.risen, other.errors, other.observed));
                prop_assert!((one.wealth / other.wealth - 1.0).abs() < 1e-9);
            }
        }

        #[test]
        fn no_bet_gains_on_average_at_the_baseline_rate(rate in 0.01_f64..0.9, before in 0.0_f64..90.0) {
            let mean = |error: bool| {
                let mut test = LabelledTest::new(rate, 1e12);
                test.wealth = [before; RISES.len()];
                test.observe(error).wealth
            };
            let expected = rate * mean(true) + (1.0 - rate) * mean(false);
            prop_assert!((expected / (before + 1.0) - 1.0).abs() < 1e-9);
        }
    }
}
