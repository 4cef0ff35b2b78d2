//! Models corrected by what labels and the watch say, in a real Postgres.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tidewatch::adjustment::{Adjustment, Recalibration};
use tidewatch::coin;
use tidewatch::drift::baseline::Baseline;
use tidewatch::model::manifest::BASELINE_FILE;
use tidewatch::monitor::of_bundle;
use tidewatch::record::Prediction;

use super::deriving::{made, refused, said};
use super::{Fixture, text};
use crate::harness::LABELS;

/// A text of words that the small bundle knows, one for each number.
fn sentence(number: usize) -> String {
    let words = ["good", "bad", "the", "film", "was", "day", "very", "not"];
    let chosen = (0..4).map(|place| words[number / 8_usize.pow(place) % 8]);
    format!("{} {number}", chosen.collect::<Vec<_>>().join(" "))
}

/// A number in [0, 1) for a thing.
fn toss(what: &str, number: usize) -> f64 {
    coin::toss(what, &[&number.to_be_bytes()])
}

pub(super) struct Labelled {
    pub(super) fixture: Fixture,
    pub(super) original: String,
}

impl Labelled {
    /// A model at this temperature is champion.
    async fn new(temperature: f64) -> Self {
        let fixture = Fixture::new().await;
        let original = fixture.imported(temperature).await;
        fixture.promote(&original).await.unwrap();
        Self { fixture, original }
    }

    pub(super) async fn model_id(&self, version: &str) -> i32 {
        let model = self.fixture.store.registered(version).await.unwrap();
        model.unwrap().id
    }

    /// Messages scored by the original, whose truths are drawn from what an adjustment makes of its probabilities, as the watch
    /// leaves them, said to be scored by another model where one is given.
    async fn label(
        &self,
        count: usize,
        truth: &Adjustment,
        model: Option<i32>,
        inclusion: Option<f64>,
    ) {
        let texts: Vec<String> = (0..count).map(sentence).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let answers = said(&self.fixture.depot().join(&self.original), &texts);
        let own = self.model_id(&self.original).await;
        for (number, (text, answer)) in texts.iter().zip(&answers).enumerate() {
            let p = truth.apply(&answer.probabilities);
            let draw = toss("truth", number) as f32;
            let label = LABELS[usize::from(draw > p[0]) + usize::from(draw > p[0] + p[1])];
            let said = match model {
                None => answer.clone(),
                Some(_) => Prediction {
                    label: 2,
                    probabilities: vec![0.2, 0.3, 0.5],
                },
            };
            let scored_by = model.unwrap_or(own);
            self.put(number, scored_by, &said, label, text, inclusion)
                .await;
        }
    }

