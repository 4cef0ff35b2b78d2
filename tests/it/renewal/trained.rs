//! Trainings that come to their end.

use tidewatch::store::TrainingState;

use super::*;

#[tokio::test]
async fn labelled_messages_become_a_candidate_that_was_trained_from_the_champion_once() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..100).await;
    let looked = fixture.training(&["--dry-run"], 2).output().unwrap();
    assert!(looked.status.success(), "{}", said(&looked));
    let plan = lines(&looked.stdout);
    let plan = event(&plan, "plan");
    assert_eq!(plan["champion"], *fixture.champion);
    let rows = plan["dataset"]["feedback"]["positive"].as_u64().unwrap();
    assert!((20..50).contains(&rows), "{plan}");
    assert_eq!(
        plan["dataset"]["validation"]["negative"]
            .as_u64()
            .map(|n| n >= 20),
        Some(true)
    );
    assert!(fixture.runs().await.is_empty() && !fixture.workshop.path("trainings").exists());

    let output = fixture.training(&[], 2).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let events = lines(&output.stdout);
    let candidate = event(&events, "candidate");
    let version = candidate["version"].as_str().unwrap();
    assert_eq!(fixture.candidate().await.as_deref(), Some(version));
    let model = fixture.store.registered(version).await.unwrap().unwrap();
    let imported = model.imported.unwrap();
    assert_eq!(imported.parent.as_deref(), Some(&*fixture.champion));
    assert!(imported.origin.starts_with("training run 1, "));
    let files: Vec<&str> = imported.manifest["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    assert_eq!(files, ["feedback.jsonl", "base.jsonl", "validation.jsonl"]);
    let held_out = std::fs::read(candidate["held_out"].as_str().unwrap()).unwrap();
    let held_out = lines(&held_out);
    assert!(
        !held_out.is_empty()
            && held_out
                .iter()
                .all(|row| row["id"].as_str().unwrap().starts_with("posts"))
    );
    assert_eq!(fixture.in_one_go(), version);
    // It serves only once it is promoted.
    assert_eq!(
        fixture.registry.champion().await.unwrap().as_deref(),
        Some(&*fixture.champion)
    );
    for next in [
        "tidewatch model compare",
        "held-out.jsonl",
        "tidewatch model promote candidate",
    ] {
        assert!(said(&output).contains(next), "{}", said(&output));
    }

    let runs = fixture.runs().await;
    let run = &runs[0];
    assert_eq!(
        (runs.len(), run.state, run.attempt),
        (1, TrainingState::Done, 1)
    );
    assert_eq!(run.candidate.as_deref(), Some(version));
    assert_eq!(run.champion.as_deref(), Some(&*fixture.champion));
    assert_eq!((&run.cause["cause"], &*run.by), (&json!("request"), "ann"));
    assert_eq!(run.progress["step"], run.progress["steps"]);
    assert_eq!(run.dataset, plan["dataset"]);
    assert_eq!(plan["fingerprint"], *run.fingerprint);

    let again = fixture.training(&[], 2).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(
        said(&again).contains("was begun before, as run 1, which is done"),
        "{}",
        said(&again)
    );
    let done = fixture.training(&["--resume", "1"], 2).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(said(&done).contains("it is done"), "{}", said(&done));
    let listed = fixture
        .command(&["list", "--json"], [""; 3])
        .output()
        .unwrap();
    assert_eq!(states(&listed), json!([["done", version]]));
    let listed = fixture.command(&["list"], [""; 3]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.starts_with("1  done  ") && listed.contains("ann asked for it"),
        "{listed}"
    );
}

/// State and candidate of each listed training.
fn states(output: &Output) -> Value {
    let rows = lines(&output.stdout);
    let rows: Vec<Value> = rows
        .iter()
        .map(|run| json!([run["state"], run["candidate"]]))
        .collect();
    json!(rows)
}

#[tokio::test]
async fn what_annotators_say_counts_by_their_majority_and_new_labels_are_another_training() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..60).await;
    // Two say the opposite of what the text says, one agrees with it; and one on which nobody agrees.
    let votes = [
        ("ann", "positive"),
        ("bob", "negative"),
        ("cyd", "negative"),
    ];
    fixture.put(61, &text("feed", 61), &votes).await;
    fixture.put(62, &text("feed", 62), &votes[..2]).await;
    let plan = |epochs| {
        let output = fixture.training(&["--dry-run"], epochs).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        event(&lines(&output.stdout), "plan").clone()
    };
    let first = plan(2);
    assert_eq!(first["dataset"]["left_out"]["tie"], 1);
    let labelled = fixture.store.labelled_texts().await.unwrap();
    assert_eq!(labelled.len(), 62);
    assert_eq!(labelled[60].votes.len(), 3);
    assert!(labelled.is_sorted_by_key(|message| message.first_label));
    assert_eq!(plan(2)["fingerprint"], first["fingerprint"]);
    assert_ne!(plan(3)["fingerprint"], first["fingerprint"]);
    // What models are compared on is not trained on.
    let fixed = json!({"text": text("feed", 3).to_uppercase(), "label": "positive"});
    fixture.workshop.write("fixed.jsonl", &fixed.to_string());
    let held = "epochs = 2\n[held_out]\nfiles = [\"fixed.jsonl\"]";
    let sections = ["min_rows = 20", "recipe = \"recipe.toml\"", held];
    let output = fixture
        .command(&["run", "--dry-run"], sections)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let without = event(&lines(&output.stdout), "plan").clone();
    assert_eq!(without["dataset"]["left_out"]["copy_of_held_out"], 1);
    fixture.label(63..70).await;
    assert_ne!(plan(2)["fingerprint"], first["fingerprint"]);
}

#[tokio::test]
async fn without_the_champions_weights_it_starts_from_the_backbone_of_the_first_recipe() {
    let fixture = Fixture::new(false).await;
    fixture.label(0..60).await;
    let output = fixture.training(&[], 1).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let events = lines(&output.stdout);
    let start = event(&events, "plan")["reasons"][1].as_str().unwrap();
    let encoder = fixture.workshop.path("encoder");
    assert!(start.ends_with(encoder.to_str().unwrap()), "{start}");
    let version = event(&events, "candidate")["version"].as_str().unwrap();
    let model = fixture.store.registered(version).await.unwrap().unwrap();
    assert_eq!(model.imported.unwrap().parent, None);
    // The next one can start from this one's weights.
    let bundle = fixture.registry.fetch(version).await.unwrap();
    assert!(bundle.manifest.files.contains_key("weights.safetensors"));
}
