//! A registry in a bucket, over HTTP.

use std::fs;

use axum::http::StatusCode;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tidewatch::model::manifest::{Bundle, MODEL_FILE, sha256_of};
use tidewatch::registry::{RegistryError, Sweep, look};

use super::s3::{BUCKET, KEY, S3, SECRET};
use super::{Fixture, bundle, by_test, names, open, put_file};
use crate::harness::SmallBundle;

/// A name that the trainer gives to a file that needs several parts.
const LARGE: &str = "weights.safetensors";

pub(super) async fn fixture(server: &S3) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({
        "url": format!("s3://{BUCKET}/tide/watch"),
        "client": {"endpoint": server.endpoint, "region": "eu-test-1", "access_key_id": KEY,
                   "secret_access_key": SECRET, "allow_http": true},
    });
    Fixture::with(folder, settings).await
}

/// A bundle with a file of several parts.
fn large() -> SmallBundle {
    let bundle = bundle(1.5);
    let mut contents = vec![0; 20_000_000];
    ChaCha8Rng::seed_from_u64(1).fill_bytes(&mut contents);
    put_file(&bundle.path(), LARGE, &contents);
    bundle
}

fn key(version: &str, file: &str) -> String {
    format!("tide/watch/{version}/{file}")
}

#[tokio::test]
async fn a_bundle_goes_into_the_bucket_and_comes_back_into_the_cache() {
    let server = S3::new().await;
    let fixture = fixture(&server).await;
    let small = large();
    let was = Bundle::open(small.path()).unwrap();
    let taken = fixture.import(&small.path()).await.unwrap();
    let requests = server.requests();
    let files = names(&was.dir);
    let keys: Vec<String> = files.iter().map(|file| key(&was.version, file)).collect();
    assert_eq!(server.keys(), keys);
    assert_eq!(server.open_uploads(), 0);
    // The manifest is the last that is written.
    let last = requests.iter().rfind(|(method, _)| method == "PUT");
    assert_eq!(last.unwrap().1, key(&was.version, "manifest.json"));
    let parts = requests
        .iter()
        .filter(|(method, key)| method == "PUT" && key.ends_with(LARGE));
    assert_eq!(parts.count(), 3, "twenty megabytes in parts of eight");

    let is = fixture.registry.fetch(&taken.version).await.unwrap();
    assert_eq!(is.dir, fixture.cache().join(&was.version));
    assert_eq!(is.manifest, was.manifest);
    server.requests();
    // From then on the cache has it, whatever becomes of the server.
    server.fail(|_, _| Some(StatusCode::FORBIDDEN));
    fixture.registry.fetch(&taken.version).await.unwrap();
    assert_eq!(server.requests(), []);

    // Again, and nothing is written.
    server.heal();
    fixture.import(&small.path()).await.unwrap();
    assert!(server.requests().iter().all(|(method, _)| method == "GET"));
    let config = serde_json::from_value(fixture.section.clone()).unwrap();
    let (_, bundles) = look(&config).await.unwrap();
    assert_eq!(bundles, 1);
}

