//! A candidate that comes while another is still unproven.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_nothing_has_proven_keeps_no_training_waiting_and_gives_way_to_the_next() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..100).await;
    // With so few labels the gate leaves candidates open, and they stay in shadow for as long as nobody scores.
    let open = EASY
        .replace(r#"few_recent = "ignore""#, "")
        .replace("min_messages = 0", "min_messages = 10");
    let text = config_text(
        &fixture,
        "cooldown_hours = 0\nruns_per_day = 5",
        "epochs = 2",
        &open,
    );
    let running = Running::new(&fixture, &text, "one");
    for number in 1..=2_i64 {
        let reason = format!("for the {number}. time");
        fixture
            .store
            .request_training("ann", &reason, false)
            .await
            .unwrap();
        until("its candidate is in shadow", async || {
            let active = fixture.store.active_rollout().await.unwrap();
            active.is_some_and(|rollout| rollout.training == Some(number))
        })
        .await;
        // Else the second training were the first one again.
        fixture
            .label(100 * number as usize..100 * number as usize + 100)
            .await;
    }
    running.stop().await;

    let runs = fixture.runs().await;
    assert_eq!(runs.len(), 2);
    for run in &runs {
        assert_eq!(run.verdict.as_deref(), Some("inconclusive"));
    }
    let rollouts = fixture.store.rollouts(10).await.unwrap();
    let [second, first] = &rollouts[..] else {
        panic!("{rollouts:#?}");
    };
    let (_, outcome) = first.ended.unwrap();
    assert_eq!(outcome, RolloutOutcome::Cancelled);
    assert!(
        first.reason.contains("Another candidate"),
        "{}",
        first.reason
    );
    assert_eq!((second.state.stage, second.ended), (Stage::Shadow, None));
    assert_eq!(fixture.candidate().await.as_ref(), Some(&second.candidate));
    assert_eq!(champion(&fixture).await, fixture.champion);
}
