//! Models made of others without training: corrected class shares, and ensembles.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tidewatch::model::config::{Device, ModelConfig};
use tidewatch::model::ensemble::{Ensemble, Pool};
use tidewatch::model::manifest::{Bundle, BundleError, FORMAT_DERIVED};
use tidewatch::model::scorer::Scorer;
use tidewatch::record::{Prediction, Problem};
use tidewatch::registry::RegistryError;

use super::{Fixture, names, text};
use crate::harness::SmallBundle;

const SOURCE: &str = "negative=0.2,neutral=0.5,positive=0.3";
const TARGET: &str = "positive=0.2,negative=0.5,Neutral=0.3";

const TEXTS: [&str; 5] = [
    "the film was good",
    "a very bad day",
    "not good, not bad",
    "what?",
    "the day the film was not very good the day the film was not very good",
];

/// What the model in a folder says of the texts.
pub(super) fn said(folder: &Path, texts: &[&str]) -> Vec<Prediction> {
    let config = ModelConfig {
        path: folder.to_owned(),
        device: Device::Cpu,
        device_number: 0,
        threads: 1,
    };
    let mut scorer = Scorer::open(folder, &config).unwrap();
    let answers = scorer.score(texts, 4096).unwrap();
    answers
        .into_iter()
        .map(|(_, answer)| answer.unwrap())
        .collect()
}

/// The version that a command has printed.
pub(super) fn made(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

pub(super) fn refused(output: &Output, words: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(words), "{words}: {said}");
}

#[tokio::test]
async fn a_corrected_model_is_one_of_its_own_with_the_files_of_the_one_that_it_corrects() {
    let fixture = Fixture::new().await;
    let original = fixture.imported(1.25).await;
    fixture.promote(&original).await.unwrap();

    let correct = |more: &[&str]| fixture.model(&[&["correct"], more].concat());
    refused(&correct(&["--priors", TARGET]), "has no labels");
    let with_source = |more: &[&str]| correct(&[&["--source", SOURCE, "--priors"], more].concat());
    let misnamed = with_source(&["negative=0.5,positive=0.5,happy=0"]);
    assert_eq!(misnamed.status.code(), Some(2));
    assert!(text(&misnamed.stderr).contains("happy is none of the model's labels"));
    refused(&with_source(&[SOURCE]), "nothing would be gained");
    refused(&correct(&["--from-watch"]), "has no labels");

    let dry = with_source(&[TARGET, "--dry-run", "--json"]);
    let report: Value = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!(report["version"], Value::Null);
    assert_eq!(fixture.in_depot(), [&*original]);

    let output = with_source(&[TARGET]);
    let derived = made(&output);
    let spoken = text(&output.stderr);
    assert!(spoken.contains("tidewatch model promote"), "{spoken}");
    assert!(spoken.contains("not checked on labels"), "{spoken}");

    // Every file of the original, and what was found.
    let (was, is) = (
        fixture.registry.fetch(&original).await.unwrap(),
        fixture.registry.fetch(&derived).await.unwrap(),
    );
    assert_eq!(is.manifest.format, FORMAT_DERIVED);
    assert_eq!(is.manifest.parent.as_deref(), Some(&*original));
    let mut files = was.manifest.files.clone();
    files.insert(
        "remedy.json".into(),
        is.manifest.sha256("remedy.json").into(),
    );
    assert_eq!(is.manifest.files, files);
    let kept: Value = serde_json::from_slice(&fs::read(is.file("remedy.json")).unwrap()).unwrap();
    assert_eq!(kept["kind"], "prior_correction");

    // It says what the original says, weighed by 0.5/0.2, 0.3/0.5 and 0.2/0.3.
    let adjustment = is.manifest.adjustment.clone().unwrap();
    for (one, other) in said(&was.dir, &TEXTS).iter().zip(said(&is.dir, &TEXTS)) {
        let weighed: Vec<f32> = one
            .probabilities
            .iter()
            .zip([2.5, 0.6, 2.0 / 3.0])
            .map(|(p, ratio)| p * ratio)
            .collect();
        let total: f32 = weighed.iter().sum();
        for (p, expected) in other.probabilities.iter().zip(&weighed) {
            assert!((p - expected / total).abs() < 1e-5, "{other:?}");
        }
        for (back, p) in adjustment
            .undo(&other.probabilities)
            .iter()
            .zip(&one.probabilities)
        {
            assert!((back - p).abs() < 1e-5);
        }
        let top = other.probabilities[other.label];
        assert!(other.probabilities.iter().all(|&p| p <= top));
    }

    let listed = text(&fixture.model(&["list"]).stdout);
    let from = format!("derived from {}, without training", &original[..12]);
    assert!(listed.contains(&from), "{listed}");
    assert!(
        listed.contains("negative 50.0 %, before 20.0 %"),
        "{listed}"
    );
    let history = text(&fixture.model(&["history", &derived]).stdout);
    assert!(
        history.contains(&format!("comes from {}", &original[..12])),
        "{history}"
    );
    let shown = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args(["model", "show"])
        .arg(&is.dir)
        .output()
        .unwrap();
    let shown = text(&shown.stdout);
    assert!(shown.contains(&from), "{shown}");
}

