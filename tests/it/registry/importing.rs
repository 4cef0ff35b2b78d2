//! What gets in, and what does not.

use std::fs;
use std::path::Path;

use tidewatch::model::manifest::{Bundle, MANIFEST_FILE, MODEL_FILE, TOKENIZER_FILE, sha256_of};
use tidewatch::record::Problem;
use tidewatch::registry::{Order, RegistryError};
use tidewatch::store::Alias;

use super::{Fixture, bundle, by_test, names, put_file, rewrite};
use crate::harness::{LABELS, SmallBundle, default_model};

#[tokio::test]
async fn a_bundle_is_taken_in_once_and_comes_back_as_it_was() {
    let fixture = Fixture::new().await;
    let bundle = SmallBundle::written(Default::default(), |manifest| {
        manifest.parent = Some("an ancestor".to_owned());
        manifest.recipe = serde_json::json!({"a text that jsonb cannot hold": "a\0b"});
    });
    let taken = fixture.import(&bundle.path()).await.unwrap();
    let was = Bundle::open(bundle.path()).unwrap();
    assert_eq!(taken.version, was.version);
    let passed = taken.passed.unwrap();
    assert_eq!((&*passed.device, &passed.version), ("cpu", &was.version));

    let is = fixture.registry.fetch(&taken.version).await.unwrap();
    assert_eq!(is.manifest, was.manifest);
    assert_eq!(is.dir, fixture.depot().join(&was.version));
    assert_eq!(names(&is.dir), names(&was.dir));

    let model = fixture.store.registered(&was.version).await.unwrap();
    let model = model.unwrap();
    assert!(model.is_kept() && model.first_seen.is_none());
    assert_eq!(model.labels, LABELS);
    let imported = model.imported.unwrap();
    assert_eq!(imported.parent.as_deref(), Some("an ancestor"));
    assert_eq!((&*imported.origin, &*imported.by), ("a test", "tester"));
    let sizes = names(&was.dir)
        .iter()
        .map(|name| fs::metadata(was.file(name)).unwrap().len())
        .sum::<u64>();
    assert_eq!((imported.bytes, taken.bytes), (sizes, sizes));

    // Again: nothing is tried, copied or written down.
    let again = fixture.import(&bundle.path()).await.unwrap();
    assert_eq!(again.passed, None);
    assert_eq!(fixture.in_depot(), [was.version.as_str()]);
    let history = fixture.store.history(None, 10).await.unwrap();
    let whats: Vec<&str> = history.iter().map(|done| done.what.as_str()).collect();
    assert_eq!(whats, ["import"]);
}

#[tokio::test]
async fn the_model_that_comes_with_the_program_passes() {
    let fixture = Fixture::new().await;
    let taken = fixture.import(&default_model()).await.unwrap();
    assert!(taken.passed.is_some());
    assert_eq!(fixture.in_depot(), [taken.version]);
}

/// Damages a bundle and expects to hear of it, and that nothing is left.
async fn refused(damage: impl FnOnce(&Path), words: &str) {
    let fixture = Fixture::new().await;
    let bundle = SmallBundle::new();
    damage(&bundle.path());
    let error = fixture.import(&bundle.path()).await.unwrap_err();
    assert!(error.is_refusal(), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(words), "{words}: {said}");
    assert!(!said.contains('\n'), "{said}");
    assert_eq!(fixture.in_depot(), Vec::<String>::new(), "{words}");
    assert_eq!(fixture.store.all_models().await.unwrap(), [], "{words}");
    assert_eq!(fixture.store.history(None, 1).await.unwrap(), []);
}

#[tokio::test]
async fn a_file_that_was_changed_is_refused() {
    let change = |folder: &Path| {
        let mut bytes = fs::read(folder.join(MODEL_FILE)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(folder.join(MODEL_FILE), bytes).unwrap();
    };
    refused(change, "model.onnx was changed").await;
}

#[tokio::test]
async fn a_bundle_that_lacks_a_file_is_refused() {
    refused(
        |folder| fs::remove_file(folder.join(TOKENIZER_FILE)).unwrap(),
        "tokenizer.json cannot be read",
    )
    .await;
    // Half copied, as by somebody who was interrupted: the manifest comes last.
    refused(
        |folder| fs::remove_file(folder.join(MANIFEST_FILE)).unwrap(),
        "manifest.json cannot be read",
    )
    .await;
}

#[tokio::test]
async fn a_manifest_that_was_changed_is_another_model_than_the_one_that_was_meant() {
    let fixture = Fixture::new().await;
    let small = bundle(1.5);
    let version = Bundle::open(small.path()).unwrap().version;
    rewrite(&small.path(), |manifest| manifest.temperature = 2.5);
    let expecting = Order {
        folder: &small.path(),
        expected: Some(&version),
        origin: "",
        by: "",
    };
    let error = fixture.registry.import(&expecting).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::OtherVersion { expected, .. } if *expected == version),
        "{error}"
    );
    // The folder's name says the same where it is a version.
    let named = small.around().join(&version);
    fs::rename(small.path(), &named).unwrap();
    let error = fixture.import(&named).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::OtherVersion { .. }),
        "{error}"
    );
    assert_eq!(fixture.in_depot(), Vec::<String>::new());
}

