//! What stops a training that has a cause, and what does not.

use super::*;

/// What stops a training that was asked for, without and with force.
#[test]
fn each_limit_stops_and_force_passes_only_cool_down_and_breaker() {
    let failed = |ago| ended(&other(), ago, RunEnd::Failed);
    let running = Run {
        fingerprint: other(),
        started: NOW - 3 * DAY,
        ended: None,
    };
    let long = Run {
        fingerprint: other(),
        started: NOW - 47 * HOUR,
        ended: Some((NOW - 18 * HOUR, RunEnd::Passed)),
    };
    let asked = situation(Vec::new(), 0);
    let own = Fingerprint::of_training(
        &asked,
        &Cause::Request {
            id: "ask-1".to_owned(),
            by: "ann".to_owned(),
            force: true,
        },
    );
    let cases = [
        (vec![], None, None),
        (vec![running], Some("running"), Some("running")),
        (
            vec![ended(&own, 5 * DAY, RunEnd::Died)],
            Some("repeated"),
            Some("repeated"),
        ),
        (vec![ended(&other(), 25 * HOUR, RunEnd::Passed)], None, None),
        (vec![ended(&other(), 24 * HOUR, RunEnd::Passed)], None, None),
        (
            vec![ended(&other(), 24 * HOUR - 1, RunEnd::Passed)],
            Some("cooldown"),
            Some("runs_spent"),
        ),
        (vec![long], Some("minutes_spent"), Some("minutes_spent")),
        (
            vec![failed(50 * HOUR), failed(49 * HOUR), failed(48 * HOUR)],
            Some("breaker_open"),
            None,
        ),
        (
            vec![failed(90 * HOUR), failed(80 * HOUR), failed(73 * HOUR)],
            None,
            None,
        ),
    ];
    for (runs, unforced, forced) in cases {
        for (force, limit) in [(false, unforced), (true, forced)] {
            let found = Situation {
                requests: vec![request(force)],
                runs: runs.clone(),
                ..asked.clone()
            };
            let decision = decide(&config(), &found, NOW);
            let limits: Vec<&str> = decision
                .reasons
                .iter()
                .filter(|reason| reason.is_limit())
                .map(Reason::as_str)
                .collect();
            assert_eq!(limits.first().copied(), limit, "{force} {runs:?}");
            assert_eq!(
                matches!(decision.action, Action::Launch(_)),
                limit.is_none()
            );
        }
    }
    let cool = TriggerConfig {
        runs_per_day: 5,
        ..config()
    };
    let found = Situation {
        requests: vec![request(true)],
        runs: vec![ended(&other(), 2 * HOUR, RunEnd::Passed)],
        ..asked
    };
    let decision = decide(&cool, &found, NOW);
    assert_eq!(
        (decision.action.as_str(), kinds(&decision)),
        ("launch", vec!["requested", "forced"])
    );
}

#[test]
fn a_request_that_was_answered_does_not_stand_in_the_way_of_an_alarm() {
    let mut found = situation(vec![alarm(Remedy::Retrain, Severity::High)], 500);
    found.requests = vec![request(false)];
    let first = decide(&config(), &found, NOW);
    assert!(matches!(
        first.action,
        Action::Launch(Cause::Request { .. })
    ));
    found.runs = vec![ended(
        &first.fingerprint.unwrap(),
        2 * DAY,
        RunEnd::Inconclusive,
    )];
    let second = decide(&config(), &found, NOW);
    assert!(
        matches!(second.action, Action::Launch(Cause::Alarm { .. })),
        "{second:?}"
    );
}

#[test]
fn a_cure_needs_no_budget_and_is_applied_once_for_each_alarm_of_a_champion() {
    let mut found = situation(vec![alarm(Remedy::PriorCorrection, Severity::Low)], 0);
    found.runs = vec![Run {
        fingerprint: other(),
        started: NOW - HOUR,
        ended: None,
    }];
    let decision = decide(&config(), &found, NOW);
    assert_eq!(decision.action.as_str(), "remedy");
    found.applied = vec![decision.fingerprint.unwrap()];
    assert!(kinds(&decide(&config(), &found, NOW)).contains(&"already_applied"));
    found.champion = "d".repeat(64);
    assert_eq!(decide(&config(), &found, NOW).action.as_str(), "remedy");
}