    /// A labelled message as the watch leaves it.
    pub(super) async fn put(
        &self,
        number: usize,
        model: i32,
        said: &Prediction,
        label: &str,
        text: &str,
        inclusion: Option<f64>,
    ) {
        sqlx::query(
            "INSERT INTO labelled_messages (topic, \"partition\", \"offset\", first_label, event_time, labelled_at, model,
                                            annotators, confidence, predicted, probabilities, sampling, label, text, inclusion)
             VALUES ('posts', 0, $1, $1, now() - make_interval(mins => $1::integer), now(), $2, 1, $3, $4, $5, 'random', $6, $7, $8)",
        )
        .bind(i64::try_from(number).unwrap())
        .bind(model)
        .bind(said.probabilities[said.label])
        .bind(LABELS[said.label])
        .bind(&said.probabilities)
        .bind(label)
        .bind(text)
        .bind(inclusion)
        .execute(&self.fixture.pool)
        .await
        .unwrap();
    }

    /// A closed window with an estimate of the class shares, as the watch leaves it.
    pub(super) async fn window(&self, number: i64, model: i32, shift: &Value) {
        sqlx::query(
            "INSERT INTO drift_windows (number, started, ended, messages, distinct_messages, late, p, model, verdict, detail, counts)
             VALUES ($1, now() - interval '2 days', now() + make_interval(mins => $1::integer), 500, 480, 0, 1e-6, $2, 'drift', $3,
                     '')",
        )
        .bind(number)
        .bind(model)
        .bind(json!({"estimates": {"shift": shift}}))
        .execute(&self.fixture.pool)
        .await
        .unwrap();
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.fixture.model(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn at(from: f64, to: f64) -> Adjustment {
    Adjustment {
        recalibration: Some(Recalibration {
            from,
            to,
            bias: 0.0,
            standard_error: 0.0,
        }),
        prior_correction: None,
    }
}

#[tokio::test]
async fn a_model_that_is_too_sure_is_recalibrated_on_labels_and_these_get_likelier() {
    let stage = Labelled::new(0.3).await;
    refused(
        &stage.fixture.model(&["recalibrate"]),
        "0 labelled messages",
    );
    stage.label(500, &at(0.3, 1.5), None, Some(0.1)).await;
    let dry = stage.json(&["recalibrate", "--dry-run"]);
    assert_eq!(dry["version"], Value::Null);
    assert_eq!(stage.fixture.in_depot().len(), 1);

    let found = stage.json(&["recalibrate"]);
    let (report, checked) = (&found["report"], &found["report"]["checked"]);
    let number = |value: &Value| value.as_f64().unwrap();
    assert!(
        number(&checked["nll_after"]) < number(&checked["nll_before"]) - 0.1,
        "{report}"
    );
    assert!(number(&checked["interval"][1]) < 0.0, "{report}");
    assert!(
        number(&checked["ece_after"]) < number(&checked["ece_before"]),
        "{report}"
    );
    let held = &report["adjustment"]["recalibration"];
    assert_eq!(number(&held["from"]), 0.3);
    assert!((number(&held["to"]) / 1.5).ln().abs() < 0.3, "{report}");
    // No model was asked: what is kept of the predictions suffices.
    assert!(
        report["sentences"][0]
            .as_str()
            .unwrap()
            .contains("0 of them were scored anew"),
        "{report}"
    );

    let version = found["version"].as_str().unwrap();
    let derived = stage.fixture.registry.fetch(version).await.unwrap();
    assert_eq!(derived.manifest.parent.as_deref(), Some(&*stage.original));
    assert_eq!(derived.manifest.temperature, number(&held["to"]));
    let calibration = derived.manifest.data.last().unwrap();
    assert_eq!(
        (&*calibration.role, calibration.examples),
        ("calibration", 500)
    );
    assert!(calibration.span.is_some());

    // Its own probabilities tell the original's, so nothing is left to gain. Other class shares keep it.
    stage.fixture.promote(version).await.unwrap();
    refused(
        &stage.fixture.model(&["recalibrate"]),
        "nothing would be gained",
    );
    sqlx::query("DELETE FROM labelled_messages")
        .execute(&stage.fixture.pool)
        .await
        .unwrap();
    let corrected = made(&stage.fixture.model(&[
        "correct",
        "--source",
        "negative=0.2,neutral=0.5,positive=0.3",
        "--priors",
        "negative=0.4,neutral=0.4,positive=0.2",
    ]));
    let manifest = stage
        .fixture
        .registry
        .fetch(&corrected)
        .await
        .unwrap()
        .manifest;
    let adjustment = manifest.adjustment.unwrap();
    assert_eq!(manifest.parent.as_deref(), Some(&*stage.original));
    assert!(adjustment.recalibration.is_some() && adjustment.prior_correction.is_some());
}

#[tokio::test]
async fn texts_are_scored_where_another_model_has_answered_and_a_remedy_that_labels_speak_against_is_refused()
 {
    let stage = Labelled::new(0.3).await;
    let another = stage.fixture.imported(4.0).await;
    let another = stage.model_id(&another).await;
    stage.label(400, &at(0.3, 1.5), Some(another), None).await;
    let found = stage.json(&["recalibrate", "--dry-run"]);
    let sentence = found["report"]["sentences"][0].as_str().unwrap();
    assert!(
        sentence.contains("400 of them were scored anew"),
        "{sentence}"
    );
    let to = found["report"]["adjustment"]["recalibration"]["to"]
        .as_f64()
        .unwrap();
    assert!((to / 1.5).ln().abs() < 0.35, "{to}");
    // Labels of the shares that the model is calibrated on do not get likelier by others.
    let correct = stage.fixture.model(&[
        "correct",
        "--source",
        "negative=0.33,neutral=0.33,positive=0.34",
        "--priors",
        "negative=0.01,neutral=0.01,positive=0.98",
    ]);
    refused(&correct, "labels speak against it");
}

#[tokio::test]
async fn the_watchs_estimate_becomes_a_model_whose_feed_is_compared_with_the_same_baseline() {
    let stage = Labelled::new(1.25).await;
    let folder = stage.fixture.folder.path();
    let posts: Vec<String> = (0..600)
        .map(|number| json!({"text": sentence(number), "mood": LABELS[number % 3]}).to_string())
        .collect();
    fs::write(folder.join("normal.jsonl"), posts.join("\n")).unwrap();
    let bundle = stage.fixture.depot().join(&stage.original);
    let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args([
            "baseline",
            "--resamples=300",
            "--text-field=text",
            "--label-field=mood",
            "--device=cpu",
            "--model",
        ])
        .arg(&bundle)
        .arg("--output")
        .arg(folder.join("baseline.json"))
        .arg(folder.join("normal.jsonl"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bytes = fs::read(folder.join("baseline.json")).unwrap();
    let priors = Baseline::parse(&bytes).unwrap().labelled.unwrap().priors;
    let id = stage.model_id(&stage.original).await;
    stage.fixture.store.keep_baseline(id, &bytes).await.unwrap();
    refused(
        &stage.fixture.model(&["correct", "--from-watch"]),
        "the watch has no window",
    );

    // Windows as the watch leaves them: hardly moved, and then far.
    let shift = |shares: &[f64], half: f64| {
        let intervals: Vec<(f64, f64)> = shares
            .iter()
            .map(|share| (share - half, share + half))
            .collect();
        json!({"shares": shares, "intervals": intervals, "iterations": 9, "condition": 4.0, "converged": true})
    };
    stage.window(1, id, &shift(&priors, 0.02)).await;
    refused(
        &stage.fixture.model(&["correct", "--from-watch"]),
        "points beyond chance",
    );
    let moved = [priors[0] + 0.2, priors[1] - 0.1, priors[2] - 0.1];
    stage.window(2, id, &shift(&moved, 0.03)).await;
    let found = stage.json(&["correct", "--from-watch"]);
    assert_eq!(found["report"]["watched"]["windows"], json!([2]));
    let version = found["version"].as_str().unwrap();
    let derived = stage.fixture.registry.fetch(version).await.unwrap();
    let adjustment = derived.manifest.adjustment.clone().unwrap();
    let correction = adjustment.prior_correction.clone().unwrap();
    for (target, expected) in correction.target.iter().zip(moved) {
        assert!((target - expected).abs() < 1e-9);
    }
    assert_eq!(fs::read(derived.file(BASELINE_FILE)).unwrap(), bytes);
    let baseline = of_bundle(&derived, std::path::Path::new(""))
        .unwrap()
        .unwrap();
    assert!(baseline.undone.as_ref().unwrap().is_like(&adjustment));
    assert!(correction.points_from(baseline.normal_shares().unwrap()) < 1e-9);
    // Once it serves, the same estimate is no news.
    stage.fixture.promote(version).await.unwrap();
    let id = stage.model_id(version).await;
    sqlx::query("UPDATE drift_windows SET model = $1 WHERE number = 2")
        .bind(id)
        .execute(&stage.fixture.pool)
        .await
        .unwrap();
    refused(
        &stage.fixture.model(&["correct", "--from-watch"]),
        "points beyond chance",
    );
}
