//! `manifest.json`: what a bundle says of itself, and opening a bundle by it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ensemble::Members;
use crate::adjustment::Adjustment;
use crate::record::{ModelVersion, Problem};

/// The contents of `manifest.json`. Its exact bytes, hashed with SHA-256, name the bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this layout: 1, or 2 for a bundle that was derived from others.
    pub format: u32,
    /// A name for people, such as `semeval-minilm`.
    pub name: String,
    /// In the order of the model's outputs.
    pub labels: Vec<String>,
    pub problem: Problem,
    /// The longest input in tokens, special tokens included; longer texts are cut.
    pub max_tokens: usize,
    /// The id of the padding token.
    pub pad_token_id: u32,
    /// Logits are divided by this before the softmax (temperature scaling: Guo et al. 2017, section 4.2).
    pub temperature: f64,
    /// Version of the bundle this one was trained from, if it was one; of an adjusted one, the original.
    pub parent: Option<String>,
    /// What it does to the probabilities of its parent, of which it has all files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjustment: Option<Adjustment>,
    /// The models whose answers are pooled into this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<Members>,
    /// Version of the code that wrote the bundle.
    pub code_version: String,
    /// The recipe as it was run, with its seed.
    pub recipe: serde_json::Value,
    /// The files it was trained, validated and otherwise made on.
    pub data: Vec<DataFile>,
    /// SHA-256 of every other file in the bundle, by its name, in hex.
    pub files: BTreeMap<String, String>,
    /// Metrics on the validation split, by name (`macro_recall`, `accuracy`, …).
    pub metrics: BTreeMap<String, Metric>,
    /// SPDX expressions or sentences, by what they cover (`weights`, `data`, …).
    pub licences: BTreeMap<String, String>,
}

/// One input file of a training run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    pub name: String,
    pub sha256: String,
    /// `train`, `validation`, `test`, `baseline`, or `calibration` for the messages by which it was recalibrated.
    pub role: String,
    /// Examples used from it.
    pub examples: usize,
    /// The earliest and latest event time of those examples, where they have one.
    pub span: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// A metric with its 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub value: f64,
    /// Lower and upper bound.
    pub interval: Option<(f64, f64)>,
}

/// The layout of a bundle that was trained.
pub const FORMAT: u32 = 1;
/// The layout of a bundle that was derived from others: code that knows only [`FORMAT`] must not run it.
pub const FORMAT_DERIVED: u32 = 2;
/// Name of the manifest in a bundle.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Name of the model: inputs `input_ids` and `attention_mask`, int64 `[batch, sequence]`; output `logits`,
/// float `[batch, labels]`.
pub const MODEL_FILE: &str = "model.onnx";
/// Name of the tokenizer, in the format of Hugging Face's tokenizers; it neither cuts nor pads.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// Name of the baseline that live messages are compared with; not every bundle has one.
pub const BASELINE_FILE: &str = "baseline.json";
/// What [`DataFile::role`] says of data that only the baseline is made of.
pub const BASELINE_ROLE: &str = "baseline";
/// Name of what the trainer says of the model's quality; not every bundle has one.
pub const REPORT_FILE: &str = "report.json";

/// Options an ONNX Runtime session needs to run [`MODEL_FILE`] at full speed.
///
/// Weights may be stored in 8 bits behind `DequantizeLinear`. ONNX Runtime expands them once, while it
/// loads the model, only where its own handling of quantised models is off; otherwise it would expand
/// them anew in every call.
pub const SESSION_OPTIONS: [(&str, &str); 1] = [("session.disable_quant_qdq", "1")];

/// A bundle on disk whose manifest makes sense and whose files are there.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// The folder.
    pub dir: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The hex SHA-256 of the manifest's bytes: the bundle's identity.
    pub version: String,
}

/// Why a folder is no bundle that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file is missing or cannot be read.
    #[error("{path} cannot be read ({source}); check that the path names a whole model bundle")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The manifest is no manifest of this format.
    #[error(
        "{path} is not a usable manifest: {reason}; get the bundle again or rebuild it with tidewatch-finetune"
    )]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is not the one the manifest was written for.
    #[error(
        "{path} was changed: its sha256 is {is}, the manifest says {expected}; get the bundle again"
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its hash.
        is: String,
        /// The hash in the manifest.
        expected: String,
    },
}

