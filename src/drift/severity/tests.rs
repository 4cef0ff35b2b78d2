//! Tests of the decision over all combinations of what can be known.

use std::collections::HashSet;

use super::*;

fn loss(points: f64) -> Loss {
    Loss {
        points,
        low: points - 0.5,
        high: points + 0.5,
    }
}

const CLEAR: ShiftSize = ShiftSize {
    points: 12.0,
    significant: true,
    condition: 6.0,
    converged: true,
};

const LOST: CalibrationError = CalibrationError {
    bias: -0.06,
    standard_error: 0.01,
};

/// Every combination of the columns of the table, with losses in each band.
fn situations() -> Vec<Situation> {
    let losses = [None, Some(0.2), Some(2.0), Some(5.0), Some(9.0)].map(|points| points.map(loss));
    let mut all = Vec::new();
    for bits in 0..64 {
        let bit = |index: u32| bits >> index & 1 == 1;
        for estimated in losses {
            for measured in losses {
                all.push(Situation {
                    labels_fired: bit(0),
                    vocabulary_fired: bit(1),
                    errors_fired: bit(2),
                    shift: bit(3).then_some(CLEAR),
                    estimated,
                    measured,
                    calibration: (bit(4) && measured.is_some()).then_some(LOST),
                    one_subject: bit(5).then_some(0.8),
                });
            }
        }
    }
    all
}

fn decided(situation: &Situation) -> Decision {
    decide(situation, &Settings::default())
}

/// The rows of the table in the doc comment of [`decide`], written out a second time.
fn row(s: &Situation) -> usize {
    let fired = s.labels_fired || s.vocabulary_fired || s.errors_fired;
    let words = s.vocabulary_fired;
    let (shift, lost, one) = (
        s.shift.is_some(),
        s.calibration.is_some(),
        s.one_subject.is_some(),
    );
    let labels = s.measured.is_some();
    let points = s.measured.or(s.estimated).map_or(0.0, |loss| loss.points);
    let (low, medium, high) = (points >= 1.0, points >= 3.0, points >= 7.0);
    let rows = [
        !fired,
        fired && !words && shift && !lost,
        fired && labels && high,
        fired && words && labels && low && !high && !one,
        fired && labels && medium && !high,
        fired && labels && lost && !medium,
        fired && labels && !lost && !medium,
        fired && words && !labels && medium && !one,
        fired && !words && !labels && !low && s.estimated.is_some(),
        fired && !labels,
    ];
    1 + rows.iter().position(|holds| *holds).unwrap()
}

#[test]
fn every_combination_is_decided_as_the_table_says_and_every_row_is_reached() {
    let remedies = [
        Remedy::None,
        Remedy::PriorCorrection,
        Remedy::Retrain,
        Remedy::ContinuedPretraining,
        Remedy::Retrain,
        Remedy::Recalibration,
        Remedy::None,
        Remedy::ContinuedPretraining,
        Remedy::None,
        Remedy::AskForLabels,
    ];
    let mut reached = HashSet::new();
    for situation in situations() {
        let row = row(&situation);
        assert_eq!(
            decided(&situation).remedy,
            remedies[row - 1],
            "row {row}: {situation:?}"
        );
        reached.insert(row);
    }
    assert_eq!(reached, (1..=10).collect());
}

#[test]
fn retraining_and_recalibration_are_proposed_only_on_the_word_of_labels() {
    for situation in situations().iter().filter(|s| s.measured.is_none()) {
        let remedy = decided(situation).remedy;
        assert!(
            !matches!(remedy, Remedy::Retrain | Remedy::Recalibration),
            "{situation:?}"
        );
    }
}

#[test]
fn labels_are_not_asked_for_where_there_are_some() {
    for situation in situations().iter().filter(|s| s.measured.is_some()) {
        assert_ne!(
            decided(situation).remedy,
            Remedy::AskForLabels,
            "{situation:?}"
        );
    }
}

#[test]
fn every_reason_is_one_sentence() {
    for situation in situations() {
        let reason = decided(&situation).reason;
        assert!(
            reason.ends_with('.') && reason.matches(". ").count() == 0,
            "{reason}"
        );
        assert!(reason.starts_with(char::is_uppercase), "{reason}");
    }
}

#[test]
fn a_shift_that_may_be_chance_or_small_or_ill_conditioned_or_unfinished_is_not_corrected() {
    let doubtful = [
        ShiftSize {
            significant: false,
            ..CLEAR
        },
        ShiftSize {
            points: 4.9,
            ..CLEAR
        },
        ShiftSize {
            condition: f64::INFINITY,
            ..CLEAR
        },
        ShiftSize {
            converged: false,
            ..CLEAR
        },
    ];
    for shift in doubtful {
        let situation = Situation {
            labels_fired: true,
            shift: Some(shift),
            ..Situation::default()
        };
        assert_eq!(
            decided(&situation).remedy,
            Remedy::AskForLabels,
            "{shift:?}"
        );
    }
}

#[test]
fn severity_grows_with_the_loss_from_its_limits_on() {
    let of = |points| severity(Some(loss(points)), &Settings::default());
    let levels = [-3.0, 0.99, 1.0, 2.99, 3.0, 6.99, 7.0, 60.0].map(of);
    use Severity::{High, Low, Medium, None};
    assert_eq!(levels, [None, None, Low, Low, Medium, Medium, High, High]);
    assert_eq!(severity(Option::None, &Settings::default()), None);
    assert_eq!(of(f64::NAN), None);
}

#[test]
fn a_loss_that_may_be_none_is_at_most_low() {
    let vague = Loss {
        points: 9.0,
        low: -1.0,
        high: 19.0,
    };
    assert_eq!(severity(Some(vague), &Settings::default()), Severity::Low);
}

#[test]
fn a_measured_loss_counts_before_an_estimated_one() {
    let situation = Situation {
        labels_fired: true,
        estimated: Some(loss(9.0)),
        measured: Some(loss(0.0)),
        ..Situation::default()
    };
    assert_eq!(decided(&situation).severity, Severity::None);
}

#[test]
fn settings_left_out_have_their_defaults_and_misspelt_ones_are_refused() {
    let settings: Settings = serde_json::from_str(r#"{"high": 10}"#).unwrap();
    assert_eq!(
        settings,
        Settings {
            high: 10.0,
            ..Settings::default()
        }
    );
    assert!(serde_json::from_str::<Settings>(r#"{"hihg": 10}"#).is_err());
}
