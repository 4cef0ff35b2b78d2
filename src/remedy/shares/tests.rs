use chrono::DateTime;
use serde_json::json;

use super::*;

const LABELS: [&str; 3] = ["negative", "neutral", "positive"];

fn window(number: i64, messages: i64, shares: [f64; 3], half: f64) -> (PastWindow, LabelShift) {
    let window = PastWindow {
        model: "model".into(),
        number,
        started: DateTime::from_timestamp(1_000 * number, 0).unwrap(),
        ended: DateTime::from_timestamp(1_000 * number + 999, 0).unwrap(),
        messages,
        verdict: "drift".into(),
        p: Some(1e-6),
        detail: json!({}),
        labelled: 0,
        correct: 0,
        accuracy_low: None,
        accuracy_high: None,
        agreement: None,
    };
    let shift = LabelShift {
        shares: shares.to_vec(),
        intervals: shares.map(|share| (share - half, share + half)).to_vec(),
        iterations: 9,
        condition: 3.0 + number as f64,
        converged: true,
    };
    (window, shift)
}

#[test]
fn windows_are_taken_together_by_their_messages_and_their_doubts_as_independent_ones() {
    let latest_first = [
        window(8, 300, [0.5, 0.3, 0.2], 0.04),
        window(7, 100, [0.3, 0.3, 0.4], 0.08),
    ];
    let found = together(&latest_first).unwrap();
    assert_eq!((&*found.windows, found.messages), (&[7, 8][..], 400));
    assert_eq!(found.since, latest_first[1].0.started);
    for (share, expected) in found.shares.iter().zip([0.45, 0.3, 0.25]) {
        assert!((share - expected).abs() < 1e-12);
    }
    // (3/4 of 0.04)^2 + (1/4 of 0.08)^2 = 0.0013.
    let half = found.intervals[0].1 - found.shares[0];
    assert!((half - 0.0013_f64.sqrt()).abs() < 1e-12, "{half}");
    assert_eq!(found.condition, Some(11.0));
    assert_eq!(together(&[]), None);
}

#[test]
fn what_is_not_sure_or_holds_already_is_not_believed_and_the_rest_is() {
    let labels = LABELS.map(String::from);
    let before = [0.2, 0.5, 0.3];
    let sure = together(&[window(1, 500, [0.5, 0.3, 0.2], 0.05)]).unwrap();
    assert!(believed(&sure, &before, &labels).is_ok());
    let refusals = [
        (
            together(&[window(1, 500, [0.22, 0.49, 0.29], 0.001)]),
            "points beyond chance",
        ),
        (
            together(&[window(1, 500, [0.5, 0.3, 0.2], 0.35)]),
            "points beyond chance",
        ),
        (
            Some(WatchedShares {
                condition: None,
                ..sure.clone()
            }),
            "too badly",
        ),
        (
            Some(WatchedShares {
                converged: false,
                ..sure
            }),
            "come to rest",
        ),
    ];
    for (watched, words) in refusals {
        let said = believed(&watched.unwrap(), &before, &labels).unwrap_err();
        assert!(said.is_refusal());
        assert!(said.to_string().contains(words), "{said}");
    }
}
