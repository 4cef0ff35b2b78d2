//! `tidewatch-finetune` as a program, from labelled text to a bundle.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod hub;
mod resume;
pub(crate) mod workshop;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tidewatch::model::manifest::Bundle;
use tidewatch::train::recipe::{Backbone, Recipe};
use tidewatch::train::report::Report;
use workshop::{RECIPE, Workshop, event, events, stderr, tweets};

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn refused(output: &Output, code: i32, words: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert!(stderr(output).contains(words), "{}", stderr(output));
    assert_eq!(
        stderr(output).trim().lines().count(),
        1,
        "{}",
        stderr(output)
    );
}

#[test]
fn a_run_learns_counts_its_faults_and_writes_a_bundle_that_says_where_it_comes_from() {
    let workshop = Workshop::new();
    let faulty = tweets(0..240) + "901\t7\tno such label\n902\n3\t0\trepeated with another label\n";
    workshop.write("train.tsv", &faulty);
    let told = workshop.succeed(&["--out", "result"]);

    let data = event(&told, "data");
    assert_eq!(
        (&data["train"], &data["validation"]),
        (&json!(240), &json!(60))
    );
    assert_eq!(
        (&data["faults"], &data["repeated"], &data["conflicting"]),
        (&json!(2), &json!(1), &json!(1))
    );
    let fault = event(&told, "fault");
    assert!(fault["file"].as_str().unwrap().ends_with("train.tsv"));
    assert_eq!(fault["line"], json!(242));
    let drawn = event(&told, "start")["drawn"].clone();
    assert_eq!(drawn, json!(["classifier.weight", "classifier.bias"]));
    assert_eq!(event(&told, "validation")["macro_recall"], json!(1.0));
    let parity = event(&told, "parity");
    assert_eq!(parity["texts"], json!(300));
    assert!(
        parity["alone"].as_f64().unwrap() <= 1e-4 && parity["batched"].as_f64().unwrap() <= 1e-4
    );
    assert!(event(&told, "calibration")["temperature"].as_f64().unwrap() > 0.0);

    let bundle = Bundle::open(workshop.path("result")).unwrap();
    bundle.verify().unwrap();
    assert_eq!(event(&told, "bundle")["version"], json!(bundle.version));
    let manifest = &bundle.manifest;
    assert_eq!(manifest.labels, ["negative", "positive"]);
    assert_eq!((manifest.max_tokens, manifest.pad_token_id), (12, 0));
    assert_eq!(manifest.metrics["macro_recall"].value, 1.0);
    assert_eq!(manifest.recipe["training"]["epochs"], json!(4));
    assert_eq!(manifest.licences["data"], "made up for a test");
    let files: Vec<_> = manifest
        .data
        .iter()
        .map(|file| (file.name.as_str(), file.role.as_str(), file.examples))
        .collect();
    assert_eq!(
        files,
        [("train.tsv", "train", 240), ("later.tsv", "validation", 60)]
    );
    let names: Vec<&String> = manifest.files.keys().collect();
    assert_eq!(
        names,
        [
            "config.json",
            "model.onnx",
            "report.html",
            "report.json",
            "tokenizer.json",
            "weights.safetensors"
        ]
    );
    let config = json_file(&bundle.file("config.json"));
    assert_eq!(
        config["architectures"],
        json!(["BertForSequenceClassification"])
    );
    assert_eq!(
        config["id2label"],
        json!({"0": "negative", "1": "positive"})
    );
    assert_eq!(config["custom"], json!("kept"));
    let tokenizer = json_file(&bundle.file("tokenizer.json"));
    assert_eq!(
        (&tokenizer["truncation"], &tokenizer["padding"]),
        (&Value::Null, &Value::Null)
    );
    let report = json_file(&bundle.file("report.json"));
    assert_eq!(report["left_out"]["faults"], json!(2));
    assert_eq!(
        report["validation"]["confusion"]["counts"],
        json!([[30, 0], [0, 30]])
    );
}

#[test]
fn a_baseline_is_made_of_the_examples_that_are_for_it() {
    let workshop = Workshop::new();
    let letter = |number: u8| char::from(b'a' + number);
    let normal: String = (0..250)
        .map(|id| format!("{id}\t1\tso good {}{}\n", letter(id / 16), letter(id % 16)))
        .collect();
    workshop.write("normal.tsv", &normal);
    let source = "[[data]]\npath = \"normal.tsv\"\nrole = \"baseline\"\nformat = \"tsv\"\n\
                  columns = { label = 1, text = 2 }\n";
    workshop.write("recipe.toml", &format!("{RECIPE}{source}"));
    let told = workshop.succeed(&["--out", "result"]);
    let data = event(&told, "data");
    let counts = ["train", "validation", "baseline"].map(|part| data[part].clone());
    assert_eq!(counts, [json!(240), json!(60), json!(250)]);
    let bundle = Bundle::open(workshop.path("result")).unwrap();
    let of_it: Vec<_> = bundle
        .manifest
        .data
        .iter()
        .filter(|file| file.role == "baseline")
        .map(|file| (file.name.as_str(), file.examples))
        .collect();
    assert_eq!(of_it, [("normal.tsv", 250)]);
    let baseline = json_file(&bundle.file("baseline.json"));
    assert_eq!(baseline["messages"], json!(250));
    // The temperature and the report are of what validates all the same.
    let report = json_file(&bundle.file("report.json"));
    assert_eq!(report["validation"]["examples"], json!(60));
}

