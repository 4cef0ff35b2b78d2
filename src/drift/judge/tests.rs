use std::sync::OnceLock;

use super::super::baseline::Identity;
use super::super::measured::Agreement;
use super::super::null::NullSettings;
use super::super::severity::Remedy;
use super::super::synthetic::{Feed, SHAPE, UNKNOWN};
use super::*;

/// Of readings whose truth is what was predicted for two in three, and another label for the third.
fn baseline() -> &'static Baseline {
    static BASELINE: OnceLock<Baseline> = OnceLock::new();
    BASELINE.get_or_init(|| {
        let readings = Feed::default().readings(1_000, 1).into_iter().enumerate();
        let labelled = readings.map(|(index, reading)| {
            let truth = (reading.label + usize::from(index % 3 == 0)) % 3;
            (reading, Some(truth))
        });
        let identity = Identity {
            model_sha256: "aa".into(),
            tokenizer_sha256: "bb".into(),
            code_version: "0.1.0".into(),
            adjustment: None,
        };
        let settings = NullSettings {
            sizes: vec![100, 200, 500],
            resamples: 300,
            ..NullSettings::default()
        };
        Baseline::build(
            labelled.collect(),
            ["negative", "neutral", "positive"]
                .map(String::from)
                .to_vec(),
            Some(UNKNOWN),
            SHAPE,
            identity,
            &settings,
        )
        .unwrap()
    })
}

fn moved() -> Feed {
    Feed {
        labels: [0.6, 0.25, 0.15],
        ..Feed::default()
    }
}

#[test]
fn one_change_is_one_alarm_that_says_what_it_means_and_is_resolved_when_it_is_over() {
    let judge = Judge::new(baseline(), 1_000);
    let mut watch = Watch::default();
    let mut changes = Vec::new();
    for seed in 0..12 {
        let feed = if (4..8).contains(&seed) {
            moved()
        } else {
            Feed::default()
        };
        let judged = judge.judge(
            &feed.readings(300, 100 + seed),
            Evidence::default(),
            &mut watch,
        );
        assert_eq!(judged.alarm.is_some(), judged.change == Change::Opened);
        if judged.change != Change::None {
            changes.push((seed, judged.change));
        }
        if let Some(alarm) = judged.alarm {
            assert_ne!(alarm.decision.remedy, Remedy::None);
            assert!(alarm.explanation.distance > 3.0);
            assert!(!alarm.explanation.tokens.is_empty());
        }
    }
    assert_eq!(changes, [(4, Change::Opened), (10, Change::Resolved)]);
}

#[test]
fn every_window_has_an_estimate_of_its_accuracy_where_the_baseline_is_labelled() {
    let judge = Judge::new(baseline(), 1_000);
    let judged = judge.judge(
        &Feed::default().readings(300, 5),
        Evidence::default(),
        &mut Watch::default(),
    );
    let accuracy = judged.estimates.accuracy.unwrap();
    assert!(
        accuracy.low < 0.667 && 0.667 < accuracy.high,
        "{accuracy:?}"
    );
    let shares = judged.estimates.shift.unwrap().shares;
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6);
}

#[test]
fn labels_tell_whether_the_estimate_holds_and_what_to_do() {
    let judge = Judge::new(baseline(), 1_000);
    let answers = |right: usize| -> Vec<Answer> {
        (0..200)
            .map(|index| Answer {
                confidence: 0.67,
                right: index < right,
            })
            .collect()
    };
    let readings = moved().readings(300, 9);
    let mut told = Vec::new();
    for right in [134, 40] {
        let evidence = Evidence {
            answers: &answers(right),
            errors_risen: false,
        };
        let judged = judge.judge(&readings, evidence, &mut Watch::default());
        let alarm = judged.alarm.unwrap();
        told.push((judged.measured.unwrap().agreement, alarm.decision.remedy));
    }
    assert_eq!(told[0].0, Agreement::Agrees);
    assert_eq!(told[1], (Agreement::TooHigh, Remedy::Retrain));
}
