//! What `tidewatch-finetune` needs to run: an encoder small enough to train in a second, data, a recipe.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
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
pub struct Workshop {
    folder: TempDir,
}

impl Workshop {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_backbone(&folder.path().join("encoder"));
        let workshop = Self { folder };
        workshop.write("train.tsv", &tweets(0..240));
        workshop.write("later.tsv", &tweets(240..300));
        workshop.write("recipe.toml", RECIPE);
        workshop
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// The path of something in the workshop.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, to be run in the workshop with its recipe.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch-finetune"));
        command
            .current_dir(self.folder.path())
            .env_remove("TIDEWATCH_DATA")
            .args(["--recipe", "recipe.toml", "--json"])
            .args(arguments);
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed, and returns what it told.
    pub fn succeed(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        events(&output)
    }
}

/// Labels by name and by number, a file to train on, a later one to validate with.
pub const RECIPE: &str = r#"
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
[licences]
data = "made up for a test"
"#;

/// Lines whose label says whether they hold "good" or "bad".
pub fn tweets(ids: std::ops::Range<usize>) -> String {
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

/// The events on standard output.
pub fn events(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The last event of a kind.
pub fn event<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events
        .iter()
        .rfind(|event| event["event"] == name)
        .unwrap_or_else(|| panic!("no event {name}"))
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
