//! The detector over files.

use serde_json::{Value, json};

use super::{ALL, TURN, baseline, post, tidewatch, write};

#[test]
fn a_file_is_replayed_as_lines_for_programs_and_as_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = baseline(folder.path());
    let feed = write(
        folder.path(),
        "feed.jsonl",
        (0..ALL).map(|n| post(n, n >= TURN)),
    );
    let svg = folder.path().join("drift.svg");
    let replayed = tidewatch(&[
        "drift",
        "replay",
        "--json",
        "--window=200",
        "--baseline",
        baseline.to_str().unwrap(),
        "--svg",
        svg.to_str().unwrap(),
        feed.to_str().unwrap(),
    ]);
    assert!(
        replayed.status.success(),
        "{}",
        String::from_utf8_lossy(&replayed.stderr)
    );
    let lines: Vec<Value> = String::from_utf8(replayed.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (end, windows) = lines.split_last().unwrap();
    assert_eq!((&end["windows"], &end["alarms"]), (&json!(8), &json!(1)));
    let verdicts: Vec<&str> = windows
        .iter()
        .map(|w| w["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, [["ok"; 5].as_slice(), &["drift"; 3]].concat());
    assert_eq!(windows[0]["messages"], 200);
    assert!(windows[5]["statistics"]["classes"]["p"].as_f64().unwrap() < 1e-3);
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg"));
}

#[test]
fn a_model_without_a_baseline_and_one_made_for_another_model_are_told_apart_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let feed = write(folder.path(), "feed.jsonl", (0..10).map(|n| post(n, false)));
    let missing = folder.path().join("none.json");
    let other = folder.path().join("other.json");
    let own = crate::harness::default_model().join("baseline.json");
    let mut changed: Value = serde_json::from_slice(&std::fs::read(own).unwrap()).unwrap();
    changed["model_sha256"] = json!("0000");
    std::fs::write(&other, changed.to_string()).unwrap();
    for (baseline, words) in [
        (missing, "make one with"),
        (other, "was made for the model 0000"),
    ] {
        let said = tidewatch(&[
            "drift",
            "replay",
            "--baseline",
            baseline.to_str().unwrap(),
            feed.to_str().unwrap(),
        ]);
        assert_eq!(said.status.code(), Some(2));
        let error = String::from_utf8(said.stderr).unwrap();
        assert!(
            error.contains(words) && error.trim().lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn labels_in_a_file_are_measured_and_wrong_answers_are_an_alarm_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let label =
        |number: usize, turned: usize| ["negative", "positive", "neutral"][(number + turned) % 3];
    let labelled = |name: &str, posts: std::ops::Range<usize>, turn: usize| {
        let posts = posts.map(|number| {
            let mut post = post(number, false);
            post["truth"] = json!(label(number, usize::from(number >= turn)));
            post
        });
        write(folder.path(), name, posts)
    };
    let held_out = labelled("held-out.jsonl", 10_000..11_000, usize::MAX);
    let own = folder.path().join("own.json");
    let made = tidewatch(&[
        "baseline",
        "--resamples=500",
        "--label-field=truth",
        "--output",
        own.to_str().unwrap(),
        held_out.to_str().unwrap(),
    ]);
    assert!(
        String::from_utf8_lossy(&made.stderr).contains("(ECE)"),
        "{made:?}"
    );
    // The texts stay as they were; what people say of them does not.
    let feed = labelled("feed.jsonl", 0..800, 400);
    let replayed = tidewatch(&[
        "drift",
        "replay",
        "--json",
        "--window=200",
        "--label-field=truth",
        "--baseline",
        own.to_str().unwrap(),
        feed.to_str().unwrap(),
    ]);
    let lines: Vec<Value> = String::from_utf8(replayed.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[4]["alarms"], 0, "{lines:?}");
    assert_eq!(
        (&lines[4]["error_alarms"], &lines[2]["errors"]),
        (&json!(1), &json!("opened"))
    );
    let agreement: Vec<&Value> = lines[..4]
        .iter()
        .map(|line| &line["measured"]["agreement"])
        .collect();
    assert_eq!(agreement, ["agrees", "agrees", "too_high", "too_high"]);
}

#[test]
fn a_baseline_of_posts_that_turn_by_times_is_warned_of_and_a_calm_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let said = |name: &str, turns: bool| {
        // Of 300 posts each, far longer than a block of neighbours.
        let posts = (0..1_200).map(|number| post(number, turns && (number / 300) % 2 == 1));
        let posts = write(folder.path(), name, posts);
        let output = folder.path().join("baseline.json");
        let made = tidewatch(&[
            "baseline",
            "--resamples=500",
            "--output",
            output.to_str().unwrap(),
            posts.to_str().unwrap(),
        ]);
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stderr).unwrap()
    };
    let warning = "warning: these messages move in the course of time";
    let turned = said("turned.jsonl", true);
    assert!(turned.contains(warning), "{turned}");
    let calm = said("calm.jsonl", false);
    assert!(!calm.contains(warning), "{calm}");
}
