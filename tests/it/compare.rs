//! `tidewatch model compare` on the default model and worse copies of it.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tidewatch::compare::Compared;
use tidewatch::gate::check::{Outcome, Rule};
use tidewatch::gate::comparison::{Comparison, Verdict};
use tidewatch::model::manifest::{MANIFEST_FILE, Manifest};

use crate::harness::{data_folder, default_model};

/// Labelled texts of a set.
const TEXTS: usize = 450;

/// What they are about.
const THINGS: [&str; 10] = [
    "coffee", "train", "phone", "camera", "hotel", "game", "book", "lamp", "garden", "boat",
];
const DAYS: [&str; 5] = ["monday", "tuesday", "wednesday", "thursday", "friday"];

/// The default model with another manifest.
fn copy(folder: &Path, name: &str, change: impl FnOnce(&mut Manifest)) -> PathBuf {
    let (from, to) = (default_model(), folder.join(name));
    std::fs::create_dir(&to).unwrap();
    let bytes = std::fs::read(from.join(MANIFEST_FILE)).unwrap();
    let mut manifest = Manifest::parse(&bytes).unwrap();
    for file in manifest.files.keys() {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    manifest.name = name.to_owned();
    change(&mut manifest);
    let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
    std::fs::write(to.join(MANIFEST_FILE), bytes).unwrap();
    to
}

/// A text that says only at its end how it is meant, and its label.
fn text(number: usize) -> Value {
    let (thing, day) = (THINGS[number % 10], DAYS[number / 10 % 5]);
    let (label, end) = [
        ("negative", "is terrible and i hate it"),
        ("neutral", "opens at eight"),
        ("positive", "is wonderful and i love it"),
    ][number % 3];
    json!({"text": format!("the {thing} that we saw on {day} {end}"), "mood": label, "source": "made up"})
}

fn write(folder: &Path, name: &str, lines: impl IntoIterator<Item = Value>) -> PathBuf {
    let lines: Vec<String> = lines.into_iter().map(|line| line.to_string()).collect();
    let path = folder.join(name);
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn held_out(folder: &Path) -> PathBuf {
    write(folder, "held-out.jsonl", (0..TEXTS).map(text))
}

fn compare(candidate: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args(["model", "compare", "--device=cpu"])
        .args([default_model(), candidate.to_owned()])
        .args(more)
        .env_remove("TIDEWATCH_CONFIG")
        .output()
        .unwrap()
}

/// Texts of [`held_out`], as the flags say it.
fn on(labels: &Path) -> [String; 2] {
    let labels = format!("--labels={}", labels.display());
    [labels, "--label-field=mood".to_owned()]
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn of(found: &Comparison, outcome: Outcome) -> Vec<Rule> {
    let checks = found.checks.iter();
    let those = checks.filter(|check| check.outcome == outcome);
    those.map(|check| check.rule).collect()
}

#[test]
fn a_model_beside_itself_stays_open_until_recent_messages_are_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let [labels, field] = on(&held_out(folder.path()));
    let itself = default_model();
    let output = compare(&itself, &[&labels, &field, "--runs=0", "--json"]);
    assert_eq!(output.status.code(), Some(4), "{}", string(&output.stderr));
    let found: Compared = serde_json::from_slice(&output.stdout).unwrap();
    let comparison = &found.comparison;
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
    assert_eq!(
        of(comparison, Outcome::Open),
        [Rule::RecentGain, Rule::Speed]
    );
    assert_eq!(comparison.fixed.examples, TEXTS as u64);
    assert!(
        comparison.fixed.rows[0].champion > 0.9,
        "{:?}",
        comparison.fixed.rows
    );
    assert!(
        comparison
            .fixed
            .rows
            .iter()
            .all(|row| row.difference == 0.0)
    );
    assert!(comparison.parity.is_some_and(|largest| largest < 1e-5));
    assert_eq!(found.champion, found.candidate);

    // How fast a machine is is no matter of a test, so any ratio will do.
    let config = folder.path().join("rules.toml");
    let rules = format!(
        "[gate]\nfew_recent = 'ignore'\nspeed_ratio = 0.0\n[held_out]\nfiles = [{:?}]\nlabel_field = 'mood'",
        folder.path().join("held-out.jsonl")
    );
    std::fs::write(&config, rules).unwrap();
    let config = format!("--config={}", config.display());
    let output = compare(&itself, &[&config, "--runs=4", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", string(&output.stderr));
    let comparison: Comparison = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(comparison.verdict, Verdict::Pass);
    let speed = &comparison.speeds[0];
    assert_eq!((speed.runs, &*speed.precision), ((4, 4), "int8 weights"));
    assert!(speed.interval.is_some() && speed.champion > 0.0);
}

#[test]
fn a_copy_that_reads_the_first_words_only_fails_on_accuracy_and_the_table_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let [labels, field] = on(&held_out(folder.path()));
    let hasty = copy(folder.path(), "hasty", |manifest| manifest.max_tokens = 6);
    let output = compare(&hasty, &[&labels, &field, "--runs=0"]);
    assert_eq!(output.status.code(), Some(3), "{}", string(&output.stderr));
    let said = string(&output.stdout);
    assert!(
        said.lines()
            .any(|line| line.starts_with("broken   accuracy"))
    );
    assert!(said.contains("candidate  hasty ("), "{said}");
    assert!(said.contains("recall of negative"), "{said}");
    assert!(said.contains("accuracy, source made up"), "{said}");
    assert!(said.ends_with("verdict  fail\n"), "{said}");
    assert!(!said.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn a_copy_that_is_never_sure_is_as_accurate_and_fails_on_its_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let [labels, field] = on(&held_out(folder.path()));
    let unsure = copy(folder.path(), "unsure", |manifest| {
        manifest.temperature = 20.0
    });
    let output = compare(&unsure, &[&labels, &field, "--runs=0", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", string(&output.stderr));
    let found: Compared = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(found.champion.version, found.candidate.version);
    assert_eq!(
        of(&found.comparison, Outcome::Broken),
        [Rule::Nll, Rule::Ece]
    );
}

#[test]
fn models_of_other_labels_and_sets_without_a_use_are_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let [labels, field] = on(&held_out(folder.path()));
    let turned = copy(folder.path(), "turned", |manifest| {
        manifest.labels.reverse()
    });
    let foreign = write(
        folder.path(),
        "foreign.jsonl",
        [json!({"text": "fine", "mood": "blue"})],
    );
    let foreign = format!("--labels={}", foreign.display());
    let itself = default_model();
    for (candidate, flags, words) in [
        (
            &turned,
            vec![&*labels, &*field],
            "train the candidate on the same labels",
        ),
        (&itself, vec![], "there is no held-out set"),
        (&itself, vec![&*labels], "--label-field"),
        (
            &itself,
            vec![&*foreign, &*field],
            "1 with a label that is none",
        ),
        (
            &itself,
            vec![&*labels, "--equity=nowhere.csv"],
            "nowhere.csv cannot be read",
        ),
        (
            &folder.path().join("none"),
            vec![&*labels],
            "whole model bundle",
        ),
    ] {
        let output = compare(candidate, &flags);
        let said = string(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn lines_that_cannot_be_used_are_counted_by_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let strange = [
        json!({"text": " ", "mood": "positive"}),
        json!({"text": "nobody says"}),
        json!({"text": "somebody says", "mood": "blue"}),
        json!({"text": "the sea", "mood": "blue"}),
        json!("no object"),
    ];
    let lines = (0..60).map(text).chain(strange);
    let [labels, field] = on(&write(folder.path(), "mixed.jsonl", lines));
    let output = compare(&default_model(), &[&labels, &field, "--runs=0"]);
    assert_eq!(output.status.code(), Some(4), "{}", string(&output.stderr));
    let said = string(&output.stdout);
    assert!(said.contains("On the fixed set: 60 texts"), "{said}");
    let counted =
        "Left out: 3 lines that could not be used, 2 with a label that is none of the models'";
    assert!(said.contains(counted), "{said}");
    assert!(
        string(&output.stderr).contains("mixed.jsonl:65"),
        "{}",
        string(&output.stderr)
    );
}

#[test]
fn score_gaps_are_compared_on_the_corpus() {
    let Some(data) = data_folder("score_gaps_are_compared_on_the_corpus") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [labels, field] = on(&held_out(folder.path()));
    let corpus = data.join("eec/Equity-Evaluation-Corpus.csv");
    let equity = format!("--equity={}", corpus.display());
    let output = compare(
        &default_model(),
        &[&labels, &field, &equity, "--runs=0", "--json"],
    );
    assert_eq!(output.status.code(), Some(4), "{}", string(&output.stderr));
    let found: Comparison = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        found.equity.len(),
        10,
        "two attributes, all sentences and four emotions"
    );
    assert!(found.equity.iter().all(|gap| gap.wider == 0.0));
    assert!(of(&found, Outcome::Held).contains(&Rule::Equity));
}
