//! An instance is suspended at the point for longer than the session timeout; another takes over; it wakes and goes on
//! where it stood.

use super::*;

pub(super) async fn woken(place: Place) {
    let mut stage = Stage::new("", "").await;
    stage.send(300);
    let mut survivor = stage.lenient.start("survivor");
    wait_committed(&stage.kafka, 100);

    let most = if matches!(place.point, "claimed" | "offsets-read") {
        1
    } else {
        6
    };
    let count = stage.rng.random_range(1..=most);
    let mut zombie = stage
        .strict
        .start_armed("zombie", place.point, count, &place.action("stop"));
    stage.feed_until("the zombie to be suspended", || {
        zombie.is_stopped().then_some(())
    });
    // Everything is committed only once the group has missed it and its partitions and transaction are taken over.
    stage.wait_all_committed();

    zombie.signal("CONT");
    let committed =
        |zombie: &crate::harness::Service| zombie.metric("tidewatch_chunks_committed_total");
    let before = eventually("the zombie to answer again", LONG, || committed(&zombie));
    stage.feed_until(
        "the zombie to be given partitions and to commit again",
        || {
            if let Some(status) = zombie.ended() {
                panic!("the zombie ended with {status}: {}", zombie.log());
            }
            (committed(&zombie)? > before + 1.0).then_some(())
        },
    );
    stage.wait_all_committed();
    stage.assert_whole().await;
    assert!(zombie.terminate().success());
    assert!(survivor.terminate().success());
}
