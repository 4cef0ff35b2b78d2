//! The backend on ONNX Runtime. Beside [`super::library`], which loads it, the only file that names `ort`.

use std::fmt::Display;
use std::path::Path;

use ort::ep::{CUDA, ExecutionProvider, ExecutionProviderDispatch, TensorRT};
use ort::session::builder::SessionBuilder;
use ort::session::{Session, SessionOutputs};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::backend::{Backend, InferError};
use super::config::{Device, ModelConfig};
use super::error::ModelError;
use super::library::{self, Runtime};
use super::manifest::{Bundle, MODEL_FILE, SESSION_OPTIONS};
use crate::record::Batch;

/// Names of the graph's inputs, both int64 `[batch, sequence]`.
const INPUTS: [&str; 2] = ["input_ids", "attention_mask"];
/// Name of its output, float `[batch, labels]`.
const OUTPUT: &str = "logits";
/// Tokens of the batch every session scores before it is used; every bundle takes as many.
const FIRST_TOKENS: usize = 3;

/// An ONNX Runtime session with one model on one device.
#[derive(Debug)]
pub struct OnnxBackend {
    session: Session,
    labels: usize,
    device: String,
}

impl OnnxBackend {
    /// Opens a bundle's model, checks it against the manifest and scores a first batch.
    ///
    /// # Errors
    /// [`ModelError`] when ONNX Runtime, the device or the model cannot be used.
    pub fn open(bundle: &Bundle, config: &ModelConfig) -> Result<Self, ModelError> {
        let labels = bundle.manifest.labels.len();
        Self::from_file(&bundle.file(MODEL_FILE), labels, config)
    }

    /// Opens a model file; [`ModelConfig::path`] plays no part.
    ///
    /// # Errors
    /// As [`OnnxBackend::open`].
    pub fn from_file(path: &Path, labels: usize, config: &ModelConfig) -> Result<Self, ModelError> {
        let runtime = library::load(config.device)?;
        let (session, device) = match config.device {
            Device::Cpu => cpu(&runtime, path, config)?,
            Device::Cuda | Device::Tensorrt => gpu(&runtime, path, config)?,
            Device::Auto => gpu(&runtime, path, config).or_else(|error| match error {
                ModelError::Device { reason, .. } => {
                    tracing::info!(reason, "the model runs on the CPU");
                    cpu(&runtime, path, config)
                }
                other => Err(other),
            })?,
        };
        let refuse = |reason| ModelError::Graph {
            path: path.into(),
            reason,
        };
        check(session.inputs(), session.outputs(), labels).map_err(refuse)?;
        let mut backend = Self {
            session,
            labels,
            device,
        };
        backend.warm(path)?;
        Ok(backend)
    }

    /// Scores a batch for what comes with the first one: libraries, kernels and memory.
    fn warm(&mut self, path: &Path) -> Result<(), ModelError> {
        let batch = Batch {
            ids: vec![0; FIRST_TOKENS],
            mask: vec![1; FIRST_TOKENS],
            rows: 1,
            width: FIRST_TOKENS,
            members: vec![0],
        };
        let failed = |source| ModelError::FirstRun {
            path: path.into(),
            source,
        };
        let logits = self.infer(&batch).map_err(failed)?;
        if logits.iter().all(|logit| logit.is_finite()) {
            return Ok(());
        }
        Err(ModelError::Graph {
            path: path.into(),
            reason: format!("its first answer is {logits:?}"),
        })
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<f32>, String> {
        let shape = [batch.rows, batch.width];
        // ONNX Runtime reads both where they are.
        let ids = TensorRef::from_array_view((shape, batch.ids.as_slice())).map_err(say)?;
        let mask = TensorRef::from_array_view((shape, batch.mask.as_slice())).map_err(say)?;
        let [ids_name, mask_name] = INPUTS;
        let outputs = self
            .session
            .run(ort::inputs![ids_name => ids, mask_name => mask])
            .map_err(say)?;
        logits(&outputs, [batch.rows, self.labels])
    }
}

impl Backend for OnnxBackend {
    fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, InferError> {
        if batch.rows == 0 {
            return Ok(Vec::new());
        }
        self.run(batch).map_err(|reason| InferError {
            rows: batch.rows,
            width: batch.width,
            reason,
        })
    }

    fn labels(&self) -> usize {
        self.labels
    }

