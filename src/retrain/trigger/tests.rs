//! One decision at a time.

mod limits;
mod properties;

use super::limits::{DAY, HOUR, MINUTE};
use super::situation::{LabelStock, OpenAlarm, Request, Run, RunEnd};
use super::*;
use crate::drift::accuracy::Loss;
use crate::drift::severity::Severity;

const NOW: i64 = 1_000 * DAY;

fn config() -> TriggerConfig {
    TriggerConfig {
        enabled: true,
        prior_correction: true,
        recalibration: true,
        ..TriggerConfig::default()
    }
}

fn labels(usable: u64) -> LabelStock {
    LabelStock {
        usable,
        random: usable / 2,
        mark: usable as i64,
        rows: None,
    }
}

fn alarm(remedy: Remedy, severity: Severity) -> OpenAlarm {
    OpenAlarm {
        id: "1-7-opened".to_owned(),
        since: NOW - 2 * HOUR,
        severity,
        remedy,
    }
}

fn situation(alarms: Vec<OpenAlarm>, usable: u64) -> Situation {
    Situation {
        champion: "c".repeat(64),
        recipe: "r".repeat(64),
        labels: labels(usable),
        alarms,
        ..Situation::default()
    }
}

fn ended(fingerprint: &Fingerprint, ago: i64, end: RunEnd) -> Run {
    Run {
        fingerprint: fingerprint.clone(),
        started: NOW - ago,
        ended: Some((NOW - ago + HOUR, end)),
    }
}

fn other() -> Fingerprint {
    Fingerprint::of_remedy(&Situation::default(), Remedy::None, "other")
}

fn kinds(decision: &Decision) -> Vec<&'static str> {
    decision.reasons.iter().map(Reason::as_str).collect()
}

fn request(force: bool) -> Request {
    Request {
        id: "ask-1".to_owned(),
        by: "ann".to_owned(),
        force,
    }
}

/// Each remedy of an alarm, with few labels and with many.
#[test]
fn an_alarm_leads_to_what_it_proposes_where_the_labels_suffice() {
    let cases = [
        (
            Remedy::Retrain,
            Severity::High,
            500,
            "launch",
            "training_proposed",
        ),
        (
            Remedy::Retrain,
            Severity::High,
            50,
            "wait",
            "too_few_labels",
        ),
        (Remedy::Retrain, Severity::Low, 500, "wait", "too_mild"),
        (
            Remedy::ContinuedPretraining,
            Severity::Medium,
            500,
            "launch",
            "training_proposed",
        ),
        (
            Remedy::PriorCorrection,
            Severity::None,
            0,
            "remedy",
            "curable",
        ),
        (
            Remedy::Recalibration,
            Severity::None,
            500,
            "remedy",
            "curable",
        ),
        (
            Remedy::Recalibration,
            Severity::None,
            50,
            "wait",
            "too_few_labels",
        ),
        (
            Remedy::AskForLabels,
            Severity::None,
            500,
            "wait",
            "labels_to_tell",
        ),
        (Remedy::None, Severity::None, 500, "wait", "nothing_to_cure"),
    ];
    for (remedy, severity, usable, action, reason) in cases {
        let decision = decide(
            &config(),
            &situation(vec![alarm(remedy, severity)], usable),
            NOW,
        );
        let said = (decision.action.as_str(), kinds(&decision).contains(&reason));
        assert_eq!(
            said,
            (action, true),
            "{remedy:?} {severity:?} {usable}: {decision:?}"
        );
        assert_eq!(decision.fingerprint.is_some(), action != "wait");
    }
}

#[test]
fn too_few_labels_are_a_reason_to_ask_for_some() {
    let wanting = situation(vec![alarm(Remedy::Retrain, Severity::High)], 50);
    let decision = decide(&config(), &wanting, NOW);
    assert!(decision.asks_for_labels());
    let lacking = Reason::TooFewLabels {
        have: 50,
        want: 200,
    };
    assert!(decision.reasons.contains(&lacking));
    assert!(!decide(&config(), &situation(Vec::new(), 50), NOW).asks_for_labels());
}

#[test]
fn a_young_alarm_is_waited_for() {
    let mut young = alarm(Remedy::Retrain, Severity::High);
    young.since = NOW - 59 * MINUTE;
    let wanting = situation(vec![young], 500);
    assert_eq!(kinds(&decide(&config(), &wanting, NOW)), ["too_young"]);
    assert_eq!(
        decide(&config(), &wanting, NOW + MINUTE).action.as_str(),
        "launch"
    );
}

#[test]
fn a_loss_is_believed_as_measured_and_as_estimated_only_without_that() {
    let loss = |points, low| {
        Some(Loss {
            points,
            low,
            high: points + 2.0,
        })
    };
    let decide_on = |measured, estimated| {
        let found = Situation {
            measured,
            estimated,
            ..situation(Vec::new(), 500)
        };
        decide(&config(), &found, NOW).action
    };
    let lost = |points, measured| Action::Launch(Cause::Loss { points, measured });
    assert_eq!(decide_on(loss(4.0, 1.0), None), lost(4.0, true));
    assert_eq!(decide_on(None, loss(5.0, 1.0)), lost(5.0, false));
    assert_eq!(decide_on(loss(0.5, -1.0), loss(5.0, 1.0)), Action::Wait);
    assert_eq!(decide_on(loss(4.0, -0.1), None), Action::Wait);
}

