//! The rules of the flight, one by one.

use super::*;

#[test]
fn a_chunk_of_an_ended_assignment_is_never_committed() {
    let flight = Flight::new();
    let assignment = flight.current();
    flight.lose();
    assert!(flight.enter(assignment).is_none());
    assert!(flight.enter(flight.current()).is_some());
}

#[test]
fn a_failure_voids_what_followed_and_asks_for_a_restart_once() {
    let flight = Flight::new();
    let assignment = flight.current();
    flight.enter(assignment).unwrap().failed();
    assert!(!flight.is_current(assignment));
    assert_eq!(flight.follow(), (flight.current(), true));
    assert_eq!(flight.follow(), (flight.current(), false));
}

#[test]
fn a_restart_is_told_with_the_assignment_that_follows_the_failure_whenever_it_is_asked_for() {
    const FAILURES: usize = 20_000;
    let flight = &Flight::new();
    let (seen, told) = std::sync::mpsc::channel();
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            // The next one only when the last one was noticed: each belongs to one answer.
            for last in told.into_iter().take(FAILURES) {
                assert_eq!(flight.current(), last);
                flight.enter(last).unwrap().failed();
            }
        });
        let mut failing = flight.current();
        seen.send(failing).unwrap();
        for _ in 0..FAILURES {
            let assignment = loop {
                if let (assignment, true) = flight.follow() {
                    break assignment;
                }
            };
            assert_ne!(assignment, failing);
            failing = assignment;
            let _ = seen.send(failing);
        }
    });
}

#[test]
fn handing_over_waits_for_the_chunk_that_is_being_committed() {
    let flight = Flight::new();
    let commit = flight.enter(flight.current()).unwrap();
    let (entered, waiting) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let giver = scope.spawn(|| {
            entered.send(()).unwrap();
            flight.hand_over(None, Duration::from_secs(60))
        });
        waiting.recv().unwrap();
        // It may be that the other thread has not begun to wait: then it finds the commit ended.
        while commit.may_retry() {
            std::thread::yield_now();
        }
        assert!(
            !giver.is_finished(),
            "it waits although nothing may be retried"
        );
        drop(commit);
        assert!(giver.join().unwrap());
    });
}

#[test]
fn handing_over_does_not_wait_for_ever() {
    let flight = Flight::new();
    let commit = flight.enter(flight.current()).unwrap();
    assert!(!flight.hand_over(None, Duration::ZERO));
    assert!(commit.membership().is_none());
}

#[test]
fn winding_up_leaves_the_chunk_that_is_being_committed_its_chance_and_no_other() {
    let flight = Flight::new();
    let assignment = flight.current();
    let commit = flight.enter(assignment).unwrap();
    flight.wind_up();
    assert!(commit.counts_still());
    assert!(!commit.may_retry(), "once, though");
    assert!(flight.enter(assignment).is_none());
    flight.lose();
    assert!(!commit.counts_still());
}

#[test]
fn a_commit_that_ends_after_its_assignment_has_everything_read_again() {
    let flight = Flight::new();
    let commit = flight.enter(flight.current()).unwrap();
    flight.lose();
    let begun_anew = flight.current();
    commit.committed(&Offsets::default());
    assert!(!flight.is_current(begun_anew));
    assert!(flight.follow().1);
}

#[test]
fn only_a_partition_still_held_moves_its_position() {
    let flight = Flight::new();
    let partition = |number| TopicPartition {
        topic: Arc::from("posts"),
        partition: number,
    };
    flight.claimed(Epochs::default(), BTreeMap::from([(partition(0), 3)]));
    let offsets = Offsets(BTreeMap::from([(partition(0), 3..9), (partition(1), 0..4)]));
    flight.enter(flight.current()).unwrap().committed(&offsets);
    assert_eq!(flight.positions(), BTreeMap::from([(partition(0), 9)]));
}
