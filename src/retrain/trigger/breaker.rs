//! The circuit breaker: after failures in a row, trainings pause.

use super::config::TriggerConfig;
use super::limits::HOUR;
use super::situation::Run;

/// Where the breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// Trainings may be launched.
    Closed,
    /// None may be launched until then, in milliseconds since 1970.
    Open { failures: u32, until: i64 },
    /// The pause is over. The next one that ends well closes the breaker, and one more failure opens it for twice as long.
    HalfOpen { failures: u32 },
}

impl Breaker {
    /// By the ends of the runs so far, in whatever order. Runs that say nothing of the next one are passed over.
    #[must_use]
    pub fn of(config: &TriggerConfig, runs: &[Run], now: i64) -> Self {
        let mut ends: Vec<(i64, bool)> = runs
            .iter()
            .filter_map(|run| {
                let (at, end) = run.ended?;
                Some((at, end.is_failure()?))
            })
            .collect();
        // At the same moment a success counts as the later one.
        ends.sort_unstable_by_key(|&(at, failed)| std::cmp::Reverse((at, !failed)));
        let failures = ends.iter().take_while(|(_, failed)| *failed).count();
        let failures = u32::try_from(failures).unwrap_or(u32::MAX);
        let latest = ends.first().map_or(i64::MIN, |&(at, _)| at);
        let Some(further) = failures.checked_sub(config.failures) else {
            return Self::Closed;
        };
        let doubled = 2_u64.checked_pow(further).unwrap_or(u64::MAX);
        let pause = u64::from(config.pause_hours)
            .saturating_mul(doubled)
            .min(u64::from(config.max_pause_hours));
        let until = latest.saturating_add(pause as i64 * HOUR);
        if now < until {
            Self::Open { failures, until }
        } else {
            Self::HalfOpen { failures }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fingerprint::Fingerprint;
    use super::super::situation::{RunEnd, Situation};
    use super::*;
    use crate::drift::severity::Remedy;

    fn config() -> TriggerConfig {
        TriggerConfig {
            failures: 2,
            pause_hours: 10,
            max_pause_hours: 35,
            ..TriggerConfig::default()
        }
    }

    fn run(hour: i64, end: RunEnd) -> Run {
        Run {
            fingerprint: Fingerprint::of_remedy(&Situation::default(), Remedy::None, "any"),
            started: (hour - 1) * HOUR,
            ended: Some((hour * HOUR, end)),
        }
    }

    #[test]
    fn the_pause_begins_after_so_many_failures_and_doubles_up_to_its_bound() {
        let mut runs = vec![run(0, RunEnd::Passed), run(1, RunEnd::Failed)];
        assert_eq!(Breaker::of(&config(), &runs, HOUR), Breaker::Closed);
        for (hour, pause) in [(2, 10), (20, 20), (50, 35), (100, 35)] {
            runs.push(run(hour, RunEnd::Died));
            let failures = runs.len() as u32 - 1;
            let until = (hour + pause) * HOUR;
            let open = Breaker::Open { failures, until };
            assert_eq!(Breaker::of(&config(), &runs, hour * HOUR), open);
            assert_eq!(Breaker::of(&config(), &runs, until - 1), open);
            let half = Breaker::HalfOpen { failures };
            assert_eq!(Breaker::of(&config(), &runs, until), half);
        }
        runs.push(run(200, RunEnd::Passed));
        assert_eq!(Breaker::of(&config(), &runs, 200 * HOUR), Breaker::Closed);
    }

    #[test]
    fn what_could_not_be_told_neither_opens_nor_closes() {
        let mut runs = vec![run(1, RunEnd::Failed), run(2, RunEnd::RolledBack)];
        let before = Breaker::of(&config(), &runs, 3 * HOUR);
        runs.push(run(3, RunEnd::Inconclusive));
        runs.push(run(3, RunEnd::Stopped));
        assert_eq!(Breaker::of(&config(), &runs, 3 * HOUR), before);
        assert!(matches!(before, Breaker::Open { failures: 2, .. }));
    }

    proptest! {
        #[test]
        fn no_history_keeps_it_open_for_ever(ends in prop::collection::vec(0_u8..7, 0..80)) {
            let kinds = [RunEnd::Passed, RunEnd::Inconclusive, RunEnd::Failed, RunEnd::RolledBack, RunEnd::Refused,
                RunEnd::Died, RunEnd::Stopped];
            let runs: Vec<Run> = (0..).zip(&ends).map(|(hour, &end)| run(hour, kinds[usize::from(end)])).collect();
            let end = ends.len() as i64 + i64::from(config().max_pause_hours);
            prop_assert!(!matches!(Breaker::of(&config(), &runs, end * HOUR), Breaker::Open { .. }), "{:?}", runs);
        }
    }
}