impl Bundle {
    /// Opens a bundle: parses its manifest and checks that every file it names is there. The files'
    /// contents are checked by [`Bundle::verify`].
    ///
    /// # Errors
    /// [`BundleError`] when the folder is no bundle of this format.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, BundleError> {
        let dir = dir.as_ref().to_path_buf();
        let path = dir.join(MANIFEST_FILE);
        let bytes = fs::read(&path).map_err(|source| BundleError::Read {
            path: path.clone(),
            source,
        })?;
        let refuse = |reason: String| BundleError::Manifest {
            path: path.clone(),
            reason,
        };
        let manifest = Manifest::parse(&bytes).map_err(refuse)?;
        for name in manifest.files.keys() {
            let path = dir.join(name);
            fs::metadata(&path).map_err(|source| BundleError::Read { path, source })?;
        }
        Ok(Self {
            dir,
            manifest,
            version: hex::encode(Sha256::digest(&bytes)),
        })
    }

    /// Checks that every file has the contents the manifest was written for.
    ///
    /// # Errors
    /// [`BundleError`] naming the first file that cannot be read or was changed.
    pub fn verify(&self) -> Result<(), BundleError> {
        for (name, expected) in &self.manifest.files {
            let path = self.file(name);
            let is = sha256_of(&path).map_err(|source| BundleError::Read {
                path: path.clone(),
                source,
            })?;
            if is != *expected {
                return Err(BundleError::Changed {
                    path,
                    is,
                    expected: expected.clone(),
                });
            }
        }
        Ok(())
    }

    /// The path of one of the bundle's files.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The version, labels and problem type, as results carry them.
    #[must_use]
    pub fn model_version(&self) -> ModelVersion {
        ModelVersion {
            version: self.version.clone(),
            labels: self.manifest.labels.clone(),
            problem: self.manifest.problem,
        }
    }
}

impl Manifest {
    /// Reads and checks the bytes of a manifest.
    ///
    /// # Errors
    /// What makes it unusable.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The SHA-256 of the model, in hexadecimal: of its file, or of an ensemble, of what says which models it is made of.
    #[must_use]
    pub fn model_sha256(&self) -> String {
        match &self.ensemble {
            None => self.sha256(MODEL_FILE).to_owned(),
            Some(members) => hex::encode(Sha256::digest(
                serde_json::to_vec(members).unwrap_or_default(),
            )),
        }
    }

    /// The SHA-256 of one of its files, in hexadecimal; empty where it names no such file.
    #[must_use]
    pub fn sha256(&self, file: &str) -> &str {
        self.files.get(file).map_or("", String::as_str)
    }

    /// Says what makes this manifest unusable, if anything does.
    fn check(&self) -> Result<(), String> {
        if !(FORMAT..=FORMAT_DERIVED).contains(&self.format) {
            return Err(format!(
                "it has format {}, this version reads formats {FORMAT} and {FORMAT_DERIVED}",
                self.format
            ));
        }
        let distinct: BTreeSet<_> = self.labels.iter().collect();
        if self.labels.is_empty() || distinct.len() != self.labels.len() {
            return Err(format!(
                "its labels {:?} are not distinct names",
                self.labels
            ));
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(format!(
                "its temperature {} is not a positive number",
                self.temperature
            ));
        }
        // Room for the two special tokens and one of the text.
        if self.max_tokens < 3 {
            return Err(format!(
                "its max_tokens {} leave no room for a text",
                self.max_tokens
            ));
        }
        let needed = match self.ensemble {
            None => &[MODEL_FILE, TOKENIZER_FILE][..],
            Some(_) => &[TOKENIZER_FILE],
        };
        for name in needed {
            if !self.files.contains_key(*name) {
                return Err(format!("it does not name {name}"));
            }
        }
        self.check_derived()?;
        // A name with folders in it could reach outside the bundle.
        match self
            .files
            .keys()
            .find(|name| Path::new(name).file_name() != Some(OsStr::new(name)))
        {
            Some(name) => Err(format!("{name:?} is not a plain file name")),
            None => Ok(()),
        }
    }
}

impl Manifest {
    /// Says what is wrong with how it was derived, if it was.
    fn check_derived(&self) -> Result<(), String> {
        let derived = self.format == FORMAT_DERIVED;
        match (&self.adjustment, &self.ensemble) {
            (None, None) if !derived => Ok(()),
            (Some(adjustment), None) if derived => {
                if self.problem == Problem::MultiLabel {
                    return Err(
                        "it adjusts a model that may give a text several labels, and only one with one label a text can be"
                            .to_owned(),
                    );
                }
                if self.parent.is_none() {
                    return Err("it has an adjustment, and no parent".to_owned());
                }
                let to = adjustment.recalibration.map(|held| held.to);
                if to.is_some_and(|to| (to - self.temperature).abs() > f64::EPSILON * to) {
                    return Err(
                        "its adjustment has another temperature than it has itself".to_owned()
                    );
                }
                adjustment.check(self.labels.len())
            }
            (None, Some(members)) if derived => members.check(self.problem, &self.files),
            _ => Err(format!(
                "format {FORMAT} is of a bundle without adjustment and ensemble, {FORMAT_DERIVED} of one with one of the two"
            )),
        }
    }
}

/// The hex SHA-256 of a file's contents.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests;
