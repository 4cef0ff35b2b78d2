//! A derived model serves: every row names it, and it can be taken back.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use sqlx::Row;
use tidewatch::drift::baseline::{Baseline, FORMAT_ADJUSTED};
use tidewatch::model::manifest::Bundle;

use crate::harness::{
    Entry, Kafka, LABELS, Ledger, Service, ServiceConfig, SmallBundle, TestDatabase, eventually,
};
use crate::recovery::wait_committed;

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);

/// The same texts each time.
fn posts() -> impl Iterator<Item = Option<Vec<u8>>> {
    (0..60).map(|number| {
        let words = ["good", "bad", "film", "day"][number % 4];
        Some(
            json!({"text": format!("the {words} was not very {number}")})
                .to_string()
                .into_bytes(),
        )
    })
}

fn tidewatch(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn wait_serving(service: &Service, version: &str) {
    eventually("the model to serve", LONG, || {
        let (_, metrics) = service.get("/metrics")?;
        let mut lines = metrics.lines();
        let line = lines.find(|line| line.starts_with("tidewatch_model_info{"))?;
        line.contains(version).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_name_the_derived_model_that_scored_them_and_a_roll_back_returns_to_its_original() {
    let (kafka, database) = (Kafka::new(2).await, TestDatabase::new().await);
    let small = SmallBundle::new();
    let normal = small.around().join("normal.jsonl");
    let lines: Vec<String> = (0..400)
        .map(|number| {
            let words = ["good", "bad", "film", "day", "not", "very", "the", "was"];
            let chosen = (0..4).map(|place| words[number / 8_usize.pow(place) % 8]);
            let text = chosen.collect::<Vec<_>>().join(" ");
            let mood = LABELS[number % 3];
            json!({"text": text, "mood": mood}).to_string()
        })
        .collect();
    std::fs::write(&normal, lines.join("\n")).unwrap();
    let first = small.around().join("first");
    tidewatch(&[
        "baseline",
        "--resamples=200",
        "--device=cpu",
        "--text-field=text",
        "--label-field=mood",
        "--model",
        small.path().to_str().unwrap(),
        "--bundle",
        first.to_str().unwrap(),
        normal.to_str().unwrap(),
    ]);
    let depot = small.around().join("depot");
    let more = format!("[registry]\nurl = \"{}\"\n", depot.display());
    let config = ServiceConfig::with_model(&kafka, &database, &first, "", &more);
    config.migrate();
    let mut service = config.start("one");
    service.wait_ready();
    let original = Bundle::open(&first).unwrap().version;
    wait_serving(&service, &original);
    let mut sent = kafka.send(posts());
    wait_committed(&kafka, i64::try_from(sent).unwrap());

    let path = config.path();
    let path = path.to_str().unwrap();
    let model =
        |arguments: &[&str]| tidewatch(&[&["model"], arguments, &["--config", path]].concat());
    let derived = model(&[
        "correct",
        "--priors",
        "negative=0.6,neutral=0.2,positive=0.2",
    ]);
    let ensemble = model(&[
        "ensemble",
        &format!("{original}=1"),
        &format!("{derived}=1"),
    ]);
    let mut serving = vec![original.clone()];
    for next in [&derived, &ensemble] {
        model(&["promote", next]);
        wait_serving(&service, next);
        sent += kafka.send(posts());
        wait_committed(&kafka, i64::try_from(sent).unwrap());
        serving.push(next.clone());
    }
    model(&["promote", &derived]);
    model(&["promote", &original]);
    model(&["rollback"]);
    wait_serving(&service, &derived);
    model(&["rollback"]);
    wait_serving(&service, &original);
    sent += kafka.send(posts());
    wait_committed(&kafka, i64::try_from(sent).unwrap());

    // Both sides agree on the model of each message, and each had its share.
    let ledger = Ledger::read(&kafka, &database).await;
    ledger.assert_balanced(sent);
    let models: BTreeSet<&String> = ledger
        .postgres
        .values()
        .filter_map(|entry| match entry {
            Entry::Scored { model, .. } => Some(model),
            Entry::Dead { .. } => None,
        })
        .collect();
    assert_eq!(models, serving.iter().collect());

    // The same text by the original and by the derived model: what the adjustment makes of it.
    let adjustment = Bundle::open(depot.join(&derived))
        .unwrap()
        .manifest
        .adjustment
        .unwrap();
    let pool = database.pool().await;
    let rows = sqlx::query(
        "SELECT p.text, p.probabilities, m.version FROM predictions p JOIN models m ON m.id = p.model",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut said: BTreeMap<(String, String), Vec<f32>> = BTreeMap::new();
    for row in rows {
        said.insert((row.get(2), row.get(0)), row.get(1));
    }
    let corrected: Vec<_> = said
        .iter()
        .filter(|((version, _), _)| *version == derived)
        .collect();
    assert_eq!(corrected.len(), 60);
    for ((_, text), probabilities) in corrected {
        let before = &said[&(original.clone(), text.clone())];
        for (p, expected) in probabilities.iter().zip(adjustment.apply(before)) {
            assert!((p - expected).abs() < 1e-4, "{text}");
        }
    }

    // Whoever watches the feed knows what to undo; the ensemble has no baseline.
    let kept: Vec<(String, Vec<u8>)> = sqlx::query(
        "SELECT m.version, b.baseline FROM drift_baselines b JOIN models m ON m.id = b.model",
    )
    .fetch_all(&pool)
    .await
    .unwrap()
    .into_iter()
    .map(|row| (row.get(0), row.get(1)))
    .collect();
    let baseline = |version: &str| {
        let held = kept.iter().find(|(of, _)| of == version)?;
        Some(Baseline::parse(&held.1).unwrap())
    };
    assert_eq!(baseline(&original).unwrap().undone, None);
    let of_derived = baseline(&derived).unwrap();
    assert_eq!(of_derived.format, FORMAT_ADJUSTED);
    assert!(of_derived.undone.unwrap().is_like(&adjustment));
    assert!(baseline(&ensemble).is_none());
    assert!(service.terminate().success());
}
