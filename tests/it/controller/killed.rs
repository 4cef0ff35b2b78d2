//! The instance that controls dies at each step, and Postgres while it promotes.

use crate::harness::{Kafka, OwnPostgres, Receiver, Service, ServiceConfig, TestDatabase};

use super::*;

/// Each point is passed once on the way from a request to a new champion, in this order.
const POINTS: [&str; 9] = [
    "controller-decided",
    "training-begun",
    "training-ended",
    "training-imported",
    "controller-judged",
    "controller-begun",
    "controller-promoting",
    "controller-promoted",
    "controller-stepped",
];

/// The fixture as a service of its own.
fn service(fixture: &Fixture, kafka: &Kafka, more: &str) -> ServiceConfig {
    let text = config_text(
        fixture,
        "cooldown_hours = 0\nruns_per_day = 9",
        "epochs = 2",
        EASY,
    );
    let model = fixture.workshop.path("champion");
    ServiceConfig::with_model(kafka, &fixture.database, &model, "", &(text + more))
}

async fn until_ended(service: &mut Service) {
    until("the service dies", async || service.ended().is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_killed_at_each_step_is_replaced_and_everything_is_done_and_told_once() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..100).await;
    let (kafka, receiver) = (Kafka::new(1).await, Receiver::new([]).await);
    let webhook = format!(
        "[[webhook]]\nname = \"ops\"\nurl = {:?}\nevents = [\"model\"]\nrepeat_in_doubt = true\n",
        receiver.url
    );
    let config = service(&fixture, &kafka, &webhook);
    fixture
        .store
        .request_training("ann", "to see it die", false)
        .await
        .unwrap();
    for (number, point) in POINTS.into_iter().enumerate() {
        let mut service = config.start_armed(&format!("dying-{number}"), point, 1, "kill");
        until_ended(&mut service).await;
    }
    let mut service = config.start("surviving");
    service.wait_ready();
    until(
        "the candidate is champion, and the rollout knows it",
        async || {
            let active = fixture.store.active_rollout().await.unwrap();
            active.is_some_and(|rollout| rollout.state.stage == Stage::Full)
        },
    )
    .await;
    let runs = fixture.runs().await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(champion(&fixture).await, runs[0].candidate.clone().unwrap());
    // Killed when it had begun, when it had ended, and before that was written down.
    assert!(runs[0].attempt >= 3, "{}", runs[0].attempt);
    let decisions = decisions(&fixture).await;
    let launches: Vec<_> = decisions
        .iter()
        .filter(|one| one.action == "launch")
        .collect();
    let outcomes: Vec<_> = launches
        .iter()
        .filter_map(|one| one.outcome.clone())
        .collect();
    assert_eq!(outcomes, ["training run 1"], "{launches:#?}");
    let rollouts = fixture.store.rollouts(10).await.unwrap();
    assert_eq!(rollouts.len(), 1);
    let steps = fixture.store.rollout_steps(rollouts[0].id).await.unwrap();
    let steps: Vec<&str> = steps.iter().map(|step| &*step.step).collect();
    assert_eq!(steps, ["begin", "promote"]);
    let promotions = fixture.store.history(None, 100).await.unwrap();
    let by_service = promotions
        .iter()
        .filter(|one| one.what == "promote" && one.by != "tester");
    assert_eq!(by_service.count(), 1);

    let told = receiver.wait(5, LONG).await;
    let mut names: Vec<String> = told
        .iter()
        .map(|told| told.json()["step"]["event"].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "gate",
            "promoted",
            "rollout_begun",
            "training_finished",
            "training_started"
        ]
    );
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_during_the_promotion_delays_it_and_no_more() {
    let server = OwnPostgres::start();
    let fixture = Fixture::on(TestDatabase::on(&server.url, "").await, true).await;
    fixture.label(0..100).await;
    let kafka = Kafka::new(1).await;
    let config = service(&fixture, &kafka, "");
    fixture
        .store
        .request_training("ann", "to see it wait", false)
        .await
        .unwrap();
    let mut service = config.start_armed("one", "controller-promoting", 1, "stop");
    until("it is about to promote", async || service.is_stopped()).await;
    server.crash();
    service.signal("CONT");
    until("it says that it waits", async || {
        service.log().contains("the controller waits")
    })
    .await;
    assert!(service.ended().is_none());
    server.bring_back();
    until("the candidate is champion", async || {
        let active = fixture.store.active_rollout().await;
        active.is_ok_and(|active| active.is_some_and(|rollout| rollout.state.stage == Stage::Full))
    })
    .await;
    service.wait_ready();
    assert_eq!(fixture.runs().await.len(), 1);
    let candidate = fixture.runs().await[0].candidate.clone();
    assert_eq!(Some(champion(&fixture).await), candidate);
    assert!(service.terminate().success());
}