    fn device(&self) -> &str {
        &self.device
    }
}

fn logits(outputs: &SessionOutputs<'_>, expected: [usize; 2]) -> Result<Vec<f32>, String> {
    let (shape, values) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(say)?;
    let is: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
    if is != expected {
        return Err(format!(
            "its logits are of shape {is:?} instead of {expected:?}"
        ));
    }
    Ok(values.to_vec())
}

/// An error of ONNX Runtime, in one line and without the place in its own code.
fn say(error: impl Display) -> String {
    let text = error.to_string();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // As in `FILE:LINE FUNCTION [ONNXRuntimeError] : 1 : FAIL : what failed`.
    let said = words
        .rsplit_once("[ONNXRuntimeError] : ")
        .and_then(|(_, coded)| coded.splitn(3, " : ").nth(2));
    said.unwrap_or(&words).to_owned()
}

/// What every session has in common.
fn options(runtime: &Runtime) -> Result<SessionBuilder, ort::Error> {
    let mut builder = Session::builder(&runtime.environment)?
        // It would keep a plan of the memory for every shape it ever meets, and shapes never end.
        .with_memory_pattern(false)?
        .with_inter_threads(1)?;
    for (name, value) in SESSION_OPTIONS {
        builder = builder.with_config_entry(name, value)?;
    }
    Ok(builder)
}

fn cpu(
    runtime: &Runtime,
    path: &Path,
    config: &ModelConfig,
) -> Result<(Session, String), ModelError> {
    let threads = match config.threads {
        // Left to itself, ONNX Runtime counts cores a container may not use, and pins its threads to them.
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let open = || {
        options(runtime)?
            .with_intra_threads(threads)?
            // Threads that spin while they wait take the cores from those that tokenise and commit.
            .with_intra_op_spinning(false)?
            .commit_from_file(path)
    };
    let session = open().map_err(|error: ort::Error| ModelError::Graph {
        path: path.into(),
        reason: say(error),
    })?;
    Ok((session, "cpu".into()))
}

fn gpu(
    runtime: &Runtime,
    path: &Path,
    config: &ModelConfig,
) -> Result<(Session, String), ModelError> {
    let number = config.device_number;
    let id = i32::try_from(number).unwrap_or(i32::MAX);
    // Shortened to TF32, products would move probabilities by more than what a bundle was proven to keep.
    let cuda = CUDA::default().with_device_id(id).with_tf32(false).build();
    let tensorrt = TensorRT::default().with_device_id(id).build();
    let (name, available, providers): (_, _, Vec<ExecutionProviderDispatch>) = match config.device {
        // What TensorRT has no operator for runs on CUDA.
        Device::Tensorrt => ("tensorrt", TensorRT::is_available(), vec![tensorrt, cuda]),
        _ => ("cuda", CUDA::is_available(), vec![cuda]),
    };
    let device = format!("{name}:{number}");
    let refuse = |reason: String| ModelError::Device {
        device: device.clone(),
        reason,
    };
    if !available.map_err(|error| refuse(say(error)))? {
        return Err(refuse(format!(
            "the ONNX Runtime at {} is built without {name}; run scripts/setup --cuda and set ORT_DYLIB_PATH to \
             .tidewatch/onnxruntime-cuda/libonnxruntime.so",
            runtime.path.display()
        )));
    }
    let faults = library::preload_cuda(runtime);
    let providers: Vec<_> = providers
        .into_iter()
        .map(ExecutionProviderDispatch::error_on_failure)
        .collect();
    let open = || {
        let mut builder = options(runtime)?.with_execution_providers(providers)?;
        if config.device == Device::Auto {
            return builder.commit_from_file(path);
        }
        // A graph that would run on the CPU in part is refused: that would be slow without a word.
        builder.with_disable_cpu_fallback()?.commit_from_file(path)
    };
    let session = open().map_err(|error: ort::Error| {
        let said = say(error);
        let mut reasons: Vec<String> = faults
            .into_iter()
            .filter(|fault| !said.contains(fault))
            .collect();
        reasons.insert(0, said);
        reasons.push("docs/models.md says what a GPU needs".to_owned());
        refuse(reasons.join("; "))
    })?;
    Ok((session, device))
}

/// Says in what the graph is not the one a bundle's model must be.
fn check(inputs: &[Outlet], outputs: &[Outlet], labels: usize) -> Result<(), String> {
    let names: Vec<&str> = inputs.iter().map(Outlet::name).collect();
    if names.len() != INPUTS.len() || INPUTS.iter().any(|name| !names.contains(name)) {
        return Err(format!(
            "its inputs are {}, not {}",
            names.join(", "),
            INPUTS.join(", ")
        ));
    }
    for input in inputs {
        let fits = dimensions(input.dtype(), TensorElementType::Int64)
            .is_some_and(|sizes| sizes == [-1, -1]);
        if !fits {
            return Err(format!(
                "its input {} is {}, not int64 of any batch and length",
                input.name(),
                input.dtype()
            ));
        }
    }
    let Some(output) = outputs.iter().find(|output| output.name() == OUTPUT) else {
        return Err(format!("it has no output {OUTPUT}"));
    };
    let fits = dimensions(output.dtype(), TensorElementType::Float32).is_some_and(|sizes| {
        matches!(sizes, [-1, width] if *width == -1 || usize::try_from(*width) == Ok(labels))
    });
    if fits {
        return Ok(());
    }
    Err(format!(
        "its output {OUTPUT} is {}, not float for any batch and {labels} labels",
        output.dtype()
    ))
}

/// The sizes of a tensor of this type, -1 for those that may vary.
fn dimensions(kind: &ValueType, element: TensorElementType) -> Option<&[i64]> {
    match kind {
        ValueType::Tensor { ty, shape, .. } if *ty == element => Some(shape),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_said_without_its_place_in_onnx_runtime() {
        let error = "/src/bridge.cc:2043 Provider& Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load\nx.so : gone";
        assert_eq!(say(error), "Failed to load x.so : gone");
        assert_eq!(say("plain  words"), "plain words");
    }
}
