//! Time of one inference by ONNX Runtime on the CPU with two threads, for each form and storage in which
//! `tidewatch-finetune` can export a classifier, on an encoder of MiniLM's size (6 layers, hidden 384).
//!
//! ```text
//! cargo bench --bench export_forms [-- --shape 32x32 --rounds 15]
//! ```
//!
//! The four take turns in every round, so that a change of the machine's pace meets all of them. Prints a
//! JSON line for each shape (texts x tokens), form and storage: the medians of wall-clock and processor time in
//! milliseconds, and their ratios to the plain form with 32-bit weights. On a busy machine the processor time says more.
//! The weights are not trained, which the time does not depend on.

use std::time::Instant;

use tidewatch::model::backend::Backend;
use tidewatch::model::config::{Device, ModelConfig};
use tidewatch::model::onnx::OnnxBackend;
use tidewatch::record::Batch;
use tidewatch::train::bert::BertConfig;
use tidewatch::train::encoder::Model;
use tidewatch::train::export::{ExportOptions, Form, Storage, to_onnx};
use tidewatch::train::layout::Layout;
use tidewatch::train::weights::Weights;

const CONFIG: &str = r#"{
    "vocab_size": 30522, "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6,
    "num_attention_heads": 12, "max_position_embeddings": 512
}"#;
const SHAPES: [&str; 4] = ["1x24", "32x24", "32x32", "16x128"];
const LABELS: usize = 3;
const THREADS: usize = 2;

/// A session over one way to export the model, and how long it took to load.
struct Candidate {
    options: ExportOptions,
    bytes: usize,
    load_ms: f64,
    backend: OnnxBackend,
    turns: Vec<Spent>,
}

/// Milliseconds spent on one inference.
#[derive(Clone, Copy)]
struct Spent {
    wall: f64,
    /// By all threads of this process together.
    processor: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    let rounds = value("--rounds")
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(15);
    let shapes =
        value("--shape").map_or_else(|| SHAPES.map(String::from).to_vec(), |one| vec![one]);
    let mut candidates = candidates();
    for Candidate {
        options,
        bytes,
        load_ms,
        ..
    } in &candidates
    {
        println!(
            "{}",
            serde_json::json!({"form": options.form, "weights": options.weights, "bytes": bytes, "load_ms": load_ms})
        );
    }
    for shape in shapes {
        let (texts, tokens) = shape.split_once('x').expect("a shape is TEXTSxTOKENS");
        let count = |text: &str| text.parse().expect("a shape is two numbers");
        measure(
            &mut candidates,
            &shape,
            &batch(count(texts), count(tokens)),
            rounds,
        );
    }
}

fn candidates() -> Vec<Candidate> {
    let config: BertConfig = serde_json::from_str(CONFIG).expect("the configuration is valid");
    let layout = Layout::new(&config, LABELS);
    let mut noise = Noise(7);
    let mut weights = Weights::zeros(&layout);
    weights
        .words
        .iter_mut()
        .for_each(|value| *value = noise.next() * 0.05);
    for spec in &layout.dense {
        let norm = spec.name.ends_with("LayerNorm.weight");
        let values = &mut weights.dense[spec.range.clone()];
        values
            .iter_mut()
            .for_each(|value| *value = if norm { 1.0 } else { noise.next() * 0.05 });
    }
    let model = Model {
        config: &config,
        layout: &layout,
        weights: &weights,
    };
    let folder = tempfile::tempdir().expect("there is room for a model");
    let path = folder.path().join("model.onnx");
    let settings = ModelConfig {
        path: folder.path().into(),
        device: Device::Cpu,
        device_number: 0,
        threads: THREADS,
    };
    let forms = [Form::Plain, Form::Fused];
    let storages = [Storage::Float32, Storage::Int8];
    let pairs = forms.map(|form| storages.map(|weights| ExportOptions { form, weights }));
    let open = |options| {
        let onnx = to_onnx(model, options);
        std::fs::write(&path, &onnx).expect("there is room for a model");
        let started = Instant::now();
        let backend = OnnxBackend::from_file(&path, LABELS, &settings)
            .expect("ONNX Runtime is there and runs the model");
        Candidate {
            options,
            bytes: onnx.len(),
            load_ms: started.elapsed().as_secs_f64() * 1e3,
            backend,
            turns: Vec::new(),
        }
    };
    pairs.into_iter().flatten().map(open).collect()
}

/// Texts of full length, as a batch sorted by length nearly has.
fn batch(rows: usize, width: usize) -> Batch {
    let mut noise = Noise(11);
    let cells = rows * width;
    Batch {
        ids: (0..cells)
            .map(|_| 1000 + (noise.next().abs() * 29_000.0) as i64)
            .collect(),
        mask: vec![1; cells],
        rows,
        width,
        members: (0..rows).collect(),
    }
}

fn measure(candidates: &mut [Candidate], shape: &str, batch: &Batch, rounds: usize) {
    // Short inferences are repeated, so that a turn takes some 50 ms.
    let repeats = (2048 / (batch.rows * batch.width)).clamp(1, 32) as u32;
    for candidate in candidates.iter_mut() {
        candidate.turns.clear();
        infer(candidate, batch);
    }
    for _ in 0..rounds {
        for candidate in candidates.iter_mut() {
            let (started, before) = (Instant::now(), processor_ms());
            (0..repeats).for_each(|_| infer(candidate, batch));
            let each = 1.0 / f64::from(repeats);
            candidate.turns.push(Spent {
                wall: started.elapsed().as_secs_f64() * 1e3 * each,
                processor: (processor_ms() - before) * each,
            });
        }
    }
    let plain = median(&candidates[0].turns);
    for candidate in candidates {
        let Spent { wall, processor } = median(&candidate.turns);
        let line = serde_json::json!({
            "shape": shape,
            "form": candidate.options.form,
            "weights": candidate.options.weights,
            "wall_ms": rounded(wall),
            "processor_ms": rounded(processor),
            "wall_ratio": rounded(wall / plain.wall),
            "processor_ratio": rounded(processor / plain.processor),
        });
        println!("{line}");
    }
}

fn infer(candidate: &mut Candidate, batch: &Batch) {
    let logits = candidate.backend.infer(batch);
    std::hint::black_box(logits.expect("the model scores a batch"));
}

/// Processor time of all threads of this process, from Linux's account in nanoseconds.
fn processor_ms() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
        let account = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        account.split(' ').next()?.parse::<f64>().ok()
    };
    threads.filter_map(of_thread).sum::<f64>() / 1e6
}

/// The medians of both times, each by itself.
fn median(turns: &[Spent]) -> Spent {
    let middle = |of: fn(&Spent) -> f64| {
        let mut sorted: Vec<f64> = turns.iter().map(of).collect();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    Spent {
        wall: middle(|spent| spent.wall),
        processor: middle(|spent| spent.processor),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Values in [-1, 1) from a linear congruential generator.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}
