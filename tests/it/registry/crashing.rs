//! The process dies, or hangs, at each step of an import.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tidewatch::model::manifest::Bundle;
use tidewatch::registry::RegistryError;

use super::s3::S3;
use super::{Fixture, bundle, remote, text};
use crate::harness::eventually;

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_bundle_that_crashes_its_trial_is_one_sentence_and_is_not_imported() {
    let fixture = Fixture::new().await;
    let small = bundle(1.5);
    let folder = small.path();
    for (fault, words) in [("abort", "SIGABRT"), ("kill", "SIGKILL")] {
        let output = fixture
            .command(&["import", folder.to_str().unwrap()])
            .env("TIDEWATCH_FAULT", format!("probe-loading@1={fault}"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(
            said.contains(words) && said.contains("it is not imported"),
            "{said}"
        );
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
    assert_eq!(fixture.in_depot(), Vec::<String>::new());
    assert_eq!(fixture.store.all_models().await.unwrap(), []);
}

#[tokio::test]
async fn a_trial_that_hangs_is_ended_at_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("depot");
    let settings = serde_json::json!({"url": url, "probe_seconds": 2});
    let fixture = Fixture::with(folder, settings).await;
    let small = bundle(1.5);
    let output = fixture
        .command(&["import", small.path().to_str().unwrap()])
        .env("FAILPOINTS", "probe-loading=pause")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("was not done with it after 2 s"), "{said}");
    assert_eq!(fixture.in_depot(), Vec::<String>::new());
}

#[tokio::test]
async fn a_trial_ends_with_the_import_that_has_started_it() {
    let fixture = Fixture::new().await;
    let small = bundle(1.5);
    let mut import = fixture
        .command(&["import", small.path().to_str().unwrap()])
        .env("FAILPOINTS", "probe-loading=pause")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let trial = eventually("the trial to start", LONG, || {
        children(import.id()).into_iter().find(|&child| {
            let command = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            command.windows(5).any(|word| word == b"probe")
        })
    });
    import.kill().unwrap();
    import.wait().unwrap();
    eventually("the trial to end", LONG, || {
        // Its end may still have to be heard by whoever it was left to.
        let stat = fs::read_to_string(format!("/proc/{trial}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
            .then_some(())
    });
}

fn children(of: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{of}/task"))
        .into_iter()
        .flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|line| {
            line.split_whitespace()
                .map(|child| child.parse().unwrap())
                .collect::<Vec<u32>>()
        })
        .collect()
}

/// What stands in the depot under a dot: imports that have not come to their end.
fn half_done(depot: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(depot)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_hidden = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with('.');
    entries.filter(is_hidden).collect()
}

#[tokio::test]
async fn an_import_that_dies_half_way_leaves_no_bundle_and_can_be_done_again() {
    for (point, count) in [
        ("bundle-file-copied", 1),
        ("bundle-file-copied", 2),
        ("bundle-copied", 1),
        ("bundle-in-depot", 1),
    ] {
        let fixture = Fixture::new().await;
        let small = bundle(1.5);
        let version = Bundle::open(small.path()).unwrap().version;
        let path = small.path();
        let path = path.to_str().unwrap();
        let output = fixture
            .command(&["import", path, "--alias", "candidate"])
            .env("TIDEWATCH_FAULT", format!("{point}@{count}=kill"))
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(9), "{}", text(&output.stderr));

        // Nobody can make it serve.
        assert_eq!(fixture.store.all_models().await.unwrap(), []);
        let said = text(&fixture.model(&["promote", &version]).stderr);
        assert!(said.contains("there is no model"), "{said}");
        if point != "bundle-in-depot" {
            fixture.registry.fetch(&version).await.unwrap_err();
            assert_eq!(half_done(&fixture.depot()).len(), 1);
        }

        let output = fixture.model(&["import", path, "--alias", "candidate"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        fixture.registry.fetch(&version).await.unwrap();
        assert!(fixture.promote(&version).await.unwrap());

        // What was left is removed once it is surely nobody's.
        let swept = fixture.model(&["gc"]);
        assert!(swept.status.success(), "{}", text(&swept.stderr));
        let left = half_done(&fixture.depot());
        let before = std::time::SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
        for folder in &left {
            let files = fs::read_dir(folder)
                .unwrap()
                .map(|file| file.unwrap().path());
            for path in files.chain([folder.clone()]) {
                fs::File::open(path).unwrap().set_modified(before).unwrap();
            }
        }
        let swept = text(&fixture.model(&["gc"]).stdout);
        assert_eq!(swept.matches("half done").count(), left.len(), "{swept}");
        assert_eq!(fixture.in_depot(), [version.as_str()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_into_a_bucket_that_dies_half_way_leaves_no_bundle_either() {
    let server = S3::new().await;
    for point in ["bundle-file-copied", "bundle-copied", "bundle-in-depot"] {
        let fixture = remote::fixture(&server).await;
        let small = bundle(rand::random_range(1.0..2.0));
        let version = Bundle::open(small.path()).unwrap().version;
        let path = small.path();
        let path = path.to_str().unwrap();
        let output = fixture
            .command(&["import", path])
            .env("TIDEWATCH_FAULT", format!("{point}@1=kill"))
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(9), "{}", text(&output.stderr));
        assert_eq!(fixture.store.all_models().await.unwrap(), []);
        fixture.promote(&version).await.unwrap_err();
        if point != "bundle-in-depot" {
            let fetched = fixture.registry.fetch(&version).await;
            assert!(matches!(fetched, Err(RegistryError::Missing { .. })));
        }
        let output = fixture.model(&["import", path]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        fixture.registry.fetch(&version).await.unwrap();
        assert!(fixture.promote(&version).await.unwrap());
    }
}
