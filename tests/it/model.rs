//! Models on ONNX Runtime, in this process and through `tidewatch model`.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use tidewatch::model::backend::Backend;
use tidewatch::model::config::{Device, ModelConfig};
use tidewatch::model::error::ModelError;
use tidewatch::model::manifest::{Bundle, MODEL_FILE};
use tidewatch::model::onnx::OnnxBackend;
use tidewatch::record::Batch;
use tidewatch::train::export::{ExportOptions, Form, Storage};

use crate::harness::{LABELS, SmallBundle};

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
