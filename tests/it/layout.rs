//! What keeps the project readable, held by tests: which module may use which, how long a file may be, that the documents
//! speak of what is there, and that the configuration is explained and can be loaded.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod documents;
mod modules;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use tidewatch::config::Config;

/// Longer files have more than one noun in them.
const MOST_LINES: usize = 400;
const MAY_BE_LONGER: [(&str, &str); 0] = [];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder whose names end so, as paths from that folder, sorted.
fn files(folder: &Path, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inner)).unwrap() {
            let entry = entry.unwrap();
            let path = inner.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for file in files(&root().join(folder), ".rs") {
            let file = format!("{folder}/{file}");
            let lines = fs::read_to_string(root().join(&file))
                .unwrap()
                .lines()
                .count();
            let excepted = MAY_BE_LONGER.iter().any(|(name, _)| *name == file);
            if lines > MOST_LINES && !excepted {
                faults.push(format!(
                    "{file} has {lines} lines: split it, or except it with a reason"
                ));
            }
            if lines <= MOST_LINES && excepted {
                faults.push(format!("{file} no longer needs its exception"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_setting_is_explained() {
    let text = fs::read_to_string(root().join("config/default.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_setting = |line: &str| line.contains(" = ") && !line.starts_with('#');
    for (index, line) in lines.iter().enumerate() {
        let mut above = lines[..index].iter().rev();
        // A list of alike settings is explained together, above their section's name.
        let explained = above.find(|line| !is_setting(line)).is_some_and(|line| {
            line.starts_with('#')
                || (line.starts_with('[') && above.next().is_some_and(|line| line.starts_with('#')))
        });
        assert!(
            !is_setting(line) || explained,
            "config/default.toml:{}: {line} has no comment",
            index + 1
        );
    }
}

#[test]
fn shipped_configurations_can_be_loaded() {
    Config::load(None).unwrap();
    for file in ["config/default.toml", "deploy/compose/tidewatch.toml"] {
        Config::load(Some(&root().join(file))).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}
