//! The lease of the duty to decide.

use tidewatch::store::{Begun, NewDecision, NewTraining};

use super::*;

#[tokio::test]
async fn an_instance_that_has_lost_the_duty_begins_nothing_and_writes_nothing() {
    let fixture = Fixture::new(true).await;
    let store = &fixture.store;
    let moment = Duration::from_millis(1);
    let lost = store
        .lease("controller", "one", moment)
        .await
        .unwrap()
        .unwrap();
    let mut taken = None;
    until("the duty passes on", async || {
        taken = store.lease("controller", "two", LONG).await.unwrap();
        taken.is_some()
    })
    .await;
    let decision = |by| NewDecision {
        action: "launch",
        dry_run: false,
        champion: &fixture.champion,
        cause: json!({}),
        fingerprint: Some("f"),
        reasons: json!([]),
        sentences: json!([]),
        situation: json!({}),
        by,
        answers: &[],
    };
    assert_eq!(
        store
            .record_decision(&lost, &decision("one"))
            .await
            .unwrap(),
        None
    );
    let id = store
        .record_decision(&taken.clone().unwrap(), &decision("two"))
        .await
        .unwrap()
        .unwrap();
    let training = |lease| NewTraining {
        fingerprint: "f",
        cause: json!({}),
        champion: None,
        reasons: &[],
        dataset: json!({}),
        by: "one",
        label_mark: 0,
        decision: Some((id, lease)),
    };
    let lock = store.lock_training().await.unwrap().unwrap();
    let begun = store.begin_training(&lock, &training(&lost)).await.unwrap();
    assert_eq!(begun, Begun::LeaseLost);
    assert!(fixture.runs().await.is_empty());
    let begun = store
        .begin_training(&lock, &training(taken.as_ref().unwrap()))
        .await
        .unwrap();
    let Begun::Claimed(claim) = begun else {
        panic!("{begun:?}");
    };
    store
        .end_training(claim, TrainingState::Done, Some("m"), &json!({}))
        .await
        .unwrap();
    assert!(
        !store
            .gate_training(&lost, claim.id, "pass", &json!({}))
            .await
            .unwrap()
    );
    assert!(
        store
            .gate_training(taken.as_ref().unwrap(), claim.id, "fail", &json!({}))
            .await
            .unwrap()
    );
    assert_eq!(fixture.runs().await[0].verdict.as_deref(), Some("fail"));
}
