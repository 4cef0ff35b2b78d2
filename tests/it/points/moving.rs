//! Two instances in one group; the second dies at the point in one of the first chunks of the partitions it was given.

use super::*;

pub(super) async fn killed(place: Place, strategy: &str) {
    let strategy = format!("\"partition.assignment.strategy\" = \"{strategy}\"\n");
    let mut stage = Stage::new("", &strategy).await;
    stage.send(300);
    let mut one = stage.lenient.start("one");
    wait_committed(&stage.kafka, 100);

    let most = if matches!(place.point, "claimed" | "offsets-read") {
        1
    } else {
        3
    };
    let count = stage.rng.random_range(1..=most);
    let mut two = stage
        .strict
        .start_armed("two", place.point, count, &place.action("kill"));
    stage.feed_until("the second instance to die", || two.ended());

    // Its successor comes before it is missed: partitions move once more while its leavings are cleared.
    let mut three = stage.strict.start("three");
    stage.feed_until("the third instance to be given partitions", || {
        (three.metric("tidewatch_assigned_partitions")? > 0.0).then_some(())
    });
    assert!(one.terminate().success(), "a drained instance ends well");
    stage.wait_all_committed();
    stage.assert_whole().await;
    assert!(three.terminate().success());
}
