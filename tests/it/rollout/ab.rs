//! A/B tests of any two models.

use std::process::Output;

use tidewatch::store::Alias;

use super::{posts, rows, served_authors, store, wait_share};
use crate::deploy::{Fixture, version, wait_serving};
use crate::harness::{Ledger, SmallBundle};
use crate::recovery::wait_committed;

#[tokio::test(flavor = "multi_thread")]
async fn any_two_models_share_the_feed_and_a_test_that_cannot_begin_changes_nothing() {
    let fixture = Fixture::with("").await;
    let kafka = &fixture.kafka;
    let pool = fixture.database.pool().await;
    // Nobody serves yet, so any labels will do.
    let reversed = fixture.import(&SmallBundle::written(Default::default(), |manifest| {
        manifest.labels.reverse();
    }));
    let mut service = fixture.config.start("one");
    service.wait_ready();
    let first = version(&fixture.first.path());
    wait_serving(&service, &first);
    let [one, other] = [3.5, 4.5].map(|temperature| {
        fixture.import(&SmallBundle::written(Default::default(), |manifest| {
            manifest.temperature = temperature;
        }))
    });

    // No test of a model with itself, none beside a rollout, and none where results would change their meaning.
    let begun = |model: &str, against: &str| {
        fixture.run(
            "rollout",
            &["ab", model, "--against", against, "--share", "0.5"],
        )
    };
    let refused = |output: Output, why: &str| {
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{said}");
    };
    let store = store(&fixture).await;
    let champion = async || {
        let aliases = store.aliases().await.unwrap();
        let mut champions = aliases.into_iter().filter(|of| of.alias == Alias::Champion);
        champions.next().map(|of| of.version)
    };
    refused(begun(&one, &one), "name two");
    fixture.command("rollout", &["start", &one]);
    refused(begun(&other, &one), "another rollout is under way");
    fixture.command("rollout", &["stop"]);
    refused(begun(&reversed, &one), "other labels");
    assert_eq!(champion().await, Some(first.clone()));

    assert!(begun(&other, &one).status.success());
    wait_serving(&service, &one);
    wait_share(&pool, &["one"], &other, 0.5).await;
    let sent = kafka.send(posts("ab", 400));
    wait_committed(kafka, i64::try_from(sent).unwrap());
    Ledger::read(kafka, &fixture.database)
        .await
        .assert_balanced(sent);
    let test = store.active_rollout().await.unwrap().unwrap();
    let authors = served_authors(&test.salt, 0.5);
    for row in rows(&pool).await {
        let expected = if authors.contains(&row.author) {
            &other
        } else {
            &one
        };
        assert_eq!(&row.model, expected, "{row:?}");
    }

    fixture.command("rollout", &["stop", "--reason", "enough"]);
    fixture.model(&["rollback"]);
    wait_serving(&service, &first);
    assert!(service.terminate().success());
}
