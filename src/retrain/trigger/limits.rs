//! What stops a training that has a cause.

use super::breaker::Breaker;
use super::cause::Cause;
use super::config::TriggerConfig;
use super::fingerprint::Fingerprint;
use super::reason::Reason;
use super::situation::{Run, Situation};

/// Milliseconds of an hour.
pub(super) const HOUR: i64 = 3_600_000;
/// Milliseconds of a day.
pub(super) const DAY: i64 = 24 * HOUR;
/// Milliseconds of a minute.
pub(super) const MINUTE: i64 = 60_000;

/// The limits that stop a training for this cause now; none: it may be launched.
pub(super) fn on(
    config: &TriggerConfig,
    situation: &Situation,
    cause: &Cause,
    fingerprint: &Fingerprint,
    now: i64,
) -> Vec<Reason> {
    let runs = &situation.runs;
    let mut limits = Vec::new();
    if let Some(run) = runs.iter().find(|run| run.ended.is_none()) {
        limits.push(Reason::Running {
            run: run.fingerprint.clone(),
        });
    }
    let launched = runs.iter().any(|run| run.fingerprint == *fingerprint);
    if launched || situation.decided.contains(fingerprint) {
        limits.push(Reason::Repeated {
            fingerprint: fingerprint.clone(),
        });
    }
    if !cause.is_forced() {
        limits.extend(cooldown(config, runs, now));
        if let Breaker::Open { failures, until } = Breaker::of(config, runs, now) {
            limits.push(Reason::BreakerOpen { failures, until });
        }
    }
    limits.extend(run_budget(config, runs, now));
    limits.extend(minute_budget(config, runs, now));
    limits
}

fn cooldown(config: &TriggerConfig, runs: &[Run], now: i64) -> Option<Reason> {
    let latest = runs.iter().map(|run| run.started).max()?;
    let until = latest.saturating_add(i64::from(config.cooldown_hours) * HOUR);
    (now < until).then_some(Reason::Cooldown { until })
}

fn run_budget(config: &TriggerConfig, runs: &[Run], now: i64) -> Option<Reason> {
    let begin = now.saturating_sub(DAY);
    let mut recent: Vec<i64> = runs
        .iter()
        .map(|run| run.started)
        .filter(|&started| started > begin)
        .collect();
    recent.sort_unstable_by(|one, other| other.cmp(one));
    // There is room again once the one at the budget's edge is a day old.
    let edge = recent.get(config.runs_per_day.saturating_sub(1) as usize)?;
    Some(Reason::RunsSpent {
        runs: recent.len() as u64,
        allowed: config.runs_per_day,
        until: edge.saturating_add(DAY),
    })
}

/// A training is reckoned with its whole time limit, so that none has to be cut short for the budget's sake.
fn minute_budget(config: &TriggerConfig, runs: &[Run], now: i64) -> Option<Reason> {
    let begin = now.saturating_sub(DAY);
    let used: i64 = runs
        .iter()
        .map(|run| {
            let end = run.ended.map_or(now, |(at, _)| at).min(now);
            end.saturating_sub(run.started.max(begin)).max(0)
        })
        .fold(0, i64::saturating_add);
    let allowed = i64::from(config.minutes_per_day) * MINUTE;
    let needed = i64::from(config.run_minutes) * MINUTE;
    (used.saturating_add(needed) > allowed).then_some(Reason::MinutesSpent {
        minutes: (used / MINUTE) as u64,
        needed: config.run_minutes,
        allowed: config.minutes_per_day,
    })
}
