//! Any bytes, for a bundle's manifest: what is accepted can be used without a look at it again.

#![no_main]

use std::collections::BTreeSet;
use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use tidewatch::model::manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else {
        return;
    };
    let distinct: BTreeSet<_> = manifest.labels.iter().collect();
    assert_eq!(distinct.len(), manifest.labels.len());
    assert!(manifest.temperature > 0.0 && manifest.max_tokens >= 3);
    for name in manifest.files.keys() {
        let parts: Vec<_> = Path::new(name).components().collect();
        assert!(
            matches!(parts[..], [Component::Normal(_)]),
            "{name:?} stays in its folder"
        );
    }
    let written = serde_json::to_vec(&manifest).expect("a manifest can be written");
    let read = Manifest::parse(&written).expect("and read again");
    assert_eq!((read.labels, read.files), (manifest.labels, manifest.files));
});
