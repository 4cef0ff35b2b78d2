//! Which model serves.

use std::time::Duration;

use tidewatch::record::{ModelVersion, Problem};
use tidewatch::registry::{RegistryError, resolve};
use tidewatch::store::{Alias, Change, Swap};

use super::{Fixture, by_test};
use crate::harness::SmallBundle;

#[tokio::test]
async fn a_promotion_remembers_the_champion_and_a_roll_back_returns_to_it() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.imported(1.0).await, fixture.imported(2.0).await);
    assert!(fixture.promote(&one).await.unwrap());
    assert_eq!(fixture.holder(Alias::Previous).await, None);
    let error = fixture.registry.rollback(Some(&one), &by_test()).await;
    assert!(error.unwrap_err().to_string().contains("no previous model"));

    let candidate = Alias::Candidate;
    fixture
        .registry
        .set_alias(candidate, Some(&two), &by_test())
        .await
        .unwrap();
    assert!(fixture.promote(&two).await.unwrap());
    assert!(!fixture.promote(&two).await.unwrap(), "it is so already");
    assert_eq!(fixture.holder(Alias::Champion).await, Some(two.clone()));
    assert_eq!(fixture.holder(Alias::Previous).await, Some(one.clone()));
    assert_eq!(fixture.holder(candidate).await, None);

    let back = fixture.registry.rollback(Some(&two), &by_test()).await;
    assert_eq!(back.unwrap(), one);
    assert_eq!(fixture.holder(Alias::Champion).await, Some(one.clone()));
    assert_eq!(fixture.holder(Alias::Previous).await, Some(two.clone()));

    let history = fixture.store.history(None, 10).await.unwrap();
    let done: Vec<_> = history
        .iter()
        .map(|done| {
            (
                done.what.as_str(),
                done.version.as_str(),
                done.before.as_deref(),
            )
        })
        .collect();
    let (one, two) = (one.as_str(), two.as_str());
    assert_eq!(
        done,
        [
            ("rollback", one, Some(two)),
            ("promote", two, Some(one)),
            ("alias", two, None),
            ("promote", one, None),
            ("import", two, None),
            ("import", one, None),
        ]
    );
    assert_eq!(history[1].detail["was"][0], "candidate");
    assert_eq!((&*history[0].by, &*history[0].reason), ("tester", "a test"));
}

#[tokio::test]
async fn of_two_changes_at_once_only_one_is_made() {
    let fixture = Fixture::new().await;
    let mut versions = Vec::new();
    for temperature in [1.0, 2.0, 3.0] {
        versions.push(fixture.imported(temperature).await);
    }
    let change = by_test();
    // First nobody is champion; then the last winner is.
    let mut seen: Option<String> = None;
    for round in 0..10 {
        let others: Vec<&String> = versions
            .iter()
            .filter(|version| seen.as_ref() != Some(*version))
            .collect();
        let (one, two) = tokio::join!(
            fixture.store.promote(others[0], seen.as_deref(), &change),
            fixture.store.promote(others[1], seen.as_deref(), &change),
        );
        let done = |swap: &Swap| matches!(swap, Swap::Done { before } if *before == seen);
        let (winner, loser) = match (one.unwrap(), two.unwrap()) {
            (one, two) if done(&one) => (others[0], two),
            (one, two) if done(&two) => (others[1], one),
            neither => panic!("round {round}: {neither:?}"),
        };
        let champion = Some(winner.clone());
        assert_eq!(
            loser,
            Swap::Moved {
                champion: champion.clone()
            },
            "round {round}"
        );
        assert_eq!(fixture.holder(Alias::Champion).await, champion);
        assert_eq!(fixture.holder(Alias::Previous).await, seen);
        seen = champion;
    }
    // A promotion beside a roll-back.
    let other = versions
        .iter()
        .find(|version| Some(*version) != seen.as_ref());
    let (promoted, rolled) = tokio::join!(
        fixture
            .store
            .promote(other.unwrap(), seen.as_deref(), &change),
        fixture.store.rollback(seen.as_deref(), &change),
    );
    let wins = [promoted.unwrap(), rolled.unwrap()]
        .iter()
        .filter(|swap| matches!(swap, Swap::Done { .. }))
        .count();
    assert_eq!(wins, 1);
}

#[tokio::test]
async fn what_was_not_imported_gets_no_alias() {
    let fixture = Fixture::new().await;
    let seen = ModelVersion {
        version: "f".repeat(64),
        labels: vec!["no".into(), "yes".into()],
        problem: Problem::SingleLabel,
    };
    fixture.store.model_id(&seen).await.unwrap();
    for version in [seen.version.as_str(), "unheard"] {
        let error = fixture.promote(version).await.unwrap_err().to_string();
        assert!(error.contains("not in the registry"), "{error}");
        let swap = fixture.store.promote(version, None, &by_test()).await;
        assert_eq!(swap.unwrap(), Swap::NotImported);
        let change = by_test();
        let alias = fixture
            .store
            .set_alias(Alias::Shadow, Some(version), &change);
        assert_eq!(alias.await.unwrap(), Swap::NotImported);
    }
    assert_eq!(fixture.store.aliases().await.unwrap(), []);
}

