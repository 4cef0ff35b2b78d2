//! Light remedies on real tweets: the default model, which knows tweets of all kinds, on those to airlines.

use std::process::Command;

use serde_json::{Value, json};
use tidewatch::compare::Compared;
use tidewatch::compare::config::HeldOutConfig;
use tidewatch::drift::baseline::Baseline;
use tidewatch::drift::shift;
use tidewatch::model::manifest::{BASELINE_FILE, Bundle};
use tidewatch::posts;
use tidewatch::train::escape::Escape;

use super::Fixture;
use super::deriving::{made, said};
use super::recalibrating::Labelled;
use crate::harness::{data_folder, default_model};

/// Tweets that the watch sees, and others that people label.
const WATCHED: usize = 1_000;
const LABELLED: usize = 1_000;
/// Of the first, those on which the gate compares.
const COMPARED: usize = 300;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// The class shares that the watch would estimate of the first tweets correct the model, labels of the others check it, and
/// then they recalibrate it. What comes of it is printed.
#[tokio::test]
async fn on_tweets_to_airlines_both_remedies_make_labels_likelier() {
    let Some(folder) = data_folder("light remedies on airline tweets") else {
        return;
    };
    let config = HeldOutConfig {
        files: vec![folder.join("airline-tweets/tweets.csv")],
        label_field: "airline_sentiment".into(),
        ..HeldOutConfig::default()
    };
    let loaded = posts::load(&config.files, &config.options().unwrap(), &[Escape::Html]).unwrap();
    // Spread over all airlines and days.
    let step = loaded.posts.len() / (WATCHED + LABELLED);
    let posts: Vec<_> = loaded
        .posts
        .iter()
        .step_by(step)
        .take(WATCHED + LABELLED)
        .collect();
    let texts: Vec<&str> = posts.iter().map(|post| &*post.text).collect();
    let answers = said(&default_model(), &texts);

    let fixture = Fixture::new().await;
    let original = fixture.import(&default_model()).await.unwrap().version;
    fixture.promote(&original).await.unwrap();
    let stage = Labelled { fixture, original };
    let id = stage.model_id(&stage.original).await;
    let baseline = std::fs::read(default_model().join(BASELINE_FILE)).unwrap();
    let priors = Baseline::parse(&baseline).unwrap().labelled.unwrap().priors;
    // Odd ones are watched, even ones labelled.
    let watched = answers
        .iter()
        .step_by(2)
        .map(|answer| &*answer.probabilities);
    let estimate = shift::estimate(watched, &priors).unwrap();
    stage.window(1, id, &json!(estimate)).await;
    for index in (1..posts.len()).step_by(2) {
        let label = posts[index].label.as_deref().unwrap();
        stage
            .put(index, id, &answers[index], label, texts[index], None)
            .await;
    }

    let corrected = stage.json(&["correct", "--from-watch"]);
    let checked = &corrected["report"]["checked"];
    eprintln!("{:#}", corrected["report"]["sentences"]);
    assert_eq!(checked["messages"], LABELLED as u64);
    assert!(number(&checked["interval"][1]) < 0.0, "{checked}");
    assert!(
        number(&checked["accuracy_after"]) > number(&checked["accuracy_before"]) + 0.05,
        "{checked}"
    );
    let version = corrected["version"].as_str().unwrap();
    stage.fixture.promote(version).await.unwrap();
    let recalibrated = stage.json(&["recalibrate"]);
    let checked = &recalibrated["report"]["checked"];
    eprintln!("{:#}", recalibrated["report"]["sentences"]);
    assert!(
        number(&checked["nll_after"]) < number(&checked["nll_before"]),
        "{checked}"
    );
    let labels = stage.fixture.folder.path().join("held-out.jsonl");
    let lines: Vec<String> = (0..posts.len())
        .step_by(2)
        .take(COMPARED)
        .map(|index| json!({"text": texts[index], "label": posts[index].label}).to_string())
        .collect();
    std::fs::write(&labels, lines.join("\n")).unwrap();
    let members = [format!("{}=1", stage.original), format!("{version}=1")];
    let ensemble = made(&stage.fixture.model(&["ensemble", &members[0], &members[1]]));
    // The gate judges them like any candidate, and knows how the export of each was proven.
    for candidate in [version, &ensemble] {
        let depot = stage.fixture.depot();
        let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .args(["model", "compare", "--device=cpu", "--runs=0", "--json"])
            .args([depot.join(&stage.original), depot.join(candidate)])
            .arg("--labels")
            .arg(&labels)
            .output()
            .unwrap();
        let found: Compared = serde_json::from_slice(&output.stdout).unwrap();
        let comparison = found.comparison;
        assert!(comparison.parity.is_some_and(|largest| largest < 1e-4));
        let accuracy = &comparison.fixed.rows[0];
        assert!(accuracy.difference > 0.0, "{accuracy:?}");
        eprintln!("{candidate:.12}: {accuracy:?}");
    }
    let both = stage
        .fixture
        .registry
        .fetch(recalibrated["version"].as_str().unwrap())
        .await
        .unwrap();
    let Bundle { manifest, .. } = both;
    assert_eq!(manifest.parent.as_deref(), Some(&*stage.original));
    assert!(manifest.adjustment.unwrap().prior_correction.is_some());
}