#[tokio::test]
async fn a_damaged_cache_is_fetched_anew_and_a_damaged_bucket_is_refused() {
    let server = S3::new().await;
    let fixture = fixture(&server).await;
    let small = bundle(1.5);
    let version = fixture.import(&small.path()).await.unwrap().version;
    let fetch = async || fixture.registry.fetch(&version).await;
    let cached = fetch().await.unwrap();
    fs::write(cached.file(MODEL_FILE), "damaged").unwrap();
    let mended = fetch().await.unwrap();
    mended.verify().unwrap();
    fs::remove_file(cached.file("manifest.json")).unwrap();
    fetch().await.unwrap().verify().unwrap();

    // Both: there is nothing to fetch anew.
    server.put(&key(&version, MODEL_FILE), b"damaged");
    fs::write(cached.file(MODEL_FILE), "damaged").unwrap();
    let error = fetch().await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Changed { place, .. } if place.ends_with(MODEL_FILE)),
        "{error}"
    );
    assert_eq!(names(&fixture.cache()), Vec::<String>::new());
    fixture.promote(&version).await.unwrap_err();
    assert_eq!(fixture.registry.champion().await.unwrap(), None);

    // Another import mends it; first of all it stops being a bundle.
    server.requests();
    fixture.import(&small.path()).await.unwrap();
    let changes: Vec<_> = server.requests();
    let changes: Vec<(&str, &str)> = changes
        .iter()
        .map(|(method, key)| (method.as_str(), key.rsplit('/').next().unwrap()))
        .filter(|(method, _)| *method != "GET")
        .collect();
    assert_eq!(
        changes,
        [
            ("DELETE", "manifest.json"),
            ("PUT", MODEL_FILE),
            ("PUT", "manifest.json")
        ]
    );
    assert!(fixture.promote(&version).await.unwrap());

    // A manifest that was exchanged is another model's.
    server.put(&key(&version, "manifest.json"), b"{}");
    fixture.registry.trim_cache(&[]).await.unwrap();
    let error = fetch().await.unwrap_err();
    assert!(matches!(error, RegistryError::Changed { .. }), "{error}");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_no_bundle_and_is_gone_on_with() {
    let server = S3::new().await;
    let fixture = fixture(&server).await;
    let small = large();
    let version = Bundle::open(small.path()).unwrap().version;
    // Refused, as it cannot be repeated: the parts of the large file, in mid-way.
    server.fail(|method, key| {
        (method == "PUT" && key.ends_with(LARGE)).then_some(StatusCode::FORBIDDEN)
    });
    let error = fixture.import(&small.path()).await.unwrap_err();
    let said = error.to_string();
    assert!(
        matches!(error, RegistryError::Bucket { .. }) && said.contains("refuses it"),
        "{said}"
    );
    assert!(!said.contains(SECRET) && !said.contains('\n'), "{said}");
    assert!(!server.keys().contains(&key(&version, "manifest.json")));
    assert_eq!(server.open_uploads(), 0, "given up, not left");
    assert_eq!(fixture.store.all_models().await.unwrap(), []);
    let error = fixture.registry.fetch(&version).await.unwrap_err();
    assert!(matches!(error, RegistryError::Missing { .. }), "{error}");

    server.heal();
    server.requests();
    fixture.import(&small.path()).await.unwrap();
    let sent: Vec<_> = server.requests();
    let sent_again = sent
        .iter()
        .any(|(method, key)| method == "PUT" && key.ends_with(MODEL_FILE));
    assert!(
        !sent_again,
        "what is there already need not be sent: {sent:?}"
    );
    fixture.registry.fetch(&version).await.unwrap();
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let server = S3::new().await;
    let fixture = fixture(&server).await;
    let failures = std::sync::atomic::AtomicUsize::new(0);
    server.fail(move |_, _| {
        let before = failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Every third request, so that each comes through in the end.
        before
            .is_multiple_of(3)
            .then_some(StatusCode::SERVICE_UNAVAILABLE)
    });
    let version = fixture.imported(1.5).await;
    fixture.registry.fetch(&version).await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_one_sentence_without_secrets() {
    let server = S3::new().await;
    let fixture = fixture(&server).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (setting, value, words) in [
        (
            "secret_access_key",
            "another".to_owned(),
            "correct the keys",
        ),
        ("endpoint", format!("http://{free}"), "endpoint answers"),
        ("allow_http", "false".to_owned(), "endpoint"),
    ] {
        let mut section = fixture.section.clone();
        section["client"][setting] = json!(value);
        let registry = open(&section, &fixture.store).unwrap();
        let said = registry
            .fetch(&"a".repeat(64))
            .await
            .unwrap_err()
            .to_string();
        assert!(said.contains(words), "{setting}: {said}");
        assert!(!said.contains(SECRET) && !said.contains('\n'), "{said}");
    }
    let mut section = fixture.section.clone();
    section["url"] = json!("s3://elsewhere/x");
    let config = serde_json::from_value(section).unwrap();
    let said = look(&config).await.unwrap_err().to_string();
    assert!(said.contains("no such bucket"), "{said}");
}

#[tokio::test]
async fn removal_from_a_bucket_begins_with_the_manifest_and_takes_the_cache_along() {
    let server = S3::new().await;
    let fixture = fixture(&server).await;
    let (one, two) = (fixture.imported(1.0).await, fixture.imported(2.0).await);
    fixture.promote(&two).await.unwrap();
    fixture.registry.fetch(&one).await.unwrap();
    sqlx::query("UPDATE models SET imported_at = now() - interval '40 days'")
        .execute(&fixture.pool)
        .await
        .unwrap();
    // Half sent, long ago by the server's clock.
    server.put(&key(&"b".repeat(64), MODEL_FILE), b"half");
    server.requests();
    let sweep = Sweep {
        keep: 1,
        days: 30,
        look_only: false,
    };
    let swept = fixture.registry.sweep(&sweep, &by_test()).await.unwrap();
    let removed: Vec<&str> = swept
        .unreferenced
        .iter()
        .map(|model| &*model.version)
        .collect();
    assert_eq!(removed, [one.as_str()]);
    assert_eq!(swept.remains, ["b".repeat(64)]);
    let requests = server.requests();
    let first = requests
        .iter()
        .find(|(method, key)| method == "DELETE" && key.contains(&one));
    assert!(first.unwrap().1.ends_with("manifest.json"), "{requests:?}");
    assert!(server.keys().iter().all(|key| key.contains(&two)));
    assert_eq!(names(&fixture.cache()), [two.as_str()]);
    let whole = sha256_of(&fixture.cache().join(&two).join("manifest.json")).unwrap();
    assert_eq!(whole, two);
}
