//! Where a model's knowledge comes from: its data files with their hashes, uses and time spans.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, Utc};

use super::data::{Example, InputFile};
use super::error::TrainError;
use super::split::Parts;
use crate::model::manifest::{BASELINE_ROLE, DataFile, sha256_of};

/// Examples of one file, and the earliest and latest time among them.
#[derive(Default)]
struct Share {
    examples: usize,
    span: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Share {
    fn add(&mut self, example: &Example) {
        self.examples += 1;
        if let Some(time) = example.time {
            let (from, to) = self.span.unwrap_or((time, time));
            self.span = Some((from.min(time), to.max(time)));
        }
    }
}

/// An entry for each file and each use that its examples were put to.
pub fn describe(files: &[InputFile], parts: &Parts) -> Result<Vec<DataFile>, TrainError> {
    // The uses by the order in which a run meets them.
    let uses = [
        ("train", &parts.train),
        ("validation", &parts.validation),
        ("test", &parts.test),
        (BASELINE_ROLE, &parts.baseline),
    ];
    let mut shares: BTreeMap<(usize, usize), Share> = BTreeMap::new();
    for (role, (_, examples)) in uses.iter().enumerate() {
        for example in *examples {
            shares.entry((example.file, role)).or_default().add(example);
        }
    }
    let mut hashes: BTreeMap<usize, String> = BTreeMap::new();
    for &(file, _) in shares.keys() {
        if let Entry::Vacant(hash) = hashes.entry(file) {
            let path = &files[file].path;
            hash.insert(sha256_of(path).map_err(|error| TrainError::read(path, error))?);
        }
    }
    let entry = |((file, role), share): ((usize, usize), Share)| DataFile {
        name: files[file].name.display().to_string(),
        sha256: hashes[&file].clone(),
        role: uses[role].0.into(),
        examples: share.examples,
        span: share.span,
    };
    Ok(shares.into_iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::Role;

    fn example(file: usize, seconds: Option<i64>) -> Example {
        Example {
            id: None,
            text: "text".into(),
            label: 0,
            time: seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            role: Role::Train,
            file,
        }
    }

    #[test]
    fn each_file_is_told_once_for_each_use_with_its_hash_its_examples_and_their_span() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a.tsv", "b.tsv"].map(|name| {
            let path = folder.path().join(name);
            std::fs::write(&path, name).unwrap();
            InputFile {
                path,
                name: name.into(),
                repeat: 1,
            }
        });
        let parts = Parts {
            train: vec![example(0, Some(30)), example(1, None), example(0, Some(10))],
            validation: vec![example(0, Some(20))],
            baseline: vec![example(1, Some(40))],
            ..Parts::default()
        };
        let described = describe(&files, &parts).unwrap();
        let told: Vec<_> = described
            .iter()
            .map(|file| {
                let span = file
                    .span
                    .map(|(from, to)| (from.timestamp(), to.timestamp()));
                (file.name.as_str(), file.role.as_str(), file.examples, span)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("a.tsv", "train", 2, Some((10, 30))),
                ("a.tsv", "validation", 1, Some((20, 20))),
                ("b.tsv", "train", 1, None),
                ("b.tsv", "baseline", 1, Some((40, 40))),
            ]
        );
        assert_eq!(described[0].sha256, described[1].sha256);
        assert_ne!(described[0].sha256, described[2].sha256);
    }
}
