//! The registry as its users command it.

use std::process::Command;

use serde_json::{Value, json};
use tidewatch::model::manifest::Bundle;

use super::{Fixture, bundle, text};

fn lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_model_comes_in_serves_is_replaced_and_comes_back() {
    let fixture = Fixture::new().await;
    let run = |arguments: &[&str]| {
        let output = fixture.model(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        output
    };
    let said = text(&run(&["list"]).stdout);
    assert!(said.starts_with("there are no models"), "{said}");
    let (one, two) = (bundle(1.0), bundle(2.0));
    let versions = [&one, &two].map(|small| Bundle::open(small.path()).unwrap().version);
    for small in [&one, &two] {
        let path = small.path();
        let path = path.to_str().unwrap();
        let output = run(&["import", path, "--alias", "candidate", "--by", "ann"]);
        let said = text(&output.stderr);
        assert!(said.contains("loads and scores in"), "{said}");
        let version = text(&output.stdout);
        assert!(versions.contains(&version.trim().to_owned()));
        let again = text(&run(&["import", path, "--alias", "candidate"]).stderr);
        assert!(again.contains("was imported before"), "{again}");
    }
    run(&["promote", &versions[0][..8], "--reason", "the first"]);
    run(&["promote", "candidate", "--reason", "better", "--by", "ann"]);
    let listed = lines(&run(&["list", "--json"]).stdout);
    let aliases: Vec<&Value> = listed.iter().map(|model| &model["aliases"]).collect();
    assert_eq!(aliases, [&json!(["champion"]), &json!(["previous"])]);
    assert_eq!(listed[0]["version"], *versions[1]);

    let said = text(&run(&["rollback"]).stderr);
    assert!(said.contains("is the champion again"), "{said}");
    let model = fixture.store.registered(&versions[0]).await.unwrap();
    fixture.loaded("an instance", model.unwrap().id).await;
    let listed = text(&run(&["list"]).stdout);
    assert!(listed.contains("loaded by an instance since"), "{listed}");
    let line = listed
        .lines()
        .find(|line| line.starts_with(&versions[0][..12]));
    assert!(line.unwrap().ends_with("champion"), "{listed}");
    assert!(
        listed.contains("one of negative, neutral, positive"),
        "{listed}"
    );
    let history = lines(&run(&["history", "champion", "--json"]).stdout);
    let whats: Vec<&str> = history
        .iter()
        .map(|done| done["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        whats,
        ["rollback", "promote", "promote", "alias", "alias", "import"]
    );
    assert_eq!(history[1]["by"], "ann");
    let history = text(&run(&["history"]).stdout);
    assert!(history.contains("made champion, before"), "{history}");
    let swept = text(&run(&["gc", "--dry-run"]).stderr);
    assert!(swept.contains("would be freed"), "{swept}");
}

#[tokio::test]
async fn each_refusal_is_one_sentence_with_its_exit_code() {
    let mut fixture = Fixture::new().await;
    let small = bundle(1.0);
    let path = small.path();
    let path = path.to_str().unwrap();
    let other = "f".repeat(64);
    let refusals: [(&[&str], i32, &str); 7] = [
        (&["promote", "candidate"], 2, "there is no candidate"),
        (&["promote", "12345"], 2, "names no model"),
        (&["promote", "123456"], 2, "there is no model"),
        (&["rollback"], 1, "no previous model"),
        (&["import", "/nowhere"], 1, "cannot be read"),
        (&["import", path, "--expect", &other], 1, "was expected"),
        (
            &["import", path, "--alias", "champion"],
            2,
            "possible values: candidate, shadow",
        ),
    ];
    for (arguments, code, words) in refusals {
        let output = fixture.model(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    fixture.section["url"] = json!("");
    for arguments in [&["import", path][..], &["promote", "123456"], &["gc"]] {
        let output = fixture.model(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("there is no registry"), "{said}");
    }
    // What stands in the database can be looked at all the same.
    assert!(fixture.model(&["list"]).status.success());
    assert!(fixture.model(&["history"]).status.success());
}

#[tokio::test]
async fn models_of_the_registry_are_compared_by_their_names() {
    let fixture = Fixture::new().await;
    let champion = fixture.imported(1.0).await;
    fixture.promote(&champion).await.unwrap();
    let candidate = fixture.imported(2.0).await;
    let labels = fixture.folder.path().join("labels.jsonl");
    let rows = ["negative", "neutral", "positive"]
        .map(|label| json!({"text": "good film", "label": label}).to_string());
    std::fs::write(&labels, rows.join("\n")).unwrap();
    let labels = format!("--labels={}", labels.display());
    let compare = |names: [&str; 2]| {
        let [champion, candidate] = names;
        fixture.model(&[
            "compare", champion, candidate, &labels, "--runs=0", "--json",
        ])
    };
    let depot = fixture.depot().join(&candidate);
    for name in [&candidate[..8], depot.to_str().unwrap()] {
        let output = compare(["champion", name]);
        let said = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(3 | 4)), "{said}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["champion"]["version"], *champion);
        assert_eq!(found["candidate"]["version"], *candidate);
    }
    for (name, words) in [("shadow", "there is no shadow"), ("runs/new", "runs/new")] {
        let output = compare(["champion", name]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
    }
}

#[tokio::test]
async fn the_check_looks_into_the_depot() {
    let fixture = Fixture::new().await;
    fixture.imported(1.0).await;
    // Writes the config.
    fixture.command(&[]);
    let check = || {
        let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .args(["check", "--json", "--config"])
            .arg(fixture.folder.path().join("tidewatch.toml"))
            .output()
            .unwrap();
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = line["checks"].as_array().unwrap().clone();
        let registry = checks.into_iter().find(|check| check["part"] == "registry");
        registry.unwrap()
    };
    let found = check();
    assert_eq!(found["state"], "ok", "{found}");
    assert!(found["text"].as_str().unwrap().ends_with(": 1 bundles"));
    // A file where the folder should be.
    std::fs::remove_dir_all(fixture.depot()).unwrap();
    std::fs::write(fixture.depot(), "").unwrap();
    assert_eq!(check()["state"], "fault");
}
