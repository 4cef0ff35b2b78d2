//! That documents speak of what is there, and ARCHITECTURE.md of all of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{files, is_word, root};

/// What stands between backticks in a text, code blocks left out.
fn quoted(text: &str) -> Vec<&str> {
    let mut inside_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside_block = !inside_block;
        } else if !inside_block {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// Whether a quoted word is the path of a file or folder of this project (and no address, topic, command or option).
fn is_path(word: &str) -> bool {
    let plain = word.chars().all(|c| is_word(c) || "/.-".contains(c));
    let known = [".rs", ".md", ".toml", ".sql", ".yml", ".sh"];
    plain
        && !word.starts_with(['/', '-', '.'])
        && (known.iter().any(|ending| word.ends_with(ending))
            || [
                "src/",
                "crates/",
                "scripts/",
                "tests/",
                "docs/",
                "config/",
                "deploy/",
                "migrations/",
                "models/",
            ]
            .iter()
            .any(|folder| word.starts_with(folder)))
}

/// Files that documents name as the reader's own.
const OF_THE_READER: [&str; 2] = ["my.toml", "recipe.toml"];

#[test]
fn documents_name_only_files_that_exist() {
    let mut documents: Vec<String> = files(&root().join("docs"), ".md")
        .into_iter()
        .map(|file| format!("docs/{file}"))
        .collect();
    documents.extend(["README.md", "ARCHITECTURE.md"].map(str::to_owned));
    let mut faults = Vec::new();
    for document in documents {
        let text = fs::read_to_string(root().join(&document)).unwrap();
        for word in quoted(&text) {
            let exists = ["", "src", "docs"]
                .iter()
                .any(|folder| root().join(folder).join(word).exists());
            if is_path(word) && !OF_THE_READER.contains(&word) && !exists {
                faults.push(format!("{document} speaks of {word}, which is not there"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_architecture_names_every_source_file_or_its_folder() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let named: BTreeSet<&str> = quoted(&text).into_iter().collect();
    let missing: Vec<String> = files(&root().join("src"), ".rs")
        .into_iter()
        .filter(|file| {
            let folders = Path::new(file).ancestors().skip(1);
            // A folder speaks for its files, but for the modules themselves, whose files are named one by one.
            let by_folder = folders
                .filter(|folder| folder.components().count() >= 2)
                .any(|folder| named.contains(&*format!("{}/", folder.display())));
            !by_folder && !named.contains(&**file) && !file.ends_with("tests.rs")
        })
        .collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md says nothing of {missing:#?}"
    );
}
