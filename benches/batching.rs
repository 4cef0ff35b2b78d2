//! What batching texts of similar length saves: the time that ONNX Runtime on the CPU takes for real texts in the
//! batches of [`batches`], beside batches that are filled from the longest text down.
//!
//! ```text
//! cargo bench --bench batching -- --input tweets.tsv [--text-field 3 --messages 1024 --rounds 5 --threads 2]
//! ```
//!
//! Prints a JSON line for each size of a chunk: padding as a share of the tokens computed, calls of the model, the median
//! of seconds, and the median of the rounds' ratios. The two take turns in every round, so that a change of the machine's
//! pace meets both. Field 3 of the tab-separated file is the text, unless told otherwise; the model is the bundled one.

use std::path::{Path, PathBuf};
use std::time::Instant;

use tidewatch::model::backend::Backend;
use tidewatch::model::batch::{batches, padded, padding_share};
use tidewatch::model::config::{Device, ModelConfig};
use tidewatch::model::manifest::Bundle;
use tidewatch::model::onnx::OnnxBackend;
use tidewatch::model::tokenizer::Tokenizer;
use tidewatch::record::{Batch, Encoded};

/// Messages in a chunk: of a trickle, and of a backlog by default.
const CHUNKS: [usize; 4] = [8, 32, 128, 512];
/// As by default, and as a GPU likes it.
const MAX_TOKENS: [usize; 2] = [2048, 16384];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1)
    };
    let count = |flag: &str, default: usize| {
        value(flag).map_or(default, |text| text.parse().expect("a number"))
    };
    let Some(input) = value("--input") else {
        eprintln!("--input is missing: name a tab-separated file of texts");
        std::process::exit(2);
    };
    let settings = ModelConfig {
        path: PathBuf::from("models/default"),
        device: Device::Cpu,
        device_number: 0,
        threads: count("--threads", 2),
    };
    let bundle = Bundle::open(&settings.path).expect("the bundled model opens");
    let texts = texts(
        Path::new(input),
        count("--text-field", 3),
        count("--messages", 1024),
        &Tokenizer::open(&bundle).expect("it has a tokenizer"),
    );
    let mut backend = OnnxBackend::open(&bundle, &settings).expect("the model loads");
    let pad = bundle.manifest.pad_token_id;
    for (chunk, max_tokens) in CHUNKS
        .into_iter()
        .flat_map(|chunk| MAX_TOKENS.map(|max_tokens| (chunk, max_tokens)))
    {
        let of_chunks = |group: fn(&[Encoded], usize, u32) -> Vec<Batch>| -> Vec<Batch> {
            texts
                .chunks(chunk)
                .flat_map(|texts| group(texts, max_tokens, pad))
                .collect()
        };
        let ways = [of_chunks(filled), of_chunks(batches)];
        let rounds: Vec<[f64; 2]> = (0..count("--rounds", 5))
            .map(|_| [0, 1].map(|way| seconds(&mut backend, &ways[way])))
            .collect();
        let median_of = |of: fn(&[f64; 2]) -> f64| median(rounds.iter().map(of).collect());
        println!(
            "{}",
            serde_json::json!({
                "chunk": chunk, "max_tokens": max_tokens, "texts": texts.len(),
                "filled": {
                    "padding": padding_share(&ways[0]), "calls": ways[0].len(), "seconds": median_of(|round| round[0]),
                },
                "batches": {
                    "padding": padding_share(&ways[1]), "calls": ways[1].len(), "seconds": median_of(|round| round[1]),
                },
                "time_ratio": median_of(|round| round[1] / round[0]),
            })
        );
    }
}

/// The field's texts, as the model reads them.
fn texts(input: &Path, field: usize, most: usize, tokenizer: &Tokenizer) -> Vec<Encoded> {
    let lines = std::fs::read_to_string(input).expect("the input is readable text");
    let texts = lines
        .lines()
        .filter_map(|line| line.split('\t').nth(field - 1));
    texts
        .take(most)
        .map(|text| tokenizer.encode(text))
        .collect()
}

/// The plain way: from the longest text down, each batch takes as many as its budget holds.
fn filled(texts: &[Encoded], max_tokens: usize, pad: u32) -> Vec<Batch> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&text| std::cmp::Reverse(texts[text].ids.len()));
    let mut rest = order.as_slice();
    let mut batches = Vec::new();
    while let Some(&longest) = rest.first() {
        let rows = (max_tokens / texts[longest].ids.len()).clamp(1, rest.len());
        let (members, others) = rest.split_at(rows);
        batches.push(padded(texts, members, pad));
        rest = others;
    }
    batches
}

fn seconds(backend: &mut OnnxBackend, batches: &[Batch]) -> f64 {
    let begun = Instant::now();
    for batch in batches {
        std::hint::black_box(backend.infer(batch).expect("the model answers"));
    }
    begun.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