#[tokio::test]
async fn who_has_lost_the_duty_changes_nothing() {
    let fixture = Fixture::new().await;
    let version = fixture.imported(1.0).await;
    let lease = async |holder: &str, lasts| {
        let lease = fixture.store.lease("rollout", holder, lasts).await;
        lease.unwrap().unwrap()
    };
    let lost = lease("one", Duration::ZERO).await;
    let held = lease("two", Duration::from_secs(60)).await;
    let change = |lease| Change {
        lease: Some(lease),
        ..by_test()
    };
    let swap = fixture.store.promote(&version, None, &change(&lost)).await;
    assert_eq!(swap.unwrap(), Swap::LeaseLost);
    assert_eq!(fixture.registry.champion().await.unwrap(), None);
    let swap = fixture.store.promote(&version, None, &change(&held)).await;
    assert_eq!(swap.unwrap(), Swap::Done { before: None });
}

#[tokio::test]
async fn candidate_and_shadow_are_given_and_taken() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.imported(1.0).await, fixture.imported(2.0).await);
    let set = async |version: Option<&str>| {
        let change = by_test();
        let set = fixture.registry.set_alias(Alias::Shadow, version, &change);
        set.await.unwrap()
    };
    assert!(!set(None).await);
    assert!(set(Some(&one)).await);
    assert!(!set(Some(&one)).await);
    assert!(set(Some(&two)).await);
    assert_eq!(fixture.holder(Alias::Shadow).await, Some(two.clone()));
    assert!(set(None).await);
    assert_eq!(fixture.holder(Alias::Shadow).await, None);
    // Who serves is not compared with itself.
    fixture.promote(&two).await.unwrap();
    assert!(!set(Some(&two)).await);
    assert_eq!(fixture.holder(Alias::Shadow).await, None);
}

#[tokio::test]
async fn a_model_is_known_by_alias_version_or_enough_of_its_digits() {
    let fixture = Fixture::new().await;
    let version = fixture.imported(1.0).await;
    fixture.promote(&version).await.unwrap();
    let find = async |name: &str| resolve(&fixture.store, name).await;
    for name in [
        &*version,
        &version[..6],
        &version[..6].to_uppercase(),
        "champion",
    ] {
        assert_eq!(find(name).await.unwrap(), version);
    }
    let twin = ModelVersion {
        version: format!("{}{}", &version[..10], "0".repeat(54)),
        labels: vec!["yes".into()],
        problem: Problem::SingleLabel,
    };
    fixture.store.model_id(&twin).await.unwrap();
    for (name, words) in [
        (&version[..8], "give more digits"),
        (&version[..5], "at least 6"),
        ("candidate", "there is no candidate"),
        ("%%%%%%%%", "names no model"),
        ("0123456789", "there is no model"),
    ] {
        let error = find(name).await.unwrap_err();
        assert!(matches!(error, RegistryError::Unknown(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(find(&version[..12]).await.unwrap(), version);
}

#[tokio::test]
async fn ancestors_are_known_as_far_as_they_were_imported() {
    let fixture = Fixture::new().await;
    let child = async |parent: Option<&str>, temperature| {
        let bundle = SmallBundle::written(Default::default(), |manifest| {
            manifest.parent = parent.map(str::to_owned);
            manifest.temperature = temperature;
        });
        fixture.import(&bundle.path()).await.unwrap().version
    };
    let unknown = "0".repeat(64);
    let one = child(Some(&unknown), 1.0).await;
    let two = child(Some(&one), 2.0).await;
    let three = child(Some(&two), 3.0).await;
    let line = fixture.store.lineage(&three).await.unwrap();
    assert_eq!(line, [two, one, unknown]);
}

#[tokio::test]
async fn an_imported_model_is_first_seen_when_it_scores() {
    let fixture = Fixture::new().await;
    let version = fixture.imported(1.0).await;
    let registered = async || fixture.store.registered(&version).await.unwrap().unwrap();
    let model = registered().await;
    assert_eq!(model.first_seen, None);
    let scoring = ModelVersion {
        version: version.clone(),
        labels: model.labels.clone(),
        problem: model.problem,
    };
    let id = fixture.store.model_id(&scoring).await.unwrap();
    assert_eq!(id, model.id);
    let scored = registered().await;
    assert!(scored.first_seen.is_some() && scored.is_kept());
    fixture.loaded("one", id).await;
    let serving = fixture.store.serving_now().await.unwrap();
    assert_eq!(
        (&*serving[0].instance, &serving[0].version),
        ("one", &version)
    );
}
