//! Files and folders that are still there after a power cut.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Writes a new file and waits until its contents are on the disk; its name needs [`sync_folder`] too.
///
/// # Errors
/// The file exists already, or cannot be written.
pub fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Waits until the names in a folder are on the disk.
///
/// # Errors
/// The folder cannot be read, or the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
