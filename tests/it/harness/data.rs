//! The real data some tests replay. It is not part of the repository.

use std::path::{Path, PathBuf};

/// The folder of real data: `TIDEWATCH_DATA`, else `../shared/data` beside the repository.
/// Says loudly when it is absent, so that a skipped test is seen.
pub fn data_folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TIDEWATCH_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "SKIPPED {test}: no data at {} (set TIDEWATCH_DATA)",
        folder.display()
    );
    None
}

/// The SemEval tweets' files, sorted by name.
pub fn semeval_files(test: &str) -> Option<Vec<PathBuf>> {
    let folder = data_folder(test)?.join("semeval-tweets");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder's entry can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tsv"))
        .collect();
    files.sort();
    Some(files)
}
