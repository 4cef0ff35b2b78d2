//! Rollouts: one at a time, step by step, and what their arms have said.

use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use tidewatch::record::{Outcome, Pane, ShadowPrediction};
use tidewatch::rollout::policy::{Stage, State, Step};
use tidewatch::rollout::sequential::Tally;
use tidewatch::rollout::share::KeepTogether;
use tidewatch::store::{
    Change, Import, KeptPane, NewRollout, RolloutKind, RolloutOutcome, StoreError, Watched,
};

use super::{Fixture, chunk, dead, messages, model, partition, prediction, scored, scored_by};

/// Takes a model into the registry, by name alone.
async fn register(fixture: &Fixture, version: &str) {
    let model = model(version);
    let import = Import {
        model: &model,
        name: "small",
        parent: None,
        code_version: "0",
        bytes: 1,
        origin: "here",
        by: "me",
        manifest: json!({}),
    };
    assert!(fixture.store.register(&import).await.unwrap());
}

/// `m1` is champion, and `m2` is in the registry.
async fn two_models() -> Fixture {
    let fixture = Fixture::new().await;
    register(&fixture, "m1").await;
    register(&fixture, "m2").await;
    let change = Change {
        by: "me",
        reason: "the first",
        detail: json!({}),
        lease: None,
    };
    fixture.store.promote("m1", None, &change).await.unwrap();
    fixture
}

/// A second model is being rolled out beside `m1`, and has scored some messages in shadow.
pub(super) async fn begin(fixture: &Fixture) {
    register(fixture, "m2").await;
    let begun = fixture.store.begin_rollout(&new("m1", "m2"), None).await;
    let id = begun.unwrap().unwrap();
    let epochs = fixture.claim(&[0]).await;
    let chunk = chunk(in_shadow(100..110, id));
    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
}

fn state(stage: Stage) -> State {
    State {
        stage,
        entered_at: Utc::now().timestamp_millis(),
        passed: true,
    }
}

fn new<'a>(champion: &'a str, candidate: &'a str) -> NewRollout<'a> {
    NewRollout {
        kind: RolloutKind::Rollout,
        champion,
        candidate,
        salt: "salt",
        state: state(Stage::Shadow),
        shadow_share: 0.5,
        keep_together: KeepTogether::Subject,
        training: None,
        by: "me",
        reason: "it passed the gate",
        detail: json!({"gate": "pass"}),
    }
}

#[tokio::test]
async fn a_rollout_goes_step_by_step_to_its_end_and_its_history_stays() {
    let fixture = two_models().await;
    let store = &fixture.store;
    let id = store.begin_rollout(&new("m1", "m2"), None).await.unwrap();
    let id = id.unwrap();
    let found = store.active_rollout().await.unwrap().unwrap();
    assert_eq!((found.id, found.kind), (id, RolloutKind::Rollout));
    assert_eq!((&*found.champion, &*found.candidate), ("m1", "m2"));
    assert_eq!((&*found.salt, found.shadow_share), ("salt", 0.5));
    assert_eq!(found.keep_together, KeepTogether::Subject);
    assert_eq!(found.state.stage, Stage::Shadow);
    assert!(found.state.passed && found.ended.is_none());
    assert_eq!(found.detail, json!({"gate": "pass"}));

    let again = store.begin_rollout(&new("m1", "m2"), None).await.unwrap();
    assert_eq!(again, None, "one is under way");

    let next = state(Stage::Canary { share: 0.25 });
    let evidence = json!({"messages": 1000});
    let step = store.step_rollout(id, &next, Step::Advance, "enough", &evidence, None);
    assert!(step.await.unwrap());
    let found = store.active_rollout().await.unwrap().unwrap();
    assert_eq!(found.state, next);
    // What stays as it is leaves a sentence and no step.
    let stay = store.step_rollout(id, &next, Step::Stay, "not yet", &evidence, None);
    assert!(stay.await.unwrap());
    let found = store.active_rollout().await.unwrap().unwrap();
    assert_eq!((found.state, &*found.reason), (next, "not yet"));

    let halt = store.step_rollout(id, &next, Step::Halt, "worse", &evidence, None);
    assert!(halt.await.unwrap());
    let end = RolloutOutcome::Halted;
    assert!(store.end_rollout(id, end, "worse", None).await.unwrap());
    assert!(!store.end_rollout(id, end, "again", None).await.unwrap());
    let late = store.step_rollout(id, &next, Step::Advance, "late", &evidence, None);
    assert!(!late.await.unwrap());
    assert_eq!(store.active_rollout().await.unwrap(), None);
    let steps = store.rollout_steps(id).await.unwrap();
    let steps: Vec<_> = steps
        .iter()
        .map(|step| (&*step.step, &*step.stage, step.share, &*step.reason))
        .collect();
    assert_eq!(
        steps,
        [
            ("begin", "shadow", 0.0, "it passed the gate"),
            ("advance", "canary", 0.25, "enough"),
            ("halt", "canary", 0.25, "worse"),
        ]
    );

    // Another may begin now, and is ended by hand.
    let ab = NewRollout {
        kind: RolloutKind::Ab,
        state: state(Stage::Canary { share: 0.3 }),
        ..new("m1", "m2")
    };
    let second = store.begin_rollout(&ab, None).await.unwrap().unwrap();
    let cancelled = RolloutOutcome::Cancelled;
    assert!(
        store
            .end_rollout(second, cancelled, "enough seen", None)
            .await
            .unwrap()
    );
    let all = store.rollouts(10).await.unwrap();
    let ends: Vec<_> = all
        .iter()
        .map(|rollout| (rollout.id, rollout.ended.unwrap().1))
        .collect();
    assert_eq!(ends, [(second, cancelled), (id, end)]);
    let last = store.rollout_steps(second).await.unwrap().pop().unwrap();
    assert_eq!((&*last.step, &*last.reason), ("cancel", "enough seen"));
}

