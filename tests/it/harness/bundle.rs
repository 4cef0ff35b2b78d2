//! A real bundle small enough to write in a moment: a BERT of two narrow layers with made-up weights, in ONNX as
//! `tidewatch-finetune` writes it, with a WordPiece tokenizer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch::model::config::{Device, ModelConfig};
use tidewatch::model::manifest::{FORMAT, MODEL_FILE, Manifest, TOKENIZER_FILE};
use tidewatch::record::Problem;
use tidewatch::train::bert::BertConfig;
use tidewatch::train::encoder::Model;
use tidewatch::train::export::{ExportOptions, to_onnx};
use tidewatch::train::layout::Layout;
use tidewatch::train::weights::Weights;

/// Labels of the small bundle.
pub const LABELS: [&str; 3] = ["negative", "neutral", "positive"];
/// The longest text it takes, in tokens.
pub const MAX_TOKENS: usize = 48;

/// The small bundle in a folder of its own, removed when dropped.
pub struct SmallBundle {
    folder: TempDir,
}

impl SmallBundle {
    /// With ONNX's own operators and 32-bit weights.
    pub fn new() -> Self {
        Self::written(ExportOptions::default(), |_| {})
    }

    /// In another form, or with a manifest that was changed before it was written.
    pub fn written(options: ExportOptions, change: impl FnOnce(&mut Manifest)) -> Self {
        Self::made(options, None, change)
    }

    /// One that gives no numbers for texts with this token of its vocabulary.
    pub fn failing_on(token: &str) -> Self {
        let id = vocabulary().iter().position(|known| known == token);
        let id = id.expect("the token is in the vocabulary");
        Self::made(ExportOptions::default(), Some(id), |_| {})
    }

    fn made(
        options: ExportOptions,
        failing: Option<usize>,
        change: impl FnOnce(&mut Manifest),
    ) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a bundle");
        let config = config();
        let layout = Layout::new(&config, LABELS.len());
        let mut weights = weights(&layout);
        if let Some(id) = failing {
            let width = weights.words.len() / vocabulary().len();
            weights.words[id * width..(id + 1) * width].fill(f32::NAN);
        }
        let model = Model {
            config: &config,
            layout: &layout,
            weights: &weights,
        };
        let files = BTreeMap::from([
            (MODEL_FILE.to_owned(), to_onnx(model, options)),
            (TOKENIZER_FILE.to_owned(), tokenizer().to_string().into()),
        ]);
        let mut manifest = manifest();
        change(&mut manifest);
        tidewatch::train::bundle::write(&folder.path().join("small"), manifest, &files)
            .expect("the small bundle is a bundle");
        Self { folder }
    }

    /// The bundle's folder.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("small")
    }

    /// A folder for whatever else a test writes, around the bundle's.
    pub fn around(&self) -> &Path {
        self.folder.path()
    }

    /// Settings to open it on the CPU with one thread.
    pub fn config(&self) -> ModelConfig {
        ModelConfig {
            path: self.path(),
            device: Device::Cpu,
            device_number: 0,
            threads: 1,
        }
    }
}

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        name: "small".into(),
        labels: LABELS.map(Into::into).into(),
        problem: Problem::SingleLabel,
        max_tokens: MAX_TOKENS,
        pad_token_id: 0,
        temperature: 1.25,
        parent: None,
        adjustment: None,
        ensemble: None,
        code_version: env!("CARGO_PKG_VERSION").into(),
        recipe: json!({"seed": 1}),
        data: Vec::new(),
        files: BTreeMap::new(),
        metrics: BTreeMap::new(),
        licences: BTreeMap::new(),
    }
}

fn config() -> BertConfig {
    serde_json::from_value(json!({
        "vocab_size": vocabulary().len(), "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64,
    }))
    .expect("the sizes are those of a BERT")
}

/// Weights that make every word count, the same ones each time.
fn weights(layout: &Layout) -> Weights {
    let mut weights = Weights::zeros(layout);
    // A linear congruential generator, its upper bits spread over -0.5 to 0.5.
    let mut state = 12_345_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    weights.words.iter_mut().for_each(|weight| *weight = next());
    for spec in &layout.dense {
        let norm = spec.name.ends_with("LayerNorm.weight");
        for weight in &mut weights.dense[spec.range.clone()] {
            *weight = if norm { 1.0 } else { next() };
        }
    }
    weights
}

/// Special tokens, some words, and every letter and digit alone and within a word.
fn vocabulary() -> Vec<String> {
    let words = ["good", "bad", "the", "film", "was", "day", "very", "not"];
    let letters = || ('a'..='z').chain('0'..='9');
    let single = letters().chain("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".chars());
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        .into_iter()
        .chain(words)
        .map(String::from)
        .chain(single.map(String::from))
        .chain(letters().map(|letter| format!("##{letter}")))
        .collect()
}

/// As BERT's: lower case, split at spaces and punctuation, pieces of words, `[CLS] … [SEP]`.
fn tokenizer() -> Value {
    let vocabulary: serde_json::Map<String, Value> = vocabulary()
        .into_iter()
        .enumerate()
        .map(|(id, word)| (word, json!(id)))
        .collect();
    let special = |word: &str, id: usize| json!({"id": word, "ids": [id], "tokens": [word]});
    let added = |word: &str, id: usize| {
        json!({"id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added("[PAD]", 0), added("[UNK]", 1), added("[CLS]", 2), added("[SEP]", 3)],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
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
        "model": {"type": "WordPiece", "vocab": vocabulary, "unk_token": "[UNK]",
                  "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
    })
}