#[tokio::test]
async fn a_correction_of_a_corrected_model_begins_with_the_original_and_everything_can_be_taken_back()
 {
    let fixture = Fixture::new().await;
    let original = fixture.imported(1.25).await;
    fixture.promote(&original).await.unwrap();
    let correct =
        |priors: &str| fixture.model(&["correct", "--source", SOURCE, "--priors", priors]);
    let first = made(&correct(TARGET));
    fixture.promote(&first).await.unwrap();
    // What is reckoned with already is no correction.
    refused(&correct(TARGET), "nothing would be gained");
    let second = made(&correct("negative=0.7,neutral=0.2,positive=0.1"));
    let manifest = fixture.registry.fetch(&second).await.unwrap().manifest;
    assert_eq!(manifest.parent.as_deref(), Some(&*original));
    let priors = manifest.adjustment.unwrap().prior_correction.unwrap();
    for (source, expected) in priors.source.iter().zip([0.2, 0.5, 0.3]) {
        assert!((source - expected).abs() < 1e-9);
    }
    // Back to the shares that the original was calibrated on: a model that says what the original says.
    let back = made(&correct(SOURCE));
    let folder = |version: &str| fixture.depot().join(version);
    for (one, other) in said(&folder(&original), &TEXTS)
        .iter()
        .zip(said(&folder(&back), &TEXTS))
    {
        assert_eq!(one.label, other.label);
        for (a, b) in one.probabilities.iter().zip(&other.probabilities) {
            assert!((a - b).abs() < 1e-6);
        }
    }
    assert!(fixture.model(&["rollback"]).status.success());
    assert_eq!(fixture.registry.champion().await.unwrap(), Some(original));

    // A damaged file is found whoever asks for the bundle.
    fs::write(folder(&first).join("model.onnx"), "damaged").unwrap();
    let error = fixture.promote(&first).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Bundle(BundleError::Changed { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn an_ensemble_says_the_pool_of_what_its_members_say() {
    let fixture = Fixture::new().await;
    let one = fixture.imported(0.6).await;
    fixture.promote(&one).await.unwrap();
    let other = made(&fixture.model(&["correct", "--source", SOURCE, "--priors", TARGET]));
    let folder = |version: &str| fixture.depot().join(version);
    let members = [format!("{}=3", &one[..10]), format!("{other}=1")];
    for (name, pool) in [("linear", Pool::Linear), ("logarithmic", Pool::Logarithmic)] {
        let output = fixture.model(&["ensemble", &members[0], &members[1], "--method", name]);
        let ensemble = made(&output);
        let (a, b, both) = (
            said(&folder(&one), &TEXTS),
            said(&folder(&other), &TEXTS),
            said(&folder(&ensemble), &TEXTS),
        );
        let expected = Ensemble::new(pool, Problem::SingleLabel, &[3.0, 1.0]).unwrap();
        for ((a, b), both) in a.iter().zip(&b).zip(&both) {
            let pooled = expected
                .combine(&[&a.probabilities, &b.probabilities])
                .unwrap();
            for (p, expected) in both.probabilities.iter().zip(&pooled) {
                assert!(
                    (p - expected).abs() < 1e-5,
                    "{both:?} instead of {pooled:?}"
                );
            }
        }
        assert_eq!(
            names(&folder(&ensemble)),
            [
                "manifest.json",
                "member-1.json",
                "member-1.onnx",
                "member-2.json",
                "member-2.onnx",
                "tokenizer.json"
            ]
        );
        let listed = text(&fixture.model(&["list"]).stdout);
        assert!(
            listed.contains(&format!("{name} pool of {} (3)", &one[..12])),
            "{listed}"
        );

        // A member that is another one is found at the import, and at every later look.
        let copy = fixture.folder.path().join(format!("copy-{name}"));
        fs::create_dir(&copy).unwrap();
        for file in names(&folder(&ensemble)) {
            fs::copy(folder(&ensemble).join(&file), copy.join(&file)).unwrap();
        }
        fs::copy(copy.join("member-1.json"), copy.join("member-2.json")).unwrap();
        let error = Bundle::open(&copy).unwrap().verify().unwrap_err();
        assert!(matches!(error, BundleError::Changed { .. }), "{error}");
        assert!(fixture.import(&copy).await.unwrap_err().is_refusal());
        assert!(fixture.promote(&ensemble).await.unwrap());
    }
}

#[tokio::test]
async fn models_that_cannot_be_one_are_refused_with_the_reason() {
    let fixture = Fixture::new().await;
    let one = fixture.imported(1.0).await;
    let other = fixture.imported(2.0).await;
    let shorter = SmallBundle::written(Default::default(), |manifest| manifest.max_tokens = 40);
    let shorter = fixture.import(&shorter.path()).await.unwrap().version;
    let ensemble = |members: &[String]| {
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        fixture.model(&[&["ensemble"], &*members].concat())
    };
    let of = |version: &str, weight: f64| format!("{version}={weight}");
    refused(
        &ensemble(&[of(&one, 1.0), of(&shorter, 1.0)]),
        "another limit of tokens",
    );
    refused(&ensemble(&[of(&one, 1.0), of(&one, 2.0)]), "more than once");
    refused(&ensemble(&[of(&one, 1.0), of(&other, -1.0)]), "weight");
    let both = made(&ensemble(&[of(&one, 1.0), of(&other, 1.0)]));
    refused(
        &ensemble(&[of(&one, 1.0), of(&both, 1.0)]),
        "an ensemble itself",
    );
    let correct = fixture.model(&["correct", &both, "--source", SOURCE, "--priors", TARGET]);
    refused(&correct, "members one by one");
    refused(
        &fixture.model(&["recalibrate", &both]),
        "members one by one",
    );
}