#[tokio::test]
async fn what_cannot_be_rolled_out_is_refused_with_a_sentence() {
    let fixture = two_models().await;
    let store = &fixture.store;
    let refused = async |candidate: &str| {
        let refused = store.begin_rollout(&new("m1", candidate), None).await;
        match refused.unwrap_err() {
            StoreError::Denied { problem } => problem,
            other => panic!("{other}"),
        }
    };
    assert!(refused("m3").await.contains("not in the registry"));
    assert!(refused("m1").await.contains("serves already"));
    let mut other = (*model("m4")).clone();
    other.labels.reverse();
    let import = Import {
        model: &other,
        name: "small",
        parent: None,
        code_version: "0",
        bytes: 1,
        origin: "here",
        by: "me",
        manifest: json!({}),
    };
    store.register(&import).await.unwrap();
    assert!(refused("m4").await.contains("other labels"));
    let moved = store.begin_rollout(&new("m2", "m1"), None).await.unwrap();
    assert_eq!(moved, None, "m1 is champion");
}

#[tokio::test]
async fn whoever_has_lost_the_duty_changes_nothing() {
    let fixture = two_models().await;
    let store = &fixture.store;
    let short = Duration::from_millis(1);
    let lost = store.lease("rollout", "one", short).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let long = Duration::from_secs(60);
    let held = store.lease("rollout", "two", long).await.unwrap().unwrap();
    let none = store.begin_rollout(&new("m1", "m2"), Some(&lost)).await;
    assert_eq!(none.unwrap(), None);
    let begun = store.begin_rollout(&new("m1", "m2"), Some(&held)).await;
    let id = begun.unwrap().unwrap();
    let next = state(Stage::Canary { share: 0.5 });
    let evidence = json!({});
    let step = |lease| store.step_rollout(id, &next, Step::Advance, "x", &evidence, Some(lease));
    assert!(!step(&lost).await.unwrap());
    assert!(step(&held).await.unwrap());
    let end = |lease| store.end_rollout(id, RolloutOutcome::Halted, "x", Some(lease));
    assert!(!end(&lost).await.unwrap());
    assert!(end(&held).await.unwrap());
}

#[tokio::test]
async fn a_canarys_arms_are_counted_each_by_its_own_messages_of_the_stage() {
    let fixture = two_models().await;
    let store = &fixture.store;
    let epochs = fixture.claim(&[0]).await;
    let write = async |offsets, version| {
        let chunk = chunk(scored_by(version, messages(offsets)));
        store.write_chunk(&chunk, &epochs).await.unwrap();
    };
    // Before the stage: these do not count.
    write(0..30, "m2").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let new = NewRollout {
        state: state(Stage::Canary { share: 0.5 }),
        ..new("m1", "m2")
    };
    store.begin_rollout(&new, None).await.unwrap().unwrap();
    write(30..36, "m2").await;
    write(36..48, "m1").await;
    let rollout = store.active_rollout().await.unwrap().unwrap();
    let counts = store.rollout_counts(&rollout).await.unwrap();
    assert_eq!((counts.served, counts.messages, counts.both), (6, 6, 0));
    assert_eq!(counts.agreement, Tally::default());
    let half = |count: u64| Tally {
        count,
        sum: count as f64 / 2.0,
    };
    assert_eq!(counts.confidence, (half(6), half(12)));
    let each = (Tally::of(2, 6), Tally::of(4, 12));
    assert_eq!(counts.classes, vec![each; 3]);
}

/// Messages scored by `m1` of which `m2` says another label for every third, in shadow.
fn in_shadow(offsets: std::ops::Range<i64>, rollout: i64) -> Vec<Outcome> {
    let outcome = |offset: i64| {
        let mut scored = scored(0, offset);
        let label = scored.prediction.label;
        scored.shadow = Some(Box::new(ShadowPrediction {
            model: model("m2"),
            rollout,
            prediction: prediction(if offset % 3 == 0 {
                (label + 1) % 3
            } else {
                label
            }),
        }));
        Outcome::Scored(scored)
    };
    offsets.map(outcome).collect()
}

