//! What is removed, and what never.

use std::fs;

use tidewatch::registry::{RegistryError, Sweep};
use tidewatch::store::Alias;

use super::{Fixture, bundle, by_test};

const SWEEP: Sweep = Sweep {
    keep: 2,
    days: 30,
    look_only: false,
};

impl Fixture {
    /// Makes an import look as if it had been so many days ago.
    async fn age(&self, version: &str, days: i32) {
        sqlx::query(
            "UPDATE models SET imported_at = imported_at - make_interval(days => $2) WHERE version = $1",
        )
        .bind(version)
        .bind(days)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    async fn id(&self, version: &str) -> i32 {
        let model = self.store.registered(version).await.unwrap();
        model.unwrap().id
    }
}

#[tokio::test]
async fn only_what_nothing_refers_to_is_removed() {
    let fixture = Fixture::new().await;
    let mut old = Vec::new();
    for temperature in 1..=9 {
        let version = fixture.imported(f64::from(temperature)).await;
        fixture.age(&version, 40).await;
        old.push(version);
    }
    let young = fixture.imported(10.0).await;
    // Promoted in this order: the first is among the last two no more.
    for version in &old[..4] {
        fixture.promote(version).await.unwrap();
    }
    for (alias, version) in [(Alias::Candidate, &old[4]), (Alias::Shadow, &old[5])] {
        let change = by_test();
        let set = fixture.registry.set_alias(alias, Some(version), &change);
        set.await.unwrap();
    }
    // One was loaded within the last day, another before that.
    for (version, hours) in [(&old[6], 23), (&old[7], 25)] {
        let id = fixture.id(version).await;
        fixture.loaded("one", id).await;
        sqlx::query(
            "UPDATE serving SET heard_at = now() - make_interval(hours => $2) WHERE model = $1",
        )
        .bind(id)
        .bind(hours)
        .execute(&fixture.pool)
        .await
        .unwrap();
    }
    // Champion old[3], previous and among the last two old[2]; of old[0] and old[1] nothing is kept.
    let doomed = [&old[0], &old[1], &old[7], &old[8]];

    let all = fixture.in_depot();
    let look = Sweep {
        look_only: true,
        ..SWEEP
    };
    let looked = fixture.registry.sweep(&look, &by_test()).await.unwrap();
    let found: Vec<&String> = looked
        .unreferenced
        .iter()
        .map(|model| &model.version)
        .collect();
    assert_eq!(found, doomed);
    assert_eq!(fixture.in_depot(), all, "only looked at");

    let swept = fixture.registry.sweep(&SWEEP, &by_test()).await.unwrap();
    assert_eq!(swept, looked);
    assert!(swept.bytes > 0);
    let mut kept: Vec<&String> = old[2..7].iter().chain([&young]).collect();
    kept.sort();
    assert_eq!(fixture.in_depot().iter().collect::<Vec<_>>(), kept);
    let nothing = fixture.registry.sweep(&SWEEP, &by_test()).await.unwrap();
    assert_eq!(nothing, tidewatch::registry::Swept::default());

    // What was removed stays in the history, gets no alias, and can come back.
    let gone = doomed[0];
    let model = fixture.store.registered(gone).await.unwrap().unwrap();
    assert!(!model.is_kept() && model.imported.unwrap().removed.is_some());
    let error = fixture.promote(gone).await.unwrap_err();
    assert!(matches!(error, RegistryError::Refused(_)), "{error}");
    let history = fixture.store.history(Some(gone), 1).await.unwrap();
    assert_eq!(history[0].what, "remove");
    assert_eq!(fixture.imported(1.0).await, *gone);
    assert!(fixture.promote(gone).await.unwrap());
}

#[tokio::test]
async fn what_this_database_does_not_know_stays_and_what_it_misses_is_named() {
    let fixture = Fixture::new().await;
    let version = fixture.imported(1.0).await;
    let stranger = fixture.depot().join("a".repeat(64));
    fs::create_dir(&stranger).unwrap();
    fs::write(stranger.join("manifest.json"), "{}").unwrap();
    fs::write(fixture.depot().join("a file of somebody's"), "").unwrap();
    let swept = fixture.registry.sweep(&SWEEP, &by_test()).await.unwrap();
    assert_eq!(swept.unknown, ["a".repeat(64)]);
    assert_eq!(swept.missing, Vec::<String>::new());
    assert_eq!(fixture.in_depot().len(), 3);

    fs::remove_dir_all(fixture.depot().join(&version)).unwrap();
    let swept = fixture.registry.sweep(&SWEEP, &by_test()).await.unwrap();
    assert_eq!(swept.missing, [version]);
}

#[tokio::test]
async fn a_bundle_that_was_marked_and_not_deleted_is_deleted_the_next_time() {
    let fixture = Fixture::new().await;
    let version = fixture.imported(1.0).await;
    fixture.age(&version, 40).await;
    // As by a process that died in between.
    let retired = fixture
        .store
        .retire_unreferenced(0, 30, false, &by_test())
        .await
        .unwrap();
    assert_eq!(retired.len(), 1);
    assert_eq!(fixture.in_depot(), [version.as_str()]);
    fixture.registry.sweep(&SWEEP, &by_test()).await.unwrap();
    assert_eq!(fixture.in_depot(), Vec::<String>::new());
}

#[tokio::test]
async fn imports_and_removals_exclude_each_other() {
    let fixture = Fixture::new().await;
    let lock = async |alone| fixture.store.lock_bundles(alone).await.unwrap();
    let importing = lock(false).await.unwrap();
    let other = lock(false)
        .await
        .expect("imports do not exclude each other");
    let error = fixture
        .registry
        .sweep(&SWEEP, &by_test())
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Busy { .. }), "{error}");
    importing.release().await;
    other.release().await;

    let removing = lock(true).await.unwrap();
    let small = bundle(1.0);
    let folder = small.path();
    let import = fixture.import(&folder);
    tokio::pin!(import);
    // It waits, as often as it asks.
    let waited = tokio::time::timeout(std::time::Duration::from_secs(1), &mut import).await;
    assert!(waited.is_err());
    assert_eq!(fixture.in_depot(), Vec::<String>::new());
    removing.release().await;
    import.await.unwrap();
}