#[test]
fn many_new_labels_are_a_cause_unless_it_is_switched_off() {
    let decision = decide(&config(), &situation(Vec::new(), 2_000), NOW);
    assert_eq!(
        decision.action,
        Action::Launch(Cause::Labels { new: 2_000 })
    );
    let off = TriggerConfig {
        new_labels: 0,
        ..config()
    };
    assert_eq!(
        decide(&off, &situation(Vec::new(), 9_000), NOW).action,
        Action::Wait
    );
}

#[test]
fn continued_pretraining_takes_unlabelled_texts_where_there_are_enough() {
    let able = TriggerConfig {
        continued_pretraining: true,
        ..config()
    };
    let mut found = situation(vec![alarm(Remedy::ContinuedPretraining, Severity::High)], 0);
    assert_eq!(
        kinds(&decide(&able, &found, NOW)),
        ["training_proposed", "too_few_texts", "too_few_labels"]
    );
    found.texts = 20_000;
    let decision = decide(&able, &found, NOW);
    assert!(matches!(
        decision.action,
        Action::Launch(Cause::Alarm {
            unlabelled: true,
            ..
        })
    ));
    // Launched once with texts, it is launched once more with labels, where there are enough.
    found.runs = vec![ended(
        &decision.fingerprint.unwrap(),
        3 * DAY,
        RunEnd::Failed,
    )];
    assert!(kinds(&decide(&able, &found, NOW)).contains(&"repeated"));
    found.labels = labels(500);
    let decision = decide(&able, &found, NOW);
    assert!(matches!(
        decision.action,
        Action::Launch(Cause::Alarm {
            unlabelled: true,
            ..
        })
    ));
    found.runs.push(ended(
        &decision.fingerprint.unwrap(),
        2 * DAY,
        RunEnd::Failed,
    ));
    let decision = decide(&able, &found, NOW);
    assert!(
        matches!(
            decision.action,
            Action::Launch(Cause::Alarm {
                unlabelled: false,
                ..
            })
        ),
        "{decision:?}"
    );
}

#[test]
fn unasked_nothing_happens_where_it_is_off_and_a_dry_run_says_so() {
    let off = TriggerConfig {
        enabled: false,
        dry_run: true,
        ..config()
    };
    let mut found = situation(vec![alarm(Remedy::Retrain, Severity::High)], 5_000);
    let decision = decide(&off, &found, NOW);
    assert_eq!((decision.action, decision.dry_run), (Action::Wait, true));
    found.requests = vec![request(false)];
    assert_eq!(decide(&off, &found, NOW).action.as_str(), "launch");
}

#[test]
fn only_what_changes_is_news() {
    let at = |usable, now| {
        decide(
            &config(),
            &situation(vec![alarm(Remedy::Retrain, Severity::High)], usable),
            now,
        )
    };
    let first = at(50, NOW);
    assert!(first.is_news(None));
    assert!(!at(51, NOW + MINUTE).is_news(Some(&first)));
    assert!(at(500, NOW + MINUTE).is_news(Some(&first)));
}

#[test]
fn a_decision_reads_back_from_its_record_and_its_reasons_are_sentences() {
    let mut found = situation(
        vec![
            alarm(Remedy::Retrain, Severity::High),
            alarm(Remedy::PriorCorrection, Severity::Low),
        ],
        500,
    );
    found.requests = vec![request(true)];
    for runs in [vec![], vec![ended(&other(), HOUR, RunEnd::Failed)]] {
        found.runs = runs;
        let decision = decide(&config(), &found, NOW);
        let told = serde_json::to_string(&decision).unwrap();
        assert_eq!(
            serde_json::from_str::<Decision>(&told).unwrap(),
            decision,
            "{told}"
        );
        for reason in &decision.reasons {
            assert!(reason.to_string().ends_with('.'), "{reason}");
            assert_eq!(
                serde_json::to_value(reason).unwrap()["reason"],
                reason.as_str()
            );
        }
    }
}

#[test]
fn the_settings_that_ship_make_sense_and_contradictions_are_refused() {
    assert_eq!(TriggerConfig::default().check(), Ok(()));
    let set = |text: &str| toml::from_str::<TriggerConfig>(text).unwrap().check();
    assert_eq!(set("enabled = true\nseverity = 'high'"), Ok(()));
    for (text, said) in [
        ("run_minutes = 400", "run_minutes"),
        ("runs_per_day = 0", "runs_per_day"),
        ("pause_hours = 1000", "max_pause_hours"),
        ("new_labels = 100", "new_labels"),
        ("loss_points = nan", "loss_points"),
    ] {
        assert!(set(text).unwrap_err().contains(said), "{text}");
    }
    assert!(toml::from_str::<TriggerConfig>("cool_down = 3").is_err());
}