#[tokio::test]
async fn a_model_that_is_none_is_refused_by_the_process_that_tries_it() {
    // The hashes are right, so that only trying tells.
    for garbage in [&b""[..], b"no model", &[0xff; 4096]] {
        refused(
            |folder| drop(put_file(folder, MODEL_FILE, garbage)),
            "was tried in a process of its own and fails",
        )
        .await;
    }
    let cut_off = |folder: &Path| {
        let bytes = fs::read(folder.join(MODEL_FILE)).unwrap();
        put_file(folder, MODEL_FILE, &bytes[..bytes.len() / 2]);
    };
    refused(cut_off, "fails").await;
    refused(
        |folder| drop(put_file(folder, TOKENIZER_FILE, b"{}")),
        "tokenizer.json is not a tokenizer",
    )
    .await;
}

#[tokio::test]
async fn tokenizer_model_and_manifest_must_agree() {
    let pad = |folder: &Path| {
        rewrite(folder, |manifest| manifest.pad_token_id = 1_000_000);
    };
    refused(pad, "no token 1000000").await;
    let long = |folder: &Path| {
        // The model has 64 positions.
        rewrite(folder, |manifest| manifest.max_tokens = 65);
    };
    refused(long, "65 tokens").await;
    let labels = |folder: &Path| {
        rewrite(folder, |manifest| manifest.labels.truncate(2));
    };
    refused(labels, "2 labels").await;
    let vocabulary = |folder: &Path| {
        let bytes = fs::read(folder.join(TOKENIZER_FILE)).unwrap();
        let mut tokenizer: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        tokenizer["model"]["vocab"]["unheard"] = 5_000.into();
        let bytes = serde_json::to_vec(&tokenizer).unwrap();
        put_file(folder, TOKENIZER_FILE, &bytes);
    };
    refused(vocabulary, "the last of its tokenizer's vocabulary").await;
}

#[tokio::test]
async fn labels_are_the_champions_in_the_same_order() {
    let fixture = Fixture::new().await;
    let reversed = SmallBundle::written(Default::default(), |manifest| manifest.labels.reverse());
    let several = SmallBundle::written(Default::default(), |manifest| {
        manifest.problem = Problem::MultiLabel;
    });
    // Nobody serves yet: any labels will do.
    let first = fixture.import(&reversed.path()).await.unwrap().version;
    let champion = fixture.imported(1.0).await;
    fixture.promote(&champion).await.unwrap();
    let error = fixture.import(&several.path()).await.unwrap_err();
    assert!(error.to_string().contains("any of them"), "{error}");
    let other = SmallBundle::written(Default::default(), |manifest| {
        manifest.labels.reverse();
        manifest.temperature = 3.0;
    });
    let error = fixture.import(&other.path()).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::OtherLabels { champion: of, .. } if *of == champion),
        "{error}"
    );
    // What came in before is held to the same when it is to serve, or to be compared.
    let change = by_test();
    let candidate = fixture
        .registry
        .set_alias(Alias::Candidate, Some(&first), &change);
    let error = candidate.await.unwrap_err();
    assert!(
        error.to_string().contains("would change their meaning"),
        "{error}"
    );
    let error = fixture.promote(&first).await.unwrap_err();
    assert!(
        error.to_string().contains("would change their meaning"),
        "{error}"
    );
    assert_eq!(fixture.registry.champion().await.unwrap(), Some(champion));
}

#[tokio::test]
async fn a_damaged_copy_is_not_fetched_not_promoted_and_mended_by_another_import() {
    let fixture = Fixture::new().await;
    let small = bundle(1.5);
    let version = fixture.import(&small.path()).await.unwrap().version;
    let stored = fixture.depot().join(&version);
    let whole = sha256_of(&stored.join(MODEL_FILE)).unwrap();
    for damage in 0..3 {
        match damage {
            0 => fs::write(stored.join(MODEL_FILE), "damaged").unwrap(),
            1 => fs::remove_file(stored.join(TOKENIZER_FILE)).unwrap(),
            _ => drop(rewrite(&stored, |manifest| manifest.temperature = 9.0)),
        }
        fixture.registry.fetch(&version).await.unwrap_err();
        fixture.promote(&version).await.unwrap_err();
        assert_eq!(fixture.registry.champion().await.unwrap(), None);
        fixture.import(&small.path()).await.unwrap();
        let mended = fixture.registry.fetch(&version).await.unwrap();
        assert_eq!(sha256_of(&mended.file(MODEL_FILE)).unwrap(), whole);
        assert_eq!(fixture.in_depot(), [version.as_str()]);
    }
    assert!(fixture.promote(&version).await.unwrap());
}

#[tokio::test]
async fn imports_of_one_bundle_at_once_all_succeed() {
    let fixture = Fixture::new().await;
    let small = bundle(1.5);
    let folder = small.path();
    let (one, two, three) = tokio::join!(
        fixture.import(&folder),
        fixture.import(&folder),
        fixture.import(&folder)
    );
    let version = one.unwrap().version;
    assert_eq!(
        (two.unwrap().version, three.unwrap().version),
        (version.clone(), version.clone())
    );
    assert_eq!(fixture.in_depot(), [version]);
    assert_eq!(fixture.store.history(None, 10).await.unwrap().len(), 1);
}
