//! Why a model cannot be used.

use std::path::PathBuf;

use super::backend::InferError;
use super::manifest::BundleError;

/// A model that cannot be opened. Each message is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The folder is no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There is no ONNX Runtime on this machine.
    #[error(
        "there is no ONNX Runtime: looked for {looked}; run scripts/setup --onnxruntime, or set ORT_DYLIB_PATH to a \
         libonnxruntime.so"
    )]
    NoLibrary {
        /// What was looked for, and where.
        looked: String,
    },
    /// A file was found, or named, and it is no ONNX Runtime that can be used.
    #[error(
        "{path} cannot be used as ONNX Runtime: {reason}; run scripts/setup --onnxruntime, or set ORT_DYLIB_PATH to a \
         libonnxruntime.so of version 1.{needed} or newer"
    )]
    Library {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The oldest minor version that will do.
        needed: u32,
    },
    /// The device that was asked for cannot be had.
    #[error("the model cannot run on {device}: {reason}")]
    Device {
        /// Such as `cuda:0`.
        device: String,
        /// Why, and what to do about it.
        reason: String,
    },
    /// The model file does not load, or is not the model the bundle describes.
    #[error(
        "{path} is not a model that can be used: {reason}; get the bundle again or rebuild it with tidewatch-finetune"
    )]
    Graph {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokenizer does not load.
    #[error(
        "{path} is not a tokenizer that can be used: {reason}; get the bundle again or rebuild it with \
         tidewatch-finetune"
    )]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model loads, and fails on the first batch.
    #[error(
        "{path} loads, but {source}; get the bundle again or rebuild it with tidewatch-finetune"
    )]
    FirstRun {
        /// The model file.
        path: PathBuf,
        /// The failure.
        source: InferError,
    },
}
