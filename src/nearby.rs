//! Finding what lies around the program in a clone, wherever it is started.

use std::path::{Path, PathBuf};

/// Looks for `path` in the current folder and those above it, then in the executable's and those above it.
#[must_use]
pub fn find_upwards(path: &str) -> Option<PathBuf> {
    let executable = std::env::current_exe().ok();
    let starts = [std::env::current_dir().ok(), executable];
    starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors().map(|folder: &Path| folder.join(path)))
        .find(|candidate| candidate.exists())
}
