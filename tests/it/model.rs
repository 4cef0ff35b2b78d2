//! Models on ONNX Runtime, in this process and through `tidewatch model`.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use serde_json::Value;
use tidewatch::model::backend::Backend;
use tidewatch::model::batch::padded;
use tidewatch::model::config::{Device, ModelConfig};
use tidewatch::model::error::ModelError;
use tidewatch::model::manifest::{Bundle, MODEL_FILE};
use tidewatch::model::onnx::OnnxBackend;
use tidewatch::model::probability::predict;
use tidewatch::model::scorer::Scorer;
use tidewatch::record::{Batch, Encoded, Prediction};
use tidewatch::train::export::{ExportOptions, Form, Storage};

use crate::harness::{LABELS, SmallBundle, default_model, semeval_files};

fn open(bundle: &SmallBundle) -> OnnxBackend {
    OnnxBackend::open(&Bundle::open(bundle.path()).unwrap(), &bundle.config()).unwrap()
}

/// Rows of some length each, padded.
fn batch(lengths: &[usize]) -> Batch {
    let width = *lengths.iter().max().unwrap();
    let cells = |value: fn(usize) -> i64, padding| {
        lengths
            .iter()
            .flat_map(|&length| {
                (0..width).map(move |i| if i < length { value(i) } else { padding })
            })
            .collect()
    };
    Batch {
        ids: cells(|i| (i * 7 % 60 + 4) as i64, 0),
        mask: cells(|_| 1, 0),
        rows: lengths.len(),
        width,
        members: (0..lengths.len()).collect(),
    }
}

