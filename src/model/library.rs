//! ONNX Runtime's shared library: found and loaded when a model is first opened, once for the process.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::{LoadDynamicError, MINOR_VERSION};

use super::config::Device;
use super::error::ModelError;
use crate::nearby::find_upwards;

/// Names the library, over everything that would be found.
const VARIABLE: &str = "ORT_DYLIB_PATH";
const NAME: &str = "libonnxruntime.so";
/// Where `scripts/setup` puts it.
const SET_UP: &str = ".tidewatch/onnxruntime/libonnxruntime.so";
/// Where `scripts/setup --cuda` puts the one for CUDA.
const SET_UP_CUDA: &str = ".tidewatch/onnxruntime-cuda/libonnxruntime.so";
/// What distributions call it: with and without their development package.
const SYSTEM: [&str; 2] = [NAME, "libonnxruntime.so.1"];

/// ONNX Runtime, loaded.
#[derive(Clone)]
pub(super) struct Runtime {
    pub environment: Environment,
    /// The library's file, or the name under which the system knows it.
    pub path: PathBuf,
}

/// One process loads one library, and it has one environment: both are kept for good. A failed attempt leaves nothing.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// Loads the library for a model that is to run on `device`, or returns the one loaded before.
pub(super) fn load(device: Device) -> Result<Runtime, ModelError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*loaded {
        return Ok(runtime.clone());
    }
    let runtime = match place(std::env::var_os(VARIABLE).map(PathBuf::from), device) {
        Some(path) => open(&path)?,
        None => open_systems()?,
    };
    tracing::info!(
        path = %runtime.path.display(),
        build = ort::info(),
        "loaded ONNX Runtime"
    );
    Ok(loaded.insert(runtime).clone())
}

/// The library's path, unless it is left to the system to know one.
fn place(named: Option<PathBuf>, device: Device) -> Option<PathBuf> {
    if let Some(path) = named.filter(|path| !path.as_os_str().is_empty()) {
        // A bare name is the system's to resolve, all else is relative to the current folder.
        return match std::path::absolute(&path) {
            Ok(absolute) if absolute.exists() || path.components().count() > 1 => Some(absolute),
            _ => Some(path),
        };
    }
    let beside = std::env::current_exe()
        .ok()
        .map(|executable| executable.with_file_name(NAME))
        .filter(|path| path.exists());
    beside
        .or_else(|| {
            (device != Device::Cpu)
                .then(|| find_upwards(SET_UP_CUDA))
                .flatten()
        })
        .or_else(|| find_upwards(SET_UP))
}

fn open_systems() -> Result<Runtime, ModelError> {
    for name in SYSTEM {
        match open(Path::new(name)) {
            // The dynamic loader tells a library that is missing from one that is broken in words only.
            Err(ModelError::Library { reason, .. })
                if reason.contains("cannot open shared object") => {}
            result => return result,
        }
    }
    let folder = |path: std::io::Result<PathBuf>| {
        path.map_or_else(|_| "?".into(), |path| path.display().to_string())
    };
    let executable = std::env::current_exe().map(|path| path.with_file_name(""));
    Err(ModelError::NoLibrary {
        looked: format!(
            "{NAME} in {}, for {SET_UP} there, in {} and in the folders above each, and for {} among the system's \
             libraries",
            folder(executable),
            folder(std::env::current_dir()),
            SYSTEM.join(" or "),
        ),
    })
}

/// Loads one library. `init_from` asks it for its version before anything else is called in it.
fn open(path: &Path) -> Result<Runtime, ModelError> {
    let refuse = |reason: String| ModelError::Library {
        path: path.into(),
        reason,
        needed: MINOR_VERSION,
    };
    if is_cut_off(path).unwrap_or(false) {
        return Err(refuse("its end is missing".to_owned()));
    }
    let builder = ort::init_from(path).map_err(|error| {
        refuse(match error {
            LoadDynamicError::Dlopen { error, .. } => {
                format!("it does not load ({})", cause(&error))
            }
            LoadDynamicError::BadVersion { version_str, .. } => {
                format!(
                    "it is version {version_str}, and 1.{MINOR_VERSION} is the oldest that will do"
                )
            }
            other => format!("it is another library ({other})"),
        })
    })?;
    let environment = builder
        .with_name("tidewatch")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|error| refuse(format!("it does not start ({error})")))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(Runtime {
        environment,
        path: path.into(),
    })
}

