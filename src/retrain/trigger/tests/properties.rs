//! What holds of every situation.

use proptest::prelude::*;

use super::*;

prop_compose! {
    fn any_alarm()(id in 0_u8..3, ago in 0_i64..4, severity in 0_usize..4, remedy in 0_usize..6) -> OpenAlarm {
        OpenAlarm {
            id: format!("alarm-{id}"),
            since: NOW - ago * HOUR,
            severity: [Severity::None, Severity::Low, Severity::Medium, Severity::High][severity],
            remedy: [Remedy::None, Remedy::PriorCorrection, Remedy::Recalibration, Remedy::AskForLabels,
                Remedy::ContinuedPretraining, Remedy::Retrain][remedy],
        }
    }
}

prop_compose! {
    fn any_situation()(
        alarms in prop::collection::vec(any_alarm(), 0..3), usable in 0_u64..3_000, points in prop::option::of(0.0_f64..10.0),
        runs in prop::collection::vec((0_i64..100, 0_usize..4), 0..4), asked in any::<bool>(), force in any::<bool>(),
        texts in 0_u64..40_000,
    ) -> Situation {
        let ends = [RunEnd::Passed, RunEnd::Failed, RunEnd::Died, RunEnd::Inconclusive];
        Situation {
            measured: points.map(|points| Loss { points, low: points - 2.0, high: points + 2.0 }),
            runs: runs.into_iter().map(|(ago, end)| ended(&other(), ago * HOUR, ends[end])).collect(),
            requests: asked.then(|| request(force)).into_iter().collect(),
            texts,
            ..situation(alarms, usable)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn more_evidence_never_takes_a_launch_back(
        less in any_situation(), more_labels in 0_u64..3_000, worse in 0.0_f64..5.0, another in any_alarm(), asked in any::<bool>(),
        raised in 0_usize..3,
    ) {
        let before = decide(&config(), &less, NOW);
        let mut more = less.clone();
        more.labels = labels(less.labels.usable + more_labels);
        more.texts += more_labels;
        if let Some(loss) = &mut more.measured {
            loss.points += worse;
            loss.low += worse;
        }
        if let Some(alarm) = more.alarms.get_mut(raised) {
            alarm.severity = Severity::High;
        }
        more.alarms.push(OpenAlarm { id: "another".to_owned(), ..another });
        if asked {
            more.requests.push(Request { id: "ask-2".to_owned(), by: "bob".to_owned(), force: false });
        }
        let after = decide(&config(), &more, NOW);
        if let Action::Launch(_) = before.action {
            prop_assert!(matches!(after.action, Action::Launch(_)), "{before:?}\n{after:?}");
        }
    }

    #[test]
    fn whoever_waits_is_told_why_and_a_limit_is_named_where_there_was_a_cause(found in any_situation()) {
        let decision = decide(&config(), &found, NOW);
        prop_assert!(!decision.reasons.is_empty());
        if decision.action == Action::Wait {
            let limited = decision.reasons.iter().any(|reason| reason.is_limit() && !matches!(reason, Reason::AlreadyApplied { .. }));
            prop_assert_eq!(decision.fingerprint.is_some(), limited);
        }
        prop_assert_eq!(decide(&config(), &found, NOW), decision);
    }
}
