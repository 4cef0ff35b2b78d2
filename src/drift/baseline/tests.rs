//! Tests of [`Baseline`](super::Baseline).

use super::super::synthetic::{Feed, SHAPE, UNKNOWN};
use super::*;

fn settings() -> NullSettings {
    NullSettings {
        sizes: vec![100, 200],
        resamples: 200,
        ..NullSettings::default()
    }
}

fn build(readings: Vec<(Reading, Option<usize>)>) -> Result<Baseline, BaselineError> {
    let identity = Identity {
        model_sha256: "aa".into(),
        tokenizer_sha256: "bb".into(),
        code_version: "0.1.0".into(),
        adjustment: None,
    };
    let labels = ["negative", "neutral", "positive"].map(String::from);
    build_as(readings, labels.to_vec(), identity)
}

fn build_as(
    readings: Vec<(Reading, Option<usize>)>,
    labels: Vec<String>,
    identity: Identity,
) -> Result<Baseline, BaselineError> {
    Baseline::build(
        readings,
        labels,
        Some(UNKNOWN),
        SHAPE,
        identity,
        &settings(),
    )
}

/// Every reading's truth is its predicted label, but for each tenth.
fn labelled(count: usize) -> Vec<(Reading, Option<usize>)> {
    let readings = Feed::default().readings(count, 1).into_iter().enumerate();
    readings
        .map(|(index, reading)| {
            let truth = (reading.label + usize::from(index % 10 == 0)) % 3;
            (reading, Some(truth))
        })
        .collect()
}

#[test]
fn what_is_written_is_read_again() {
    let baseline = build(labelled(300)).unwrap();
    let read = Baseline::parse(&baseline.to_json().unwrap()).unwrap();
    assert_eq!(
        (&read.counts, &read.null),
        (&baseline.counts, &baseline.null)
    );
    assert_eq!(
        (&read.identity, read.copies),
        (&baseline.identity, baseline.copies)
    );
    assert_eq!(read.span, Some((0, 299_000)));
    let labelled = read.labelled.unwrap();
    let right: u64 = (0..3).map(|label| labelled.confusion[label][label]).sum();
    assert_eq!(right, 270);
}

#[test]
fn neither_the_order_of_the_readings_nor_copies_change_it() {
    let readings = labelled(300);
    let mut again = [readings.clone(), readings[..100].to_vec()].concat();
    again.reverse();
    let (one, other) = (build(readings).unwrap(), build(again).unwrap());
    assert_eq!((one.counts, one.null), (other.counts, other.null));
    assert_eq!(one.labelled, other.labelled);
    assert_eq!((other.messages, other.copies.near), (400, 300));
}

#[test]
fn of_copies_with_different_truths_the_same_one_counts_in_any_order() {
    let mut readings = labelled(200);
    let contradicting = (readings[7].0.clone(), None);
    readings.push(contradicting);
    let mut turned = readings.clone();
    turned.reverse();
    let (one, other) = (build(readings).unwrap(), build(turned).unwrap());
    assert_eq!(one.labelled, other.labelled);
}

#[test]
fn too_few_distinct_readings_are_refused_with_the_number_needed() {
    let mut readings = labelled(199);
    readings.extend(labelled(199));
    let error = build(readings).unwrap_err().to_string();
    assert!(error.contains("199") && error.contains("200"), "{error}");
}

#[test]
fn what_cannot_be_used_is_refused_for_what_it_is() {
    let written = build(labelled(200)).unwrap().to_json().unwrap();
    let change = |at: &str, value: serde_json::Value| {
        let mut json: serde_json::Value = serde_json::from_slice(&written).unwrap();
        *json.pointer_mut(at).unwrap() = value;
        Baseline::parse(&serde_json::to_vec(&json).unwrap()).unwrap_err()
    };
    let not_json = Baseline::parse(b"no").unwrap_err();
    assert!(matches!(not_json, BaselineError::Malformed(_)));
    let later = change("/format", 3.into());
    assert!(matches!(later, BaselineError::Format { found: 3 }));
    for (at, value) in [
        ("/counts/tokens", serde_json::json!([1, 2])),
        ("/counts/lengths", serde_json::json!([])),
        ("/counts/scores/1", serde_json::json!([3])),
        ("/labels", serde_json::json!(["one"])),
        ("/null/sizes", serde_json::json!([])),
        (
            "/null/sizes/0/statistics/classes/upper",
            serde_json::json!([1.0]),
        ),
    ] {
        let error = change(at, value);
        assert!(
            matches!(error, BaselineError::Inconsistent(_)),
            "{at}: {error}"
        );
    }
}

#[test]
fn another_model_or_tokenizer_is_named_beside_its_own() {
    let baseline = build(labelled(200)).unwrap();
    assert!(baseline.fits("aa", "bb").is_ok());
    let model = baseline.fits("cc", "bb").unwrap_err().to_string();
    assert!(model.contains("aa") && model.contains("cc"), "{model}");
    let tokenizer = baseline.fits("aa", "dd").unwrap_err().to_string();
    assert!(
        tokenizer.contains("bb") && tokenizer.contains("dd"),
        "{tokenizer}"
    );
}
