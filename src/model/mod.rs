//! Model bundles: what they hold, how they are loaded, and how they score a batch.

pub mod backend;
pub mod config;
pub mod error;
mod library;
pub mod manifest;
pub mod onnx;
pub mod probability;
