//! Writing a bundle: all files into a folder beside the target, checked, then renamed into place.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::durable;
use crate::model::manifest::{Bundle, BundleError, MANIFEST_FILE, Manifest};

/// Why a bundle was not written. Nothing is left behind in that case.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The target exists: bundles are immutable, and never overwritten.
    #[error("{0} exists already; name another folder for the bundle or remove that one first")]
    Exists(PathBuf),
    /// The folder or a file could not be written.
    #[error(
        "the bundle cannot be written at {path} ({source}); check the permissions and the free space"
    )]
    Write {
        /// What was being written.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// What was written does not read back as a bundle.
    #[error("the bundle just written does not read back: {0}")]
    ReadBack(#[from] BundleError),
}

/// Refuses a target that exists, so that a run can find out before it has done all the work.
///
/// # Errors
/// [`WriteError::Exists`].
pub fn refuse_existing(target: &Path) -> Result<(), WriteError> {
    match target.symlink_metadata() {
        Ok(_) => Err(WriteError::Exists(target.into())),
        Err(_) => Ok(()),
    }
}

/// Writes a bundle to `target`, which must not exist, and returns it opened and verified.
///
/// `files` are all files but the manifest, by name; their hashes are put into the manifest. A reader
/// sees either no bundle or the whole one, also after a crash.
///
/// # Errors
/// [`WriteError`]; then nothing stands at `target`.
pub fn write(
    target: &Path,
    mut manifest: Manifest,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<Bundle, WriteError> {
    refuse_existing(target)?;
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| WriteError::Write { path, source }
    };
    let parent = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed(parent))?;
    let name = target
        .file_name()
        .unwrap_or(OsStr::new("bundle"))
        .to_string_lossy();
    let folder = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .tempdir_in(parent)
        .map_err(failed(parent))?;
    // A temporary folder is private to its maker; a bundle may be read by whoever runs the service.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
        .map_err(failed(folder.path()))?;

    for (name, contents) in files {
        manifest
            .files
            .insert(name.clone(), hex::encode(Sha256::digest(contents)));
        let path = folder.path().join(name);
        durable::write(&path, contents).map_err(failed(&path))?;
    }
    let mut text = serde_json::to_vec_pretty(&manifest).expect("a manifest has only string keys");
    text.push(b'\n');
    let path = folder.path().join(MANIFEST_FILE);
    durable::write(&path, &text).map_err(failed(&path))?;
    Bundle::open(folder.path())?.verify()?;

    durable::sync_folder(folder.path()).map_err(failed(folder.path()))?;
    fs::rename(folder.path(), target).map_err(failed(target))?;
    // It has its final name now: forget the temporary one instead of removing it.
    let _ = folder.keep();
    durable::sync_folder(parent).map_err(failed(parent))?;
    Ok(Bundle::open(target)?)
}

#[cfg(test)]
mod tests {
    use crate::model::manifest::{FORMAT, MODEL_FILE, TOKENIZER_FILE};
    use crate::record::Problem;

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            name: "test".into(),
            labels: vec!["no".into(), "yes".into()],
            problem: Problem::SingleLabel,
            max_tokens: 64,
            pad_token_id: 0,
            temperature: 1.5,
            parent: None,
            adjustment: None,
            ensemble: None,
            code_version: "0".into(),
            recipe: serde_json::json!({"seed": 1}),
            data: Vec::new(),
            files: BTreeMap::new(),
            metrics: BTreeMap::new(),
            licences: BTreeMap::new(),
        }
    }

    fn files() -> BTreeMap<String, Vec<u8>> {
        [MODEL_FILE, TOKENIZER_FILE]
            .map(|name| (name.into(), name.into()))
            .into()
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_written_bundle_opens_verified_and_readable_by_all_with_nothing_left_beside_it() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("models").join("first");
        let bundle = write(&target, manifest(), &files()).unwrap();
        bundle.verify().unwrap();
        assert_eq!(bundle.dir, target);
        assert_eq!(
            entries(target.parent().unwrap()),
            1,
            "only the bundle itself"
        );
        assert_eq!(entries(&target), 3);
        assert_eq!(
            fs::metadata(&target).unwrap().permissions().mode() & 0o777,
            0o755
        );
    }

    #[test]
    fn the_same_contents_give_the_same_version_wherever_they_are_written() {
        let parent = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"]
            .map(|name| write(&parent.path().join(name), manifest(), &files()).unwrap());
        assert_eq!(one.version, two.version);
    }

    #[test]
    fn an_existing_bundle_is_never_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("one");
        let before = write(&target, manifest(), &files()).unwrap();
        let mut other = manifest();
        other.temperature = 2.0;
        assert!(matches!(
            write(&target, other, &files()),
            Err(WriteError::Exists(_))
        ));
        assert_eq!(Bundle::open(&target).unwrap(), before);
    }

    #[test]
    fn a_bundle_that_would_not_open_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let mut senseless = manifest();
        senseless.labels.clear();
        let result = write(&parent.path().join("one"), senseless, &files());
        assert!(matches!(result, Err(WriteError::ReadBack(_))));
        assert_eq!(entries(parent.path()), 0);
    }
}
