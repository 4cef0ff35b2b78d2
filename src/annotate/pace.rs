//! How many messages are picked in each stretch of time, so that a day comes to about the number that was asked for.
//!
//! The probability of the random slice is fixed for a stretch before it begins, by what is known then. So it does not depend on
//! what the coins of the stretch will say, which keeps estimates unbiased. The time is the caller's: of the message in Kafka, if
//! one that is delivered again is to meet the same probability, or that at which it is counted, where that happens once.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::config::AnnotateConfig;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Stretches that are remembered: a week of hours, and as many again for those that were cut short.
const STEPS: usize = 336;

/// What holds from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// In milliseconds since 1970.
    pub from: i64,
    /// The probability of the random slice.
    pub random: f64,
    /// Messages to be picked for their uncertainty.
    pub uncertain: u32,
    /// Messages that the random slice is expected to take until the next step.
    pub due: f64,
}

/// What the day has come to so far. Days begin at midnight, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Messages of the random slice since the day began.
    pub random: u64,
    /// Messages picked for their uncertainty since then.
    pub uncertain: u64,
    /// Messages of the feed in an hour, as of late; none where that is not known yet.
    pub hourly: Option<f64>,
}

/// The latest steps, in the order of their times.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pace {
    steps: VecDeque<Step>,
}

impl Pace {
    /// The step that holds for a message of this time; none for one from before the first that is remembered, which is not
    /// picked.
    #[must_use]
    pub fn at(&self, time: i64) -> Option<&Step> {
        let next = self.steps.partition_point(|step| step.from <= time);
        self.steps.get(next.checked_sub(1)?)
    }

    /// When the next step is due: at the next full hour. None: now.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        let last = self.steps.back()?;
        Some((last.from.div_euclid(HOUR) + 1).saturating_mul(HOUR))
    }

    /// Whether the feed runs so much faster than expected that the step should be cut short.
    #[must_use]
    pub fn is_overrun(&self, picked: u64) -> bool {
        self.steps
            .back()
            .is_some_and(|step| picked as f64 > 2.0 * step.due + 10.0)
    }

    /// Adds the step that holds from `from` on, which must lie behind every message that was offered already. What is left
    /// of the day's numbers is spread over the rest of the day. Where it is not known how fast the feed runs, and where the
    /// day's number is used up, the probability is the least one.
    pub fn plan(&mut self, config: &AnnotateConfig, progress: Progress, from: i64) -> Step {
        let from = self
            .steps
            .back()
            .map_or(from, |last| from.max(last.from.saturating_add(1)));
        let of_day = from.rem_euclid(DAY);
        // Of the day's rest, the part until the next full hour.
        let part = (HOUR - of_day % HOUR) as f64 / (DAY - of_day) as f64;
        let wanted = part * (f64::from(config.random_per_day) - progress.random as f64).max(0.0);
        let hours = (HOUR - of_day % HOUR) as f64 / HOUR as f64;
        let random = match progress.hourly {
            Some(hourly) if hourly.is_finite() => wanted / (hourly * hours).max(wanted),
            _ => 0.0,
        };
        let random = if random.is_finite() { random } else { 0.0 };
        let random = random.clamp(config.least_probability, 1.0);
        // Whole messages: as many as bring the day to its number in step with the time.
        let elapsed = (of_day as f64 + hours * HOUR as f64) / DAY as f64;
        let by_then = (f64::from(config.uncertain_per_day) * elapsed).floor();
        let step = Step {
            from,
            random,
            uncertain: (by_then - progress.uncertain as f64).max(0.0) as u32,
            due: progress
                .hourly
                .map_or(0.0, |hourly| random * hourly * hours),
        };
        self.steps.push_back(step);
        if self.steps.len() > STEPS {
            self.steps.pop_front();
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config() -> AnnotateConfig {
        AnnotateConfig {
            random_per_day: 240,
            uncertain_per_day: 100,
            ..AnnotateConfig::default()
        }
    }

    #[test]
    fn an_even_day_comes_to_its_numbers() {
        let mut pace = Pace::default();
        let (mut random, mut uncertain) = (0.0, 0);
        for hour in 0..24 {
            let progress = Progress {
                random: f64::round(random) as u64,
                uncertain,
                hourly: Some(3_600.0),
            };
            let step = pace.plan(&config(), progress, 5 * DAY + hour * HOUR);
            assert_eq!(pace.next(), Some(5 * DAY + (hour + 1) * HOUR));
            assert!((step.due - 10.0).abs() < 1.0, "{step:?}");
            random += step.random * 3_600.0;
            uncertain += u64::from(step.uncertain);
        }
        assert!((random - 240.0).abs() < 2.0, "{random}");
        assert_eq!(uncertain, 100);
    }

    #[test]
    fn a_new_feed_and_a_day_that_is_used_up_keep_the_least_probability() {
        let mut pace = Pace::default();
        let used_up = Progress {
            random: 300,
            uncertain: 100,
            hourly: Some(50.0),
        };
        for (hour, progress) in [(0, Progress::default()), (1, used_up)] {
            let step = pace.plan(&config(), progress, hour * HOUR);
            assert_eq!(step.random, config().least_probability);
        }
        let trickle = Progress {
            hourly: Some(2.0),
            ..Progress::default()
        };
        assert_eq!(pace.plan(&config(), trickle, 2 * HOUR).random, 1.0);
    }

    #[test]
    fn a_message_meets_the_step_of_its_own_time() {
        let mut pace = Pace::default();
        assert_eq!((pace.at(0), pace.next()), (None, None));
        let first = pace.plan(&config(), Progress::default(), HOUR);
        let cut = pace.plan(
            &config(),
            Progress {
                hourly: Some(9_000.0),
                ..Progress::default()
            },
            HOUR + HOUR / 2,
        );
        assert_eq!(pace.at(HOUR - 1), None);
        assert_eq!(pace.at(HOUR), Some(&first));
        assert_eq!(pace.at(HOUR + HOUR / 2 - 1), Some(&first));
        assert_eq!(pace.at(i64::MAX), Some(&cut));
        assert_eq!(pace.next(), Some(2 * HOUR));
        assert!(pace.is_overrun(1_000) && !pace.is_overrun(12));
        let told = serde_json::to_string(&pace).unwrap();
        assert_eq!(serde_json::from_str::<Pace>(&told).unwrap(), pace);
    }

    proptest! {
        #[test]
        fn steps_stay_in_order_bounded_and_give_every_message_a_chance(
            plans in prop::collection::vec((0_i64..100_000_000, 0_u64..500, prop::option::of(0.0_f64..1e9)), 1..400), asked in any::<i64>(),
        ) {
            let mut pace = Pace::default();
            for (from, random, hourly) in plans {
                pace.plan(&config(), Progress { random, uncertain: random, hourly }, from);
            }
            prop_assert!(pace.steps.len() <= STEPS);
            prop_assert!(pace.steps.iter().zip(pace.steps.iter().skip(1)).all(|(one, next)| one.from < next.from));
            prop_assert!(pace.steps.iter().all(|step| step.random >= config().least_probability && step.random <= 1.0));
            if let Some(step) = pace.at(asked) {
                prop_assert!(step.from <= asked);
            }
        }
    }
}
