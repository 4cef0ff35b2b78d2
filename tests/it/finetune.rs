//! `tidewatch-finetune` as a program, on an encoder small enough to train in a second.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch::train::bert::BertConfig;
use tidewatch::train::layout::Layout;
use tidewatch::train::weights::Weights;

const WORDS: [&str; 12] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "the", "film", "was", "a", "day", "so",
];

/// A folder with a backbone, data with faults, and a recipe.
struct Workshop {
    folder: TempDir,
}

impl Workshop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_backbone(&folder.path().join("encoder"));
        let workshop = Self { folder };
        workshop.write("train.tsv", &tweets(0..240));
        workshop.write("later.tsv", &tweets(240..300));
        workshop.write("recipe.toml", RECIPE);
        workshop
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tidewatch-finetune"))
            .current_dir(self.folder.path())
            .env_remove("TIDEWATCH_DATA")
            .args(["--recipe", "recipe.toml", "--json"])
            .args(arguments)
            .output()
            .unwrap()
    }
}

const RECIPE: &str = r#"
backbone = { folder = "encoder" }
[labels]
names = ["negative", "positive"]
map = { "0" = "negative", "1" = "positive" }
[[data]]
path = "train.tsv"
format = "tsv"
columns = { id = 0, label = 1, text = 2 }
[[data]]
path = "later.tsv"
role = "validation"
format = "tsv"
columns = { id = 0, label = 1, text = 2 }
[training]
learning_rate = 3e-3
epochs = 4
batch = { tokens = 100 }
max_tokens = 12
"#;

/// Lines whose label says whether they hold "good" or "bad".
fn tweets(ids: std::ops::Range<usize>) -> String {
    let mut lines = String::new();
    for id in ids {
        let word = if id % 2 == 0 { "bad" } else { "good" };
        let filler = WORDS[6 + id % 6];
        let _ = writeln!(
            lines,
            "{id}\t{}\tthe {filler} film was so {word} {filler}",
            id % 2
        );
    }
    lines
}

fn write_backbone(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let config = json!({
        "model_type": "bert", "vocab_size": WORDS.len(), "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 16,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "custom": "kept",
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let vocabulary: serde_json::Map<String, Value> = WORDS
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), json!(id)))
        .collect();
    let special = |word: &str, id: usize| json!({"id": word, "ids": [id], "tokens": [word]});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3)},
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();

    let config: BertConfig = serde_json::from_value(config).unwrap();
    let layout = Layout::new(&config, 5);
    let mut weights = Weights::zeros(&layout);
    let value = |i: usize| ((i * 7919 + 13) % 1000) as f32 / 2500.0 - 0.2;
    weights
        .words
        .iter_mut()
        .enumerate()
        .for_each(|(i, w)| *w = value(i));
    for spec in &layout.dense {
        let norm = spec.name.ends_with("LayerNorm.weight");
        for i in spec.range.clone() {
            weights.dense[i] = if norm { 1.0 } else { value(i) };
        }
    }
    weights
        .save(&layout, &folder.join("model.safetensors"))
        .unwrap();
}

fn events(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn event<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events
        .iter()
        .rfind(|event| event["event"] == name)
        .unwrap_or_else(|| panic!("no event {name}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_run_learns_counts_its_faults_and_writes_a_classifier_that_can_be_scored_again() {
    let workshop = Workshop::new();
    let faulty = tweets(0..240) + "901\t7\tno such label\n902\n3\t0\trepeated with another label\n";
    workshop.write("train.tsv", &faulty);
    let output = workshop.run(&["--out", "result"]);
    assert!(output.status.success(), "{}", stderr(&output));

    let told = events(&output);
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

    let folder = workshop.folder.path().join("result");
    let config: Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    assert_eq!(
        config["architectures"],
        json!(["BertForSequenceClassification"])
    );
    assert_eq!(
        config["id2label"],
        json!({"0": "negative", "1": "positive"})
    );
    assert_eq!(config["custom"], json!("kept"));

    let again = workshop.run(&["--checkpoint", "result"]);
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(
        event(&events(&again), "validation")["macro_recall"],
        json!(1.0)
    );
}

#[test]
fn the_same_seed_gives_the_same_weights_to_the_bit() {
    let workshop = Workshop::new();
    let weights = |out: &str, seed: &str| {
        let output = workshop.run(&["--out", out, "--seed", seed, "--epochs", "1"]);
        assert!(output.status.success(), "{}", stderr(&output));
        std::fs::read(workshop.folder.path().join(out).join("model.safetensors")).unwrap()
    };
    let first = weights("a", "3");
    assert!(first == weights("b", "3"));
    assert!(first != weights("c", "4"));
}

#[test]
fn bad_input_ends_with_2_and_a_sentence() {
    let workshop = Workshop::new();
    let expect = |output: Output, words: &str| {
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    };
    expect(
        workshop.run(&["--backbone", "nowhere"]),
        "has no file config.json",
    );
    expect(
        workshop.run(&["--lr", "0"]),
        "training.learning_rate must be above 0",
    );
    workshop.write(
        "recipe.toml",
        &RECIPE.replace("max_tokens = 12", "max_tokens = 17"),
    );
    expect(workshop.run(&[]), "reads at most 16 tokens");
    workshop.write("recipe.toml", &RECIPE.replace("epochs", "epoch"));
    expect(workshop.run(&[]), "epoch");
}

#[test]
fn a_model_under_the_gate_ends_with_3() {
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
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("asks for at least 0.9000"));
}
