//! The `[model]` section.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which model scores, and where it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The bundle's folder.
    pub path: PathBuf,
    pub device: Device,
    /// Which GPU, counted from 0; ignored on the CPU.
    pub device_number: u32,
    /// Threads inside one inference on the CPU; 0 takes one for each core.
    pub threads: usize,
}

/// Where inference runs. Only `auto` may end up somewhere else than it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// CUDA where it can be had, the CPU otherwise.
    Auto,
    Cpu,
    Cuda,
    Tensorrt,
}
