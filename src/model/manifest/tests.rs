use super::super::ensemble::{Member, Pool};
use super::*;
use crate::adjustment::Recalibration;

/// Writes a bundle with stand-in files and returns its manifest.
fn write(dir: &Path) -> Manifest {
    let mut files = BTreeMap::new();
    for name in [MODEL_FILE, TOKENIZER_FILE] {
        fs::write(dir.join(name), name).unwrap();
        files.insert(name.to_owned(), sha256_of(&dir.join(name)).unwrap());
    }
    let manifest = Manifest {
        format: FORMAT,
        name: "test".into(),
        labels: vec!["no".into(), "yes".into()],
        problem: Problem::SingleLabel,
        max_tokens: 64,
        pad_token_id: 0,
        temperature: 1.0,
        parent: None,
        adjustment: None,
        ensemble: None,
        code_version: "0".into(),
        recipe: serde_json::json!({}),
        data: Vec::new(),
        files,
        metrics: BTreeMap::new(),
        licences: BTreeMap::new(),
    };
    save(dir, &manifest);
    manifest
}

fn adjusted(manifest: &Manifest) -> Adjustment {
    Adjustment {
        recalibration: Some(Recalibration {
            from: manifest.temperature,
            to: 2.0,
            bias: 0.0,
            standard_error: 0.01,
        }),
        prior_correction: None,
    }
}

fn derived(manifest: &Manifest) -> Manifest {
    Manifest {
        format: FORMAT_DERIVED,
        parent: Some("a".repeat(64)),
        adjustment: Some(adjusted(manifest)),
        temperature: 2.0,
        ..manifest.clone()
    }
}

fn member(weight: f64) -> Member {
    Member {
        version: "a".repeat(64),
        weight,
    }
}

fn save(dir: &Path, manifest: &Manifest) {
    fs::write(
        dir.join(MANIFEST_FILE),
        serde_json::to_vec(manifest).unwrap(),
    )
    .unwrap();
}

#[test]
fn a_whole_bundle_opens_and_its_version_is_the_hash_of_its_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = write(dir.path());
    let bundle = Bundle::open(dir.path()).unwrap();
    bundle.verify().unwrap();
    assert_eq!(bundle.manifest, manifest);
    assert_eq!(
        bundle.version,
        sha256_of(&dir.path().join(MANIFEST_FILE)).unwrap()
    );
    assert_eq!(bundle.model_version().labels, ["no", "yes"]);
}

#[test]
fn a_manifest_that_was_not_derived_says_nothing_of_it_and_one_that_was_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = write(dir.path());
    let text = String::from_utf8(serde_json::to_vec(&manifest).unwrap()).unwrap();
    assert!(
        !text.contains("adjustment") && !text.contains("ensemble"),
        "{text}"
    );
    let derived = derived(&manifest);
    let bytes = serde_json::to_vec(&derived).unwrap();
    assert_eq!(Manifest::parse(&bytes), Ok(derived.clone()));
    assert_eq!(derived.model_sha256(), manifest.model_sha256());
}

#[test]
fn one_changed_byte_in_the_model_fails_verification_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    fs::write(dir.path().join(MODEL_FILE), "Model.onnx").unwrap();
    let error = Bundle::open(dir.path()).unwrap().verify().unwrap_err();
    assert!(
        matches!(&error, BundleError::Changed { path, .. } if path.ends_with(MODEL_FILE)),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_seen_when_the_bundle_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    fs::remove_file(dir.path().join(TOKENIZER_FILE)).unwrap();
    let error = Bundle::open(dir.path()).unwrap_err();
    assert!(
        matches!(&error, BundleError::Read { path, .. } if path.ends_with(TOKENIZER_FILE)),
        "{error}"
    );
}

#[test]
fn each_senseless_manifest_is_refused_with_its_own_reason() {
    type Fault = fn(&mut Manifest);
    let faults: [(Fault, &str); 12] = [
        (|m| m.format = 3, "format 3"),
        (
            |m| m.format = FORMAT_DERIVED,
            "without adjustment and ensemble",
        ),
        (
            |m| m.adjustment = Some(adjusted(m)),
            "without adjustment and ensemble",
        ),
        (
            |m| {
                *m = derived(m);
                m.parent = None;
            },
            "no parent",
        ),
        (
            |m| {
                *m = derived(m);
                m.problem = Problem::MultiLabel;
            },
            "several labels",
        ),
        (
            |m| {
                *m = derived(m);
                m.temperature = 3.0;
            },
            "another temperature",
        ),
        (
            |m| {
                m.format = FORMAT_DERIVED;
                m.ensemble = Some(Members {
                    method: Pool::Linear,
                    members: vec![member(1.0), member(1.0)],
                });
            },
            "is not the manifest of the member",
        ),
        (|m| m.labels = vec!["yes".into(), "yes".into()], "labels"),
        (|m| m.labels.clear(), "labels"),
        (|m| m.temperature = 0.0, "temperature"),
        (|m| m.max_tokens = 2, "max_tokens"),
        (
            |m| drop(m.files.insert("../other".into(), String::new())),
            "plain file name",
        ),
    ];
    for (fault, reason) in faults {
        let dir = tempfile::tempdir().unwrap();
        let mut manifest = write(dir.path());
        fault(&mut manifest);
        save(dir.path(), &manifest);
        let error = Bundle::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