#[test]
fn a_bundle_made_again_from_the_checkpoint_is_the_same_to_the_bit() {
    let workshop = Workshop::new();
    workshop.succeed(&["--out", "one"]);
    workshop.succeed(&["--checkpoint", "one.checkpoint", "--out", "two"]);
    let version = |name| Bundle::open(workshop.path(name)).unwrap().version;
    assert_eq!(version("one"), version("two"));
}

#[test]
fn every_form_and_storage_computes_what_the_trainer_does() {
    let workshop = Workshop::new();
    workshop.succeed(&["--out", "first"]);
    for form in ["plain", "fused"] {
        for weights in ["float32", "int8"] {
            let out = format!("{form}-{weights}");
            let told = workshop.succeed(&[
                "--checkpoint",
                "first.checkpoint",
                "--form",
                form,
                "--weights",
                weights,
                "--out",
                &out,
            ]);
            let export = event(&told, "export");
            assert_eq!(
                (&export["form"], &export["weights"]),
                (&json!(form), &json!(weights))
            );
            let exported = &json_file(&workshop.path(&out).join("report.json"))["exported"];
            assert_eq!(exported["exported_macro_recall"], json!(1.0));
            let recipe = &Bundle::open(workshop.path(&out)).unwrap().manifest.recipe;
            assert_eq!(
                (&recipe["export"]["form"], &recipe["export"]["weights"]),
                (&json!(form), &json!(weights))
            );
        }
    }
}

#[test]
fn a_bundle_is_a_backbone_and_its_child_names_it() {
    let workshop = Workshop::new();
    workshop.succeed(&["--out", "parent"]);
    let told = workshop.succeed(&["--backbone", "parent", "--epochs", "1", "--out", "child"]);
    assert_eq!(event(&told, "start")["drawn"], json!([]));
    let [parent, child] =
        ["parent", "child"].map(|name| Bundle::open(workshop.path(name)).unwrap());
    assert_eq!(child.manifest.parent, Some(parent.version));
    assert_eq!(
        child.manifest.recipe["backbone"],
        json!({"folder": "parent"})
    );
}

#[test]
fn a_bundle_without_training_weights_is_smaller_by_them_and_test_files_are_evaluated_too() {
    let workshop = Workshop::new();
    workshop.write("test.tsv", &tweets(300..320));
    let test = "[[data]]\npath = \"test.tsv\"\nrole = \"test\"\nformat = \"tsv\"\n\
        columns = { id = 0, label = 1, text = 2 }\n";
    workshop.write(
        "recipe.toml",
        &format!("{RECIPE}{test}[output]\ntraining_weights = false\n"),
    );
    let told = workshop.succeed(&["--out", "result"]);
    let evaluation = event(&told, "evaluation");
    assert_eq!(
        (&evaluation["part"], &evaluation["examples"]),
        (&json!("test"), &json!(20))
    );
    assert!(!workshop.path("result/weights.safetensors").exists());
    assert!(
        workshop
            .path("result.checkpoint/model.safetensors")
            .exists()
    );
}

#[test]
fn the_committed_default_model_is_whole_small_good_and_what_its_recipe_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundle = Bundle::open(root.join("models/default")).unwrap();
    bundle.verify().unwrap();
    let files = std::fs::read_dir(&bundle.dir).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 30_000_000, "{bytes} bytes");

    let mut recipe = Recipe::load(&root.join("recipes/default.toml")).unwrap();
    recipe.backbone = Backbone::Folder(".tidewatch/backbone/all-MiniLM-L6-v2".into());
    assert_eq!(
        serde_json::to_value(&recipe).unwrap(),
        bundle.manifest.recipe
    );

    let report: Report = serde_json::from_value(json_file(&bundle.file("report.json"))).unwrap();
    assert!(report.exported.parity.holds());
    assert!(
        report.exported.cost() <= 0.3,
        "{} points",
        report.exported.cost()
    );
    assert!(Some(report.exported.exported_macro_recall) >= recipe.output.min_macro_recall);
}