/// What the dynamic loader says; the error itself only names the call.
fn cause(error: &dyn Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// Whether a file ends before the last of what its ELF header has loaded. The dynamic loader maps such a library all the
/// same, and whoever reads beyond its end is killed.
fn is_cut_off(path: &Path) -> io::Result<bool> {
    const MAGIC_64_BIT_LITTLE_ENDIAN: &[u8] = b"\x7fELF\x02\x01";
    const LOADED: u64 = 1;
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut header = [0; 64];
    file.read_exact(&mut header)?;
    if !header.starts_with(MAGIC_64_BIT_LITTLE_ENDIAN) {
        return Ok(false);
    }
    let number = |bytes: &[u8], at: usize, width: usize| {
        let read = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        bytes[at..at + width].iter().rev().fold(0, read)
    };
    // Names as in elf(5): e_phoff, e_phentsize and e_phnum, then p_type, p_offset and p_filesz.
    let (start, width, count) = (
        number(&header, 32, 8),
        number(&header, 54, 2),
        number(&header, 56, 2),
    );
    for index in 0..count {
        let mut segment = [0; 56];
        file.seek(SeekFrom::Start(start.saturating_add(index * width)))?;
        file.read_exact(&mut segment)?;
        let end = number(&segment, 8, 8).saturating_add(number(&segment, 32, 8));
        if number(&segment, 0, 4) == LOADED && end > size {
            return Ok(true);
        }
    }
    Ok(false)
}

/// ONNX Runtime's own messages, as events. A failed call is also reported where it was made, so that what ONNX Runtime calls
/// an error is for whoever looks closer.
fn log(level: LogLevel, _category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(target: "onnxruntime", location, "{message}"),
        LogLevel::Info => tracing::debug!(target: "onnxruntime", location, "{message}"),
        LogLevel::Warning | LogLevel::Error => {
            tracing::warn!(target: "onnxruntime", location, "{message}");
        }
        LogLevel::Fatal => tracing::error!(target: "onnxruntime", location, "{message}"),
    }
}

/// The CUDA libraries that ONNX Runtime's provider needs, by the beginnings of their names.
const CUDA_LIBRARIES: [&str; 7] = [
    "libcudart",
    "libcublas",
    "libcufft",
    "libcurand",
    "libcudnn",
    "libnvrtc",
    "libnvJitLink",
];

/// Loads the CUDA libraries that lie beside ONNX Runtime: its CUDA provider finds what is loaded already, and looks for the
/// rest among the system's libraries only. Returns the faults of those that do not load.
pub(super) fn preload_cuda(runtime: &Runtime) -> Vec<String> {
    let entries = runtime.path.parent().map(std::fs::read_dir);
    let Some(Ok(entries)) = entries else {
        return Vec::new();
    };
    let mut waiting: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.contains(".so") && CUDA_LIBRARIES.iter().any(|begin| name.starts_with(begin))
        })
        .collect();
    // They need each other: whatever fails is tried again as long as others have come in.
    loop {
        let before = waiting.len();
        let mut faults = Vec::new();
        waiting.retain(|path| {
            preload(path)
                .inspect_err(|fault| faults.push(fault.clone()))
                .is_err()
        });
        if waiting.is_empty() || waiting.len() == before {
            return faults;
        }
    }
}

fn preload(path: &Path) -> Result<(), String> {
    if is_cut_off(path).unwrap_or(false) {
        return Err(format!("{}: its end is missing", path.display()));
    }
    ort::util::preload_dylib(path).map_err(|error| cause(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_library_is_taken_before_any_other_and_relative_to_the_current_folder() {
        let absolute = std::env::current_dir().unwrap().join("lib/x.so");
        assert_eq!(place(Some("lib/x.so".into()), Device::Cpu), Some(absolute));
        assert_eq!(
            place(Some("libother.so".into()), Device::Auto),
            Some("libother.so".into())
        );
    }

    #[test]
    fn a_file_that_is_no_library_is_refused_with_what_the_loader_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "not a library").unwrap();
        let error = open(file.path()).err().unwrap().to_string();
        assert!(error.contains("does not load"), "{error}");
        assert!(error.contains("too short"), "{error}");
        assert!(error.contains(file.path().to_str().unwrap()), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn a_library_that_was_copied_in_part_is_refused_before_it_is_mapped() {
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &whole).unwrap();
        assert!(!is_cut_off(file.path()).unwrap());
        std::fs::write(file.path(), &whole[..8192]).unwrap();
        assert!(is_cut_off(file.path()).unwrap());
        let error = open(file.path()).err().unwrap().to_string();
        assert!(error.contains("its end is missing"), "{error}");
    }

    #[test]
    fn the_loaders_word_for_a_missing_library_is_known() {
        let error = open(Path::new("libtidewatch-has-no-such-library.so"));
        let error = error.err().unwrap().to_string();
        assert!(error.contains("cannot open shared object"), "{error}");
    }
}
