//! Time of one training step: forward, backward, clipping and AdamW, with dropout 0.1, on an encoder of
//! MiniLM's size (6 layers, hidden 384, 22.7 million values) with two threads.
//!
//! ```text
//! cargo bench --bench train_step [-- --shape 32x32 --steps 12]
//! ```
//!
//! Prints a JSON line a shape: median, fastest and slowest step in milliseconds. The weights are not
//! pre-trained, which the time does not depend on. `scripts/bench-train-step` runs PyTorch beside it.

use std::time::Instant;

use tidewatch::train::bert::BertConfig;
use tidewatch::train::layout::Layout;
use tidewatch::train::packed::Packed;
use tidewatch::train::recipe::Training;
use tidewatch::train::trainer::Trainer;
use tidewatch::train::weights::Weights;

const CONFIG: &str = r#"{
    "vocab_size": 30522, "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6,
    "num_attention_heads": 12, "max_position_embeddings": 512,
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1
}"#;
const WARM_UP_STEPS: usize = 3;
const THREADS: usize = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    let steps = value("--steps")
        .and_then(|steps| steps.parse().ok())
        .unwrap_or(11);
    let shapes = value("--shape").map_or_else(
        || vec!["32x32".into(), "16x128".into()],
        |shape| vec![shape],
    );
    rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .build_global()
        .expect("the pool is not yet built");
    for shape in shapes {
        let (sequences, length) = shape.split_once('x').expect("a shape is SEQUENCESxLENGTH");
        let count = |text: &str| text.parse().expect("a shape is two numbers");
        measure(&shape, count(sequences), count(length), steps);
    }
}

fn measure(shape: &str, sequences: usize, length: usize, steps: usize) {
    let config: BertConfig = serde_json::from_str(CONFIG).expect("the configuration is valid");
    let layout = Layout::new(&config, 3);
    let mut noise = Noise(7);
    let mut weights = Weights::zeros(&layout);
    weights
        .words
        .iter_mut()
        .for_each(|value| *value = noise.next() * 0.02);
    for spec in &layout.dense {
        let norm = spec.name.ends_with("LayerNorm.weight");
        let values = &mut weights.dense[spec.range.clone()];
        values
            .iter_mut()
            .for_each(|value| *value = if norm { 1.0 } else { noise.next() * 0.02 });
    }
    let token = |noise: &mut Noise| 1000 + (noise.next().abs() * 29_000.0) as u32;
    let texts: Vec<Vec<u32>> = (0..sequences)
        .map(|_| (0..length).map(|_| token(&mut noise)).collect())
        .collect();
    let batch = Packed::new(
        texts
            .iter()
            .enumerate()
            .map(|(i, text)| (text.as_slice(), i as u32 % 3)),
    );

    let training = Training {
        shards: THREADS,
        ..Training::default()
    };
    let mut trainer = Trainer::new(config, layout, weights, &training, 1);
    let mut times = Vec::new();
    for step in 0..WARM_UP_STEPS + steps {
        let started = Instant::now();
        trainer
            .step(&batch, 2e-5)
            .expect("a step of finite numbers succeeds");
        if step >= WARM_UP_STEPS {
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    let line = serde_json::json!({
        "program": "tidewatch",
        "shape": shape,
        "median_ms": times[times.len() / 2],
        "min_ms": times[0],
        "max_ms": times[times.len() - 1],
    });
    println!("{line}");
}

/// Values in [-1, 1) from a linear congruential generator.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}