#[test]
fn the_same_seed_gives_the_same_weights_to_the_bit() {
    let workshop = Workshop::new();
    let weights = |out: &str, seed: &str| {
        workshop.succeed(&["--out", out, "--seed", seed, "--epochs", "1"]);
        std::fs::read(workshop.path(out).join("weights.safetensors")).unwrap()
    };
    let first = weights("a", "3");
    assert!(first == weights("b", "3"));
    assert!(first != weights("c", "4"));
}

#[test]
fn repeated_examples_make_longer_epochs_and_class_weights_another_model() {
    let workshop = Workshop::new();
    let recipe = RECIPE.replace("{ tokens = 100 }", "{ sequences = 10 }");
    let weights = |name: &str, recipe: &str, steps: u64| {
        workshop.write("recipe.toml", recipe);
        let told = workshop.succeed(&["--out", name, "--epochs", "1"]);
        assert_eq!(event(&told, "start")["steps"], json!(steps));
        assert_eq!(event(&told, "data")["train"], json!(240));
        std::fs::read(workshop.path(name).join("weights.safetensors")).unwrap()
    };
    let plain = weights("plain", &recipe, 24);
    let twice = recipe.replacen("format", "repeat = 2\nformat", 1);
    assert!(weights("twice", &twice, 48) != plain);
    // The classes are equally many, so that balancing them changes nothing.
    let balanced =
        |recipe: &str| recipe.replace("[training]\n", "[training]\nclass_weights = \"balanced\"\n");
    assert!(weights("balanced", &balanced(&recipe), 24) == plain);
    let more = tweets(0..240).replacen("\t0\t", "\t1\t", 20);
    workshop.write("train.tsv", &more);
    let uneven = weights("uneven", &recipe, 24);
    assert!(weights("evened", &balanced(&recipe), 24) != uneven);
    let manifest = Bundle::open(workshop.path("evened")).unwrap().manifest;
    assert_eq!(
        manifest.recipe["training"]["class_weights"],
        json!("balanced")
    );
    assert_eq!(manifest.recipe["training"].get("save_every"), None);
}

#[test]
fn bad_input_ends_with_2_and_a_sentence() {
    let workshop = Workshop::new();
    refused(
        &workshop.run(&["--backbone", "nowhere"]),
        2,
        "has no file config.json",
    );
    refused(
        &workshop.run(&["--lr", "0"]),
        2,
        "training.learning_rate must be a number above 0",
    );
    refused(
        &workshop.run(&["--out", "encoder"]),
        2,
        "encoder exists already",
    );
    workshop.write(
        "recipe.toml",
        &RECIPE.replace("max_tokens = 12", "max_tokens = 17"),
    );
    refused(&workshop.run(&[]), 2, "reads at most 16 tokens");
    workshop.write("recipe.toml", &RECIPE.replace("epochs", "epoch"));
    let output = workshop.run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("epoch"), "{}", stderr(&output));
}

#[test]
fn a_model_under_the_gate_ends_with_3_and_leaves_no_bundle() {
    let workshop = Workshop::new();
    // With labels that have nothing to do with the text there is nothing to learn.
    workshop.write(
        "later.tsv",
        &tweets(240..300)
            .replace("good", "film")
            .replace("bad", "film"),
    );
    workshop.write(
        "recipe.toml",
        &format!("{RECIPE}[output]\nmin_macro_recall = 0.9\n"),
    );
    let output = workshop.run(&["--epochs", "1", "--out", "result"]);
    refused(&output, 3, "asks for at least 0.9000");
    assert!(!workshop.path("result").exists());
    assert!(
        workshop
            .path("result.checkpoint/model.safetensors")
            .exists()
    );
}

#[test]
fn a_missing_onnx_runtime_ends_with_4_before_any_training() {
    let workshop = Workshop::new();
    let output = workshop
        .command(&["--out", "result"])
        .env("ORT_DYLIB_PATH", workshop.path("libnothing.so"))
        .output()
        .unwrap();
    refused(&output, 4, "libnothing.so cannot be used as ONNX Runtime");
    assert!(events(&output).iter().all(|event| event["event"] != "step"));
}

#[test]
fn sigterm_ends_a_run_with_130_after_its_current_step() {
    let workshop = Workshop::new();
    let mut child = workshop
        .command(&["--out", "result", "--epochs", "3000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"checkpoint\"")));
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    // What it still says must be read, or it would wait for its reader.
    assert!(lines.all(|line| line.is_ok()));
    let output = child.wait_with_output().unwrap();
    refused(&output, 130, "stopped by request");
    assert!(!workshop.path("result").exists());
    assert!(
        workshop
            .path("result.checkpoint/model.safetensors")
            .exists()
    );
}
