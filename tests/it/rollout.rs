//! A model beside the champion: in shadow, for a share of the authors, and in its place.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod ab;

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use tidewatch::record::{Message, Origin, RawMessage};
use tidewatch::rollout::policy::{Stage, State, Step};
use tidewatch::rollout::share::{Division, KeepTogether, Place};
use tidewatch::store::config::StoreConfig;
use tidewatch::store::{RolloutOutcome, Store};

use crate::deploy::{Fixture, LONG, version, wait_serving};
use crate::harness::{Entry, Ledger, Service, SmallBundle, eventually};
use crate::recovery::{assert_rollups, wait_committed};

/// So that no window closes: every message that is counted is held in a pane.
const NO_WINDOWS: &str = "[drift]\nwindow_messages = 100000\nwindow_hours = 0\n";
const AUTHORS: usize = 40;

/// Messages of many authors whose ids begin with the phase; every twentieth cannot be scored.
fn posts(phase: &str, count: usize) -> impl Iterator<Item = Option<Vec<u8>>> {
    (0..count).map(move |number| {
        Some(match number % 20 {
            7 => b"not json".to_vec(),
            kind => json!({
                "id": format!("{phase}-{number}"), "author": format!("author-{}", number % AUTHORS),
                "text": format!("message {number} is {} and goes on for {}", if kind % 2 == 0 { "good" } else { "bad" }, "a while ".repeat(kind)),
            })
            .to_string()
            .into_bytes(),
        })
    })
}

/// A row as the views show it.
#[derive(Debug, Clone)]
struct Served {
    id: String,
    author: String,
    model: String,
    /// Who else has scored it, and what was served by the word of that row.
    shadow: Option<(String, String)>,
}