#[tokio::test]
async fn what_is_said_in_shadow_is_counted_beside_what_is_served_and_goes_with_its_message() {
    let fixture = two_models().await;
    let store = &fixture.store;
    let epochs = fixture.claim(&[0]).await;
    let id = store.begin_rollout(&new("m1", "m2"), None).await.unwrap();
    let id = id.unwrap();
    let chunk_of = |outcomes: Vec<Outcome>| chunk(outcomes);
    // The same chunk twice leaves each row once.
    for _ in 0..2 {
        let chunk = chunk_of(in_shadow(0..30, id));
        store.write_chunk(&chunk, &epochs).await.unwrap();
    }
    let rollout = store.active_rollout().await.unwrap().unwrap();
    let counts = store.rollout_counts(&rollout).await.unwrap();
    assert_eq!((counts.served, counts.both, counts.messages), (0, 30, 30));
    assert_eq!(counts.agreement, Tally::of(20, 30));
    let half = Tally {
        count: 30,
        sum: 15.0,
    };
    assert_eq!(counts.confidence, (half, half));
    // Every message of the first class is said to be of the second.
    let of = |hits| Tally::of(hits, 30);
    assert_eq!(
        counts.classes,
        [(of(0), of(10)), (of(20), of(10)), (of(10), of(10))]
    );
    let said = "SELECT count(*) FROM v_shadow_predictions
                 WHERE model = 'm2' AND served = 'm1' AND (probabilities->>label)::real = confidence AND confidence = 0.5";
    assert_eq!(fixture.number(said).await, 30);

    // Read again without the rollout, and as dead letters: no trace is left of what was said.
    let again = chunk_of(messages(0..10));
    store.write_chunk(&again, &epochs).await.unwrap();
    let dead = (10..15).map(|offset| Outcome::Dead(dead(0, offset)));
    store
        .write_chunk(&chunk_of(dead.collect()), &epochs)
        .await
        .unwrap();
    let left = "SELECT count(*) FROM shadow_predictions";
    assert_eq!(fixture.number(left).await, 15);
    let kept = store.maintain(Utc::now()).await.unwrap();
    assert_eq!(kept.shadow_removed, 0);
    let later = store
        .maintain(Utc::now() + chrono::TimeDelta::days(6))
        .await
        .unwrap();
    assert_eq!(later.shadow_removed, 15);
}

#[tokio::test]
async fn a_chunk_of_two_models_names_each_rows_and_replaces_the_panes_of_both() {
    let fixture = two_models().await;
    let store = &fixture.store;
    let epochs = fixture.claim(&[0]).await;
    let two = |first: i64, models: [&str; 2]| {
        let mut outcomes = scored_by(models[0], messages(first..first + 5));
        outcomes.extend(scored_by(models[1], messages(first + 5..first + 10)));
        let mut chunk = chunk(outcomes);
        chunk.panes = models
            .iter()
            .map(|version| Pane {
                partition: partition(0),
                offsets: first..first + 10,
                model: model(version),
                payload: version.as_bytes().to_vec(),
            })
            .collect();
        chunk
    };
    store
        .write_chunk(&two(0, ["m1", "m2"]), &epochs)
        .await
        .unwrap();
    store
        .write_chunk(&two(10, ["m1", "m2"]), &epochs)
        .await
        .unwrap();
    // Delivered again, the models have changed sides.
    store
        .write_chunk(&two(10, ["m2", "m1"]), &epochs)
        .await
        .unwrap();
    fixture.assert_rollups_exact().await;
    let by_model = "SELECT count(*) FROM v_predictions WHERE model = CASE WHEN \"offset\" < 5 OR \"offset\" >= 15 THEN 'm1' ELSE 'm2' END";
    assert_eq!(fixture.number(by_model).await, 20);

    // Both panes of a chunk come together, also where the limit lies between them.
    let panes = store.panes_below(&[(partition(0), 100)], 3).await.unwrap();
    let mut found: Vec<_> = panes
        .iter()
        .map(|pane| {
            (
                pane.offsets.start,
                String::from_utf8(pane.payload.clone()).unwrap(),
            )
        })
        .collect();
    found.sort();
    let expected = [(0, "m1"), (0, "m2"), (10, "m1"), (10, "m2")];
    assert_eq!(
        found,
        expected.map(|(first, model)| (first, model.to_owned()))
    );

    // One of a chunk's panes is kept, and let go; the other is gone at once.
    let lease = store
        .lease("drift", "one", Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    let kept = panes[0].key();
    let step = Watched {
        counted: panes,
        held: [kept.clone()].into(),
        ..Watched::default()
    };
    assert!(store.write_watched(&lease, &step).await.unwrap());
    let held = store.held_panes().await.unwrap();
    assert_eq!(
        held.iter().map(KeptPane::key).collect::<Vec<_>>(),
        std::slice::from_ref(&kept)
    );
    assert_eq!(store.uncounted_panes().await.unwrap(), 0);
    let step = Watched {
        over: vec![kept],
        ..Watched::default()
    };
    assert!(store.write_watched(&lease, &step).await.unwrap());
    assert_eq!(store.held_panes().await.unwrap(), []);
}
