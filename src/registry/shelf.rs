//! Bundles in a folder, each under its version: a depot on a disk, and the cache of a bucket.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::error::RegistryError;
use crate::durable;
use crate::fault;
use crate::model::manifest::{Bundle, BundleError, MANIFEST_FILE};

/// What a bundle stands in while it is written.
const INCOMING: &str = ".incoming-";
/// What a bundle stands in while it is deleted.
const REMOVED: &str = ".removed-";

/// A folder whose folders are bundles. Whatever stands under a version was whole when it got that name.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    root: PathBuf,
}

/// What stands in a depot under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Whether it has a manifest, which is written last.
    pub(super) is_whole: bool,
    /// When something of it was last written.
    pub(super) modified: SystemTime,
}

/// Whether a name is that of a bundle: the hex SHA-256 of a manifest.
pub(super) fn is_version(name: &str) -> bool {
    name.len() == 64
        && name
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl Shelf {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, version: &str) -> PathBuf {
        self.root.join(version)
    }

    /// The bundle of a version, every file of it verified; `None` where there is none.
    pub(super) fn get(&self, version: &str) -> Result<Option<Bundle>, RegistryError> {
        let path = self.path(version);
        if !path.exists() {
            return Ok(None);
        }
        let bundle = Bundle::open(&path)?;
        require_version(&bundle, version)?;
        bundle.verify()?;
        Ok(Some(bundle))
    }

    /// Copies a bundle here, unless it stands here whole; says whether it was copied.
    pub(super) fn put(&self, bundle: &Bundle) -> Result<bool, RegistryError> {
        match self.get(&bundle.version) {
            Ok(Some(_)) => return Ok(false),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "what stands in the depot is damaged, and is replaced");
            }
        }
        let stage = self.stage()?;
        for (name, sha256) in &bundle.manifest.files {
            stage.copy(bundle, name, sha256)?;
            fault::point("bundle-file-copied");
        }
        let path = bundle.file(MANIFEST_FILE);
        let manifest = fs::read(&path).map_err(|source| BundleError::Read { path, source })?;
        stage.finish(&bundle.version, &manifest)?;
        Ok(true)
    }

    /// A place beside the bundles, to write one in.
    pub(super) fn stage(&self) -> Result<Stage, RegistryError> {
        let failed = |source| failed(&self.root, "written", source);
        fs::create_dir_all(&self.root).map_err(failed)?;
        let folder = tempfile::Builder::new()
            .prefix(INCOMING)
            .tempdir_in(&self.root)
            .map_err(failed)?;
        // A temporary folder is private to its maker; a bundle may be read by whoever runs the service.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).map_err(failed)?;
        Ok(Stage {
            shelf: self.clone(),
            folder,
        })
    }

    /// All that stands here.
    pub(super) fn list(&self) -> Result<Vec<Entry>, RegistryError> {
        let failed = |source| failed(&self.root, "read", source);
        let folders = match fs::read_dir(&self.root) {
            Ok(folders) => folders,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut entries = Vec::new();
        for folder in folders {
            let folder = folder.map_err(failed)?;
            let name = folder.file_name().to_string_lossy().into_owned();
            let is_ours =
                is_version(&name) || name.starts_with(INCOMING) || name.starts_with(REMOVED);
            if is_ours && folder.file_type().map_err(failed)?.is_dir() {
                entries.push(entry(name, &folder.path()).map_err(failed)?);
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Deletes what stands under a name. In the same moment it is no bundle any more.
    pub(super) fn remove(&self, name: &str) -> Result<(), RegistryError> {
        let path = self.path(name);
        let failed = |source| failed(&path, "removed", source);
        let grave = tempfile::Builder::new()
            .prefix(REMOVED)
            .tempdir_in(&self.root)
            .map_err(failed)?;
        match fs::rename(&path, grave.path().join("bundle")) {
            // Another was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(failed)?,
        }
        durable::sync_folder(&self.root).map_err(failed)?;
        grave.close().map_err(failed)
    }
}

fn failed(path: &Path, done: &'static str, source: io::Error) -> RegistryError {
    RegistryError::Folder {
        path: path.to_owned(),
        done,
        source,
    }
}

fn entry(name: String, path: &Path) -> io::Result<Entry> {
    let mut bytes = 0;
    let mut modified = fs::metadata(path)?.modified()?;
    for file in fs::read_dir(path)? {
        let file = file?.metadata()?;
        bytes += file.len();
        modified = modified.max(file.modified()?);
    }
    Ok(Entry {
        is_whole: is_version(&name) && path.join(MANIFEST_FILE).exists(),
        name,
        bytes,
        modified,
    })
}

/// Refuses a bundle that is another than the one that was meant.
pub(super) fn require_version(bundle: &Bundle, version: &str) -> Result<(), RegistryError> {
    if bundle.version == version {
        return Ok(());
    }
    Err(RegistryError::OtherVersion {
        folder: bundle.dir.clone(),
        is: bundle.version.clone(),
        expected: version.to_owned(),
    })
}

/// A bundle on its way. Dropped before it is finished, it leaves nothing.
pub(super) struct Stage {
    shelf: Shelf,
    folder: TempDir,
}

/// A file on its way.
pub(super) struct Incoming {
    path: PathBuf,
    file: File,
    hash: Sha256,
}

impl Incoming {
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        self.hash.update(bytes);
        let path = &self.path;
        self.file
            .write_all(bytes)
            .map_err(|source| failed(path, "written", source))
    }

    /// Waits until it is on the disk; returns its hex SHA-256.
    pub(super) fn finish(self) -> Result<String, RegistryError> {
        self.file
            .sync_all()
            .map_err(|source| failed(&self.path, "written", source))?;
        Ok(hex::encode(self.hash.finalize()))
    }
}

impl Stage {
    /// Begins a file in it.
    pub(super) fn begin(&self, name: &str) -> Result<Incoming, RegistryError> {
        let path = self.folder.path().join(name);
        let file = File::create_new(&path).map_err(|source| failed(&path, "written", source))?;
        Ok(Incoming {
            path,
            file,
            hash: Sha256::new(),
        })
    }

    /// Copies a file of a bundle into it, which must be the one of the manifest.
    fn copy(&self, bundle: &Bundle, name: &str, sha256: &str) -> Result<(), RegistryError> {
        let path = bundle.file(name);
        let unreadable = |source| BundleError::Read {
            path: path.clone(),
            source,
        };
        let mut from = File::open(&path).map_err(unreadable)?;
        let mut to = self.begin(name)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match from.read(&mut buffer).map_err(unreadable)? {
                0 => break,
                count => to.add(&buffer[..count])?,
            }
        }
        let is = to.finish()?;
        if is == sha256 {
            return Ok(());
        }
        let expected = sha256.to_owned();
        Err(BundleError::Changed { path, is, expected }.into())
    }

    /// Writes the manifest, reads everything back, and gives the bundle its name.
    pub(super) fn finish(self, version: &str, manifest: &[u8]) -> Result<Bundle, RegistryError> {
        let target = self.shelf.path(version);
        let failed = |source| failed(&target, "written", source);
        durable::write(&self.folder.path().join(MANIFEST_FILE), manifest).map_err(failed)?;
        let written = Bundle::open(self.folder.path())?;
        require_version(&written, version)?;
        written.verify()?;
        durable::sync_folder(self.folder.path()).map_err(failed)?;
        fault::point("bundle-copied");
        if let Err(error) = fs::rename(self.folder.path(), &target) {
            if !matches!(
                error.kind(),
                ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists
            ) {
                return Err(failed(error));
            }
            // Another was faster with the same bundle, or what stands there is damaged.
            if let Ok(Some(bundle)) = self.shelf.get(version) {
                return Ok(bundle);
            }
            self.shelf.remove(version)?;
            fs::rename(self.folder.path(), &target).map_err(failed)?;
        }
        // It has its final name now: forget the temporary one instead of removing it.
        let _ = self.folder.keep();
        durable::sync_folder(&self.shelf.root).map_err(failed)?;
        Ok(Bundle::open(&target)?)
    }
}
