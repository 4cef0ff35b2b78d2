//! One instance, killed again and again at the same point, each time restarted with the other configuration.

use super::*;

/// How often it is killed.
const KILLS: usize = 4;

pub(super) async fn killed(place: Place) {
    // As a static member it need not wait until its own dead forerunner is missed.
    let mut stage = Stage::new("static_membership = true", "").await;
    stage.send(900);
    for kill in 0..KILLS {
        let config = [&stage.lenient, &stage.strict][kill % 2];
        // A claim happens once in a start; a chunk's steps at any of its first chunks.
        let most = if matches!(place.point, "claimed" | "offsets-read") {
            1
        } else {
            8
        };
        let count = stage.rng.random_range(1..=most);
        let mut service = config.start_armed("one", place.point, count, &place.action("kill"));
        let status = service.wait(LONG);
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9),
            "{status}: {}",
            service.log()
        );
    }
    let mut service = stage.lenient.start("one");
    stage.wait_all_committed();
    stage.assert_whole().await;
    assert!(service.terminate().success());
}