async fn rows(pool: &PgPool) -> Vec<Served> {
    let rows = sqlx::query(
        r#"SELECT p.message_id, p.author, p.model, s.model AS shadow, s.served
             FROM v_predictions p
             LEFT JOIN v_shadow_predictions s
               ON s.topic = p.topic AND s."partition" = p."partition" AND s."offset" = p."offset""#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.iter()
        .map(|row| Served {
            id: row.get("message_id"),
            author: row.get("author"),
            model: row.get("model"),
            shadow: row
                .get::<Option<String>, _>("shadow")
                .zip(row.get("served")),
        })
        .collect()
}

async fn store(fixture: &Fixture) -> Store {
    let config: StoreConfig = serde_json::from_value(json!({
        "url": fixture.database.url, "max_connections": 2, "text": "full", "retention_days": 30, "rollup_retention_days": 30,
        "partitions_ahead": 1,
    }))
    .unwrap();
    Store::connect(&config).await.unwrap()
}

/// Waits until each of these instances has said that it gives a model this share of the messages for a rollout.
async fn wait_share(pool: &PgPool, instances: &[&str], model: &str, share: f64) {
    let deadline = std::time::Instant::now() + LONG;
    loop {
        let following: Vec<String> = sqlx::query_scalar(
            "SELECT instance FROM v_serving WHERE model = $1 AND share = $2 AND rollout IS NOT NULL ORDER BY 1",
        )
        .bind(model)
        .bind(share)
        .fetch_all(pool)
        .await
        .unwrap();
        let following: BTreeSet<&str> = following.iter().map(String::as_str).collect();
        if instances
            .iter()
            .all(|instance| following.contains(instance))
        {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{following:?} follow");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Brings the rollout into a stage, as whoever decides does.
async fn enter(store: &Store, stage: Stage) {
    let rollout = store.active_rollout().await.unwrap().unwrap();
    let state = State {
        stage,
        entered_at: Utc::now().timestamp_millis(),
        ..rollout.state
    };
    let step = if stage == Stage::Full {
        Step::Promote
    } else {
        Step::Advance
    };
    let evidence = json!({});
    let done = store.step_rollout(rollout.id, &state, step, "a test", &evidence, None);
    assert!(done.await.unwrap());
}

/// Which authors the candidate serves at a share.
fn served_authors(salt: &str, share: f64) -> BTreeSet<String> {
    let division = Division::new(salt, share, 1.0, KeepTogether::Author).unwrap();
    let authors = (0..AUTHORS).map(|number| format!("author-{number}"));
    let served = authors.filter(|author| {
        let message = Message {
            raw: RawMessage {
                origin: Origin {
                    topic: "posts".into(),
                    partition: 0,
                    offset: 0,
                },
                kafka_time: Utc::now(),
                key: None,
                headers: Vec::new(),
                payload: None,
            },
            id: None,
            text: String::new(),
            author: Some(author.clone()),
            source: None,
            subject: None,
            language: None,
            event_time: Utc::now(),
        };
        division.place(&message) == Place::Candidate
    });
    served.collect()
}

/// Messages by the model whose panes hold them, once all are counted.
async fn counted(pool: &PgPool, messages: usize) -> BTreeMap<String, usize> {
    let deadline = std::time::Instant::now() + LONG;
    loop {
        let panes: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT m.version, h.payload FROM drift_held h JOIN models m ON m.id = h.model",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let mut models = BTreeMap::new();
        for (model, payload) in panes {
            let readings = tidewatch::drift::pane::decode(&payload).unwrap();
            *models.entry(model).or_default() += readings.len();
        }
        let all: usize = models.values().sum();
        if all >= messages {
            return models;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "counted {models:?} of {messages}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
}

fn by_model(ledger: &Ledger) -> BTreeMap<String, usize> {
    let mut models = BTreeMap::new();
    for entry in ledger.postgres.values() {
        if let Entry::Scored { model, .. } = entry {
            *models.entry(model.clone()).or_default() += 1;
        }
    }
    models
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_goes_from_shadow_through_shares_under_kills_and_each_message_has_the_model_of_its_author()
 {
    let fixture = Fixture::with(NO_WINDOWS).await;
    let (kafka, store) = (&fixture.kafka, store(&fixture).await);
    let pool = fixture.database.pool().await;
    let mut services = [fixture.config.start("one"), fixture.config.start("two")];
    services.iter_mut().for_each(Service::wait_ready);
    let champion = version(&fixture.first.path());
    let candidate = fixture.import(&fixture.second);
    let both = ["one", "two"];

    let mut sent = kafka.send(posts("alone", 60));
    wait_committed(kafka, i64::try_from(sent).unwrap());
    fixture.command(
        "rollout",
        &["start", &candidate, "--passed", "--shadow-share", "1"],
    );
    wait_share(&pool, &both, &candidate, 0.0).await;
    sent += kafka.send(posts("shadow", 200));
    wait_committed(kafka, i64::try_from(sent).unwrap());

    enter(&store, Stage::Canary { share: 0.3 }).await;
    wait_share(&pool, &both, &candidate, 0.3).await;
    sent += kafka.send(posts("canary", 400));
    wait_committed(kafka, i64::try_from(sent).unwrap() - 300);
    services[1].kill();
    services[1] = fixture.config.start("two");
    // The share changes while messages flow and while the instance that was killed takes its partitions up again.
    sent += kafka.send(posts("growing", 300));
    enter(&store, Stage::Canary { share: 0.6 }).await;
    services[1].wait_ready();
    wait_share(&pool, &both, &candidate, 0.6).await;
    sent += kafka.send(posts("later", 300));
    wait_committed(kafka, i64::try_from(sent).unwrap());

    let ledger = Ledger::read(kafka, &fixture.database).await;
    ledger.assert_balanced(sent);
    assert_rollups(&fixture.database).await;
    let salt = store.active_rollout().await.unwrap().unwrap().salt;
    let (small, large) = (served_authors(&salt, 0.3), served_authors(&salt, 0.6));
    assert!(small.is_subset(&large) && small.len() < large.len());
    let rows = rows(&pool).await;
    for row in &rows {
        let phase = row.id.split('-').next().unwrap();
        let by_candidate = row.model == candidate;
        assert!(by_candidate || row.model == champion, "{row:?}");
        let (surely, perhaps) = match phase {
            "alone" | "shadow" => (false, false),
            // What was not committed when the share grew was scored by either.
            "canary" | "growing" => (small.contains(&row.author), large.contains(&row.author)),
            _ => (large.contains(&row.author), large.contains(&row.author)),
        };
        assert!(!surely || by_candidate, "{row:?}");
        assert!(perhaps || !by_candidate, "{row:?}");
        // Beside what the champion serves stands what the candidate says, and beside what the candidate serves nothing.
        let shadow =
            (!by_candidate && phase != "alone").then(|| (candidate.clone(), champion.clone()));
        assert_eq!(row.shadow, shadow, "{row:?}");
    }
    let served = rows.iter().filter(|row| row.model == candidate).count();
    assert!(served > 100, "{served}");

    // Drift counts each message once, under the model that served it.
    let counted = counted(&pool, rows.len()).await;
    assert_eq!(counted, by_model(&ledger));

    let status: Value =
        serde_json::from_str(&fixture.command("rollout", &["status", "--json"])).unwrap();
    assert_eq!(
        (&status["stage"], &status["share"]),
        (&json!("canary"), &json!(0.6))
    );
    let counts = &status["counts"];
    assert!(
        counts["served"].as_u64() > Some(0) && counts["both"].as_u64() > Some(0),
        "{status}"
    );
    assert_eq!(
        counts["messages"].as_u64(),
        counts["served"]
            .as_u64()
            .zip(counts["both"].as_u64())
            .map(|(served, both)| served + both)
    );
    assert!(
        fixture
            .command("rollout", &["status"])
            .contains("scored in this stage")
    );
    assert!(
        services
            .iter_mut()
            .all(|service| service.terminate().success())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_is_promoted_is_not_loaded_again_and_the_one_before_is_kept_ready_until_it_is_back()
 {
    let fixture = Fixture::with("").await;
    let (kafka, store) = (&fixture.kafka, store(&fixture).await);
    let pool = fixture.database.pool().await;
    let mut service = fixture.config.start("one");
    service.wait_ready();
    let champion = version(&fixture.first.path());
    let candidate = fixture.import(&fixture.second);
    fixture.command("rollout", &["start", &candidate[..12], "--passed"]);
    enter(&store, Stage::Canary { share: 0.5 }).await;
    wait_share(&pool, &["one"], &candidate, 0.5).await;

    fixture.model(&["promote", &candidate, "--reason", "a test"]);
    enter(&store, Stage::Full).await;
    wait_serving(&service, &candidate);
    wait_share(&pool, &["one"], &candidate, 1.0).await;
    let mut sent = kafka.send(posts("full", 100));
    wait_committed(kafka, i64::try_from(sent).unwrap());

    fixture.model(&["rollback", "--reason", "a test"]);
    wait_serving(&service, &champion);
    // The controller ends a rollout that was taken back by hand.
    eventually("the rollout to be over", LONG, || {
        let log = service.log();
        log.contains("no model is beside the champion")
            .then_some(())
    });
    let ended = store.rollouts(1).await.unwrap()[0].ended;
    assert_eq!(ended.map(|(_, how)| how), Some(RolloutOutcome::RolledBack));
    sent += kafka.send(posts("back", 100));
    wait_committed(kafka, i64::try_from(sent).unwrap());
    Ledger::read(kafka, &fixture.database)
        .await
        .assert_balanced(sent);
    for row in rows(&pool).await {
        let full = row.id.starts_with("full");
        let expected = if full { &candidate } else { &champion };
        assert_eq!(&row.model, expected, "{row:?}");
        assert_eq!(row.shadow, None, "{row:?}");
    }
    let loads = service.log().matches("a model is loaded beside").count();
    assert_eq!(
        loads, 1,
        "neither the promotion nor the way back loads a model"
    );
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_candidate_fails_on_are_served_by_the_champion_and_none_is_lost() {
    let fixture = Fixture::with("").await;
    let kafka = &fixture.kafka;
    let pool = fixture.database.pool().await;
    let mut service = fixture.config.start("one");
    service.wait_ready();
    let champion = version(&fixture.first.path());
    // Half of the messages are "bad".
    let candidate = fixture.import(&SmallBundle::failing_on("bad"));
    fixture.command(
        "rollout",
        &["ab", &candidate, "--share", "0.5", "--shadow-share", "1"],
    );
    wait_share(&pool, &["one"], &candidate, 0.5).await;
    let sent = kafka.send(posts("ab", 400));
    wait_committed(kafka, i64::try_from(sent).unwrap());
    let ledger = Ledger::read(kafka, &fixture.database).await;
    ledger.assert_balanced(sent);
    assert_eq!(
        ledger.dead(),
        sent / 20,
        "the candidate makes no dead letters"
    );
    let salt: String = sqlx::query_scalar("SELECT salt FROM rollouts")
        .fetch_one(&pool)
        .await
        .unwrap();
    let authors = served_authors(&salt, 0.5);
    for row in rows(&pool).await {
        let number: usize = row.id.split('-').nth(1).unwrap().parse().unwrap();
        let fails = number % 2 == 1;
        let by_candidate = authors.contains(&row.author) && !fails;
        let expected = if by_candidate { &candidate } else { &champion };
        assert_eq!(&row.model, expected, "{row:?}");
        let shadow = (!by_candidate && !fails).then(|| (candidate.clone(), champion.clone()));
        assert_eq!(row.shadow, shadow, "{row:?}");
    }
    let failures = service.metric("tidewatch_arm_failures_total").unwrap();
    assert!(failures >= 180.0, "{failures}");

    fixture.command("rollout", &["stop", "--reason", "enough"]);
    eventually("the test to be over", LONG, || {
        let log = service.log();
        log.contains("no model is beside the champion")
            .then_some(())
    });
    assert!(service.terminate().success());
}
