//! Writing a derived bundle: the files of others linked or copied, what is new written, and the manifest last.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::DeriveError;
use crate::model::manifest::{Bundle, MANIFEST_FILE, Manifest};

/// What a file of a derived bundle holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// The same as a file of another bundle, whose SHA-256 is known.
    Same { path: PathBuf, sha256: String },
    /// Something new.
    New(Vec<u8>),
}

impl Content {
    /// A file of a bundle, as its manifest names it.
    #[must_use]
    pub fn of(bundle: &Bundle, name: &str) -> Self {
        Self::Same {
            path: bundle.file(name),
            sha256: bundle.manifest.sha256(name).to_owned(),
        }
    }
}

/// Every file of a bundle but its manifest.
#[must_use]
pub fn files_of(bundle: &Bundle) -> BTreeMap<String, Content> {
    let names = bundle.manifest.files.keys();
    names
        .map(|name| (name.clone(), Content::of(bundle, name)))
        .collect()
}

/// Writes a bundle into an empty folder and opens it; `manifest` is given without its files' hashes. Files of other bundles
/// are hard links where the folder is on the same disk, and copies elsewhere.
///
/// # Errors
/// A file cannot be written, or the manifest makes no sense.
pub fn write(
    folder: &Path,
    mut manifest: Manifest,
    files: BTreeMap<String, Content>,
) -> Result<Bundle, DeriveError> {
    let failed = |path: &Path, source| DeriveError::Write {
        path: path.to_owned(),
        source,
    };
    manifest.files.clear();
    for (name, content) in files {
        let target = folder.join(&name);
        let sha256 = match content {
            Content::Same { path, sha256 } => {
                if fs::hard_link(&path, &target).is_err() {
                    fs::copy(&path, &target).map_err(|source| failed(&target, source))?;
                }
                sha256
            }
            Content::New(bytes) => {
                fs::write(&target, &bytes).map_err(|source| failed(&target, source))?;
                hex::encode(Sha256::digest(&bytes))
            }
        };
        manifest.files.insert(name, sha256);
    }
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(|error| {
        DeriveError::Refused(format!("the manifest cannot be written: {error}"))
    })?;
    text.push(b'\n');
    let path = folder.join(MANIFEST_FILE);
    fs::write(&path, text).map_err(|source| failed(&path, source))?;
    Ok(Bundle::open(folder)?)
}
