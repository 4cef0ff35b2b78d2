//! The exported model in ONNX Runtime, on the CPU.

use super::encoder::Model;
use super::error::TrainError;
use super::export::{self, ExportOptions};
use crate::model::config::{Device, ModelConfig};
use crate::model::manifest::MODEL_FILE;
use crate::model::onnx::OnnxBackend;

/// A session over the bytes of an ONNX file.
pub fn open(onnx: &[u8], labels: usize) -> Result<OnnxBackend, TrainError> {
    let folder =
        tempfile::tempdir().map_err(|error| TrainError::write(&std::env::temp_dir(), error))?;
    let path = folder.path().join(MODEL_FILE);
    std::fs::write(&path, onnx).map_err(|error| TrainError::write(&path, error))?;
    let config = ModelConfig {
        path: folder.path().into(),
        device: Device::Cpu,
        device_number: 0,
        threads: 0,
    };
    Ok(OnnxBackend::from_file(&path, labels, &config)?)
}

/// Exports a model that is not yet trained and runs it once, so that a missing ONNX Runtime, or a model
/// that cannot be exported, is known before the hours of training and not after.
pub fn rehearse(model: Model<'_>, options: ExportOptions) -> Result<(), TrainError> {
    let labels = model.layout.classifier.shape.outputs;
    open(&export::to_onnx(model, options), labels).map(drop)
}
