//! Months of decisions in a row, with alarms, labels and requests that come and go: what must hold of all launches together.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::breaker::Breaker;
use super::limits::{DAY, HOUR, MINUTE};
use super::situation::{LabelStock, OpenAlarm, Request, Run, RunEnd};
use super::*;
use crate::drift::severity::Severity;

/// A launch, with whether it was forced and where the breaker stood.
struct Launch {
    at: i64,
    forced: bool,
    breaker: Breaker,
}

struct World {
    rng: ChaCha8Rng,
    found: Situation,
    launches: Vec<Launch>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut found = Situation {
            champion: "0".to_owned(),
            ..Situation::default()
        };
        found.labels = LabelStock::default();
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            found,
            launches: Vec::new(),
        }
    }

    /// What happens until the next decision.
    fn go_on(&mut self, now: i64, config: &TriggerConfig) {
        let rng = &mut self.rng;
        let labels = &mut self.found.labels;
        let new = if rng.random_bool(0.5) {
            rng.random_range(0..300)
        } else {
            0
        };
        labels.usable += new;
        labels.mark += new as i64;
        if rng.random_bool(0.1) {
            let id = rng.random_range(0..1_000_u32).to_string();
            self.found.alarms = vec![OpenAlarm {
                id,
                since: now,
                severity: Severity::High,
                remedy: Remedy::Retrain,
            }];
        }
        if rng.random_bool(0.05) {
            let id = rng.random_range(0..40_u32).to_string();
            let force = rng.random_bool(0.5);
            self.found.requests = vec![Request {
                id,
                by: "ann".to_owned(),
                force,
            }];
        }
        let limit = i64::from(config.run_minutes) * MINUTE;
        for run in &mut self.found.runs {
            let over = now - run.started >= limit;
            if run.ended.is_none() && (over || rng.random_bool(0.2)) {
                let ends = [
                    RunEnd::Failed,
                    RunEnd::Failed,
                    RunEnd::Died,
                    RunEnd::Passed,
                    RunEnd::Inconclusive,
                    RunEnd::Stopped,
                ];
                let end = ends[rng.random_range(0..ends.len())];
                run.ended = Some((now.min(run.started + limit), end));
                labels.usable = 0;
                if end == RunEnd::Passed {
                    self.found.champion.push('+');
                    self.found.alarms.clear();
                }
            }
        }
    }

    fn live(&mut self, config: &TriggerConfig, hours: i64) {
        let step = 20 * MINUTE;
        for now in (0..hours * HOUR).step_by(step as usize) {
            self.go_on(now, config);
            let decision = decide(config, &self.found, now);
            if let Action::Launch(cause) = decision.action {
                assert!(
                    self.found.runs.iter().all(|run| run.ended.is_some()),
                    "two at once"
                );
                let breaker = Breaker::of(config, &self.found.runs, now);
                let forced = cause.is_forced();
                self.launches.push(Launch {
                    at: now,
                    forced,
                    breaker,
                });
                self.found.runs.push(Run {
                    fingerprint: decision.fingerprint.expect("a launch has one"),
                    started: now,
                    ended: None,
                });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_limit_is_ever_passed(
        seed in any::<u64>(), cooldown in 0_u32..30, runs in 1_u32..4, run_minutes in 30_u32..400, spare in 0_u32..600, failures in 1_u32..4,
    ) {
        let config = TriggerConfig {
            enabled: true,
            cooldown_hours: cooldown,
            runs_per_day: runs,
            run_minutes,
            minutes_per_day: run_minutes + spare,
            failures,
            pause_hours: 10,
            max_pause_hours: 60,
            ..TriggerConfig::default()
        };
        prop_assert_eq!(config.check(), Ok(()));
        let mut world = World::new(seed);
        world.live(&config, 24 * 60);
        let launches = &world.launches;
        prop_assert!(launches.len() > 5, "only {} launches", launches.len());
        let gap = i64::from(cooldown) * HOUR;
        for pair in launches.windows(2) {
            prop_assert!(pair[1].forced || pair[1].at - pair[0].at >= gap);
        }
        for launch in launches {
            let open = matches!(launch.breaker, Breaker::Open { .. });
            prop_assert!(launch.forced || !open);
            let day = launches.iter().filter(|other| (launch.at - DAY + 1..=launch.at).contains(&other.at));
            prop_assert!(day.count() <= runs as usize);
        }
        let ran: Vec<(i64, i64)> = world.found.runs.iter()
            .map(|run| (run.started, run.ended.map_or(24 * 60 * HOUR, |(at, _)| at)))
            .collect();
        for &(_, end) in &ran {
            let spent: i64 = ran.iter().map(|&(from, to)| (to.min(end) - from.max(end - DAY)).max(0)).sum();
            prop_assert!(spent <= i64::from(config.minutes_per_day) * MINUTE);
        }
        let mut prints: Vec<&Fingerprint> = world.found.runs.iter().map(|run| &run.fingerprint).collect();
        prints.sort();
        prints.dedup();
        prop_assert_eq!(prints.len(), ran.len(), "the same was launched twice");
    }
}