#[test]
fn every_form_and_storage_scores_a_row_the_same_alone_and_beside_longer_ones() {
    for form in [Form::Plain, Form::Fused] {
        for weights in [Storage::Float32, Storage::Int8] {
            let bundle = SmallBundle::written(ExportOptions { form, weights }, |_| {});
            let mut backend = open(&bundle);
            assert_eq!((backend.labels(), backend.device()), (3, "cpu"));
            let together = backend.infer(&batch(&[4, 30, 9])).unwrap();
            assert_eq!(together.len(), 3 * LABELS.len());
            for (row, length) in [4, 30, 9].into_iter().enumerate() {
                let alone = backend.infer(&batch(&[length])).unwrap();
                for (a, b) in alone.iter().zip(&together[row * 3..]) {
                    assert!(
                        (a - b).abs() < 1e-5,
                        "{form:?} {weights:?} {length}: {a} {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_batch_the_model_cannot_take_fails_alone_and_the_next_one_is_scored() {
    let mut backend = open(&SmallBundle::new());
    let mut foreign = batch(&[5]);
    foreign.ids[2] = 1_000_000;
    let error = backend.infer(&foreign).unwrap_err();
    assert_eq!((error.rows, error.width), (1, 5));
    // More tokens than there are positions.
    backend.infer(&batch(&[65])).unwrap_err();
    backend.infer(&batch(&[5])).unwrap();
}

#[test]
fn a_model_that_is_not_the_manifests_is_refused_when_it_is_opened() {
    let bundle = SmallBundle::written(ExportOptions::default(), |manifest| {
        manifest.labels.truncate(2);
    });
    let error = OnnxBackend::open(&Bundle::open(bundle.path()).unwrap(), &bundle.config());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("logits") && error.contains("2 labels"),
        "{error}"
    );

    std::fs::write(bundle.path().join(MODEL_FILE), "no model").unwrap();
    let error = OnnxBackend::open(&Bundle::open(bundle.path()).unwrap(), &bundle.config());
    assert!(matches!(error, Err(ModelError::Graph { .. })), "{error:?}");
}

#[test]
fn a_gpu_that_was_asked_for_by_name_is_never_silently_replaced() {
    let bundle = SmallBundle::new();
    for device in [Device::Cuda, Device::Tensorrt] {
        let config = ModelConfig {
            device,
            ..bundle.config()
        };
        match OnnxBackend::open(&Bundle::open(bundle.path()).unwrap(), &config) {
            Ok(backend) => assert_ne!(backend.device(), "cpu"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.starts_with("the model cannot run on "), "{error}");
                assert!(error.contains(":0"), "{error}");
            }
        }
    }
}

#[test]
fn auto_runs_somewhere() {
    let bundle = SmallBundle::new();
    let config = ModelConfig {
        device: Device::Auto,
        ..bundle.config()
    };
    let mut backend = OnnxBackend::open(&Bundle::open(bundle.path()).unwrap(), &config).unwrap();
    assert!(["cpu", "cuda:0"].contains(&backend.device()));
    backend.infer(&batch(&[3, 4])).unwrap();
}

fn tidewatch(arguments: &[&str], bundle: &SmallBundle) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args(arguments)
        .arg(bundle.path())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_bundle_is_shown_to_people_and_to_programs() {
    let bundle = SmallBundle::new();
    let shown = text(&tidewatch(&["model", "show"], &bundle).stdout);
    let version = Bundle::open(bundle.path()).unwrap().version;
    for words in [
        &*version,
        "one of negative, neutral, positive",
        "model.onnx",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    let json = tidewatch(&["model", "show", "--json"], &bundle).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["version"], *version);
    assert_eq!(json["manifest"]["labels"][2], "positive");
    assert!(json["bytes"]["model.onnx"].as_u64().unwrap() > 1000);
}

#[test]
fn a_whole_bundle_is_verified_to_the_first_score_and_each_fault_is_named() {
    let bundle = SmallBundle::new();
    let verify = || tidewatch(&["model", "verify", "--device", "cpu"], &bundle);
    let output = verify();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let steps = ["manifest", "files", "tokenizer", "model", "probe"];
    assert_eq!(said.lines().count(), steps.len());
    for (line, step) in said.lines().zip(steps) {
        assert!(line.starts_with(step), "{line}");
    }

    let path = bundle.path().join(MODEL_FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = verify();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("model.onnx was changed") && said.lines().count() == 1,
        "{said}"
    );

    std::fs::remove_file(path).unwrap();
    let said = text(&verify().stderr);
    assert_eq!(said.matches("No such file").count(), 1, "{said}");

    let bundle = SmallBundle::written(ExportOptions::default(), |manifest| {
        manifest.pad_token_id = 1_000_000;
    });
    let output = tidewatch(&["model", "verify"], &bundle);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no token 1000000"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_gpu_that_cannot_be_had_is_one_sentence_that_says_why() {
    let bundle = SmallBundle::new();
    let output = tidewatch(
        &[
            "model",
            "verify",
            "--device",
            "cuda",
            "--device-number",
            "7",
        ],
        &bundle,
    );
    assert_eq!(output.status.code(), Some(1), "a machine with eight GPUs?");
    let said = text(&output.stderr);
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains("cannot run on cuda:7: "), "{said}");
}

/// Real texts, spread over the files that hold them.
fn real_texts(files: &[PathBuf], count: usize) -> Vec<String> {
    let contents: Vec<String> = files
        .iter()
        .map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned())
        .collect();
    let lines: Vec<&str> = contents
        .iter()
        .flat_map(|content| content.lines())
        .collect();
    let texts = lines.iter().step_by(lines.len() / count).take(count);
    texts
        .map(|line| line.split('\t').nth(2).unwrap_or(line).to_owned())
        .collect()
}

#[test]
fn predictions_do_not_depend_on_neighbours() {
    const COUNT: usize = 500;
    let Some(files) = semeval_files("predictions_do_not_depend_on_neighbours") else {
        return;
    };
    let config = ModelConfig {
        path: default_model(),
        device: Device::Auto,
        device_number: 0,
        threads: 0,
    };
    let (tokenizer, mut inference) = Scorer::open(&config.path, &config).unwrap().split();
    let encoded: Vec<Encoded> = real_texts(&files, COUNT)
        .iter()
        .map(|text| tokenizer.encode(text))
        .collect();
    assert_eq!(encoded.len(), COUNT);

    // In batches of some budget, the texts in some order; the predictions in the texts' own order.
    let mut in_order = |order: &[usize], max_tokens| {
        let texts: Vec<Encoded> = order.iter().map(|&index| encoded[index].clone()).collect();
        let results = inference.infer(&texts, max_tokens, || false).unwrap();
        let mut predictions: Vec<(usize, Prediction)> = order
            .iter()
            .copied()
            .zip(results.into_iter().map(Result::unwrap))
            .collect();
        predictions.sort_by_key(|(index, _)| *index);
        predictions
            .into_iter()
            .map(|(_, prediction)| prediction)
            .collect::<Vec<_>>()
    };
    let forwards: Vec<usize> = (0..COUNT).collect();
    let backwards: Vec<usize> = (0..COUNT).rev().collect();
    let mut shuffled = forwards.clone();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let alone = in_order(&forwards, 1);
    let mut compared = vec![
        ("in order", in_order(&forwards, 2048)),
        ("in reverse", in_order(&backwards, 2048)),
        (
            "in small batches of another order",
            in_order(&shuffled, 300),
        ),
    ];

    // The service sorts texts by length; short ones beside the longest, padded to its length, must not differ either.
    let bundle = Bundle::open(&config.path).unwrap();
    let mut backend = OnnxBackend::open(&bundle, &config).unwrap();
    let mut mixed = vec![None; COUNT];
    for members in shuffled.chunks(17) {
        let batch = padded(&encoded, members, bundle.manifest.pad_token_id);
        let logits = backend.infer(&batch).unwrap();
        for (&member, row) in members.iter().zip(logits.chunks(backend.labels())) {
            mixed[member] = Some(predict(
                row,
                bundle.manifest.temperature,
                bundle.manifest.problem,
            ));
        }
    }
    compared.push(("unsorted", mixed.into_iter().map(Option::unwrap).collect()));

    for (how, predictions) in compared {
        let mut largest = 0.0_f32;
        for (index, (one, other)) in alone.iter().zip(&predictions).enumerate() {
            assert_eq!(one.label, other.label, "text {index}, {how}");
            for (a, b) in one.probabilities.iter().zip(&other.probabilities) {
                largest = largest.max((a - b).abs());
            }
        }
        eprintln!("{how}: probabilities differ by at most {largest:e}");
        assert!(largest <= 1e-4, "{how}: {largest}");
    }
}
