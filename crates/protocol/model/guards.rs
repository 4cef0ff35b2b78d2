//! Each guard taken out: the checker finds how the promise breaks, by the shortest way.

use stateright::{Checker, HasDiscoveries, Model};

use super::properties::{DISAGREE, DOUBLED, LOST, STUCK};
use super::protocol::{Assignor, Guards, Protocol, Step};
use super::state::Faults;

/// Nothing goes wrong but what a test adds; the instances have different models.
const CALM: Protocol = Protocol {
    guards: Guards::ALL,
    assignor: Assignor::Cooperative,
    faults: Faults {
        crashes: 0,
        timeouts: 0,
        moves: 0,
        losses: 0,
        swaps: 0,
        impatience: 0,
    },
    messages: [1, 1],
    movable: [true, true],
    versions: [0, 1],
    symmetric: false,
};

/// The shortest way to break a promise.
struct Counterexample(Vec<Step>);

/// What the checker finds where `out` takes one guard out of `guards`; with that guard it finds nothing.
#[track_caller]
fn broken(
    property: &'static str,
    protocol: Protocol,
    out: impl FnOnce(&mut Guards),
) -> Counterexample {
    let with = Protocol {
        symmetric: true,
        ..protocol
    };
    let checked = with
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    for always in [LOST, DOUBLED, DISAGREE, STUCK] {
        checked.assert_no_discovery(always);
    }

    let mut without = protocol;
    out(&mut without.guards);
    // By one thread, so that the way is the shortest.
    let checked = without
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let steps = checked.assert_any_discovery(property).into_actions();
    println!("{property:?} is broken by {steps:?}");
    Counterexample(steps)
}

impl Counterexample {
    /// Asserts that these steps are taken in this order, whatever lies between them.
    #[track_caller]
    fn goes_through(&self, steps: &[Step]) {
        let mut taken = self.0.iter();
        for step in steps {
            assert!(
                taken.any(|is| is == step),
                "{step:?} is not where {steps:?} has it in {:?}",
                self.0
            );
        }
    }

    /// The instance of the last step, which must be such a one.
    #[track_caller]
    fn last(&self, is: impl Fn(Step) -> Option<usize>) -> usize {
        let last = *self.0.last().expect("nothing is broken at the start");
        is(last).unwrap_or_else(|| panic!("{last:?} ends {:?}", self.0))
    }
}

fn commits(step: Step) -> Option<usize> {
    match step {
        Step::Commit(who) => Some(who),
        _ => None,
    }
}

fn writes(step: Step) -> Option<usize> {
    match step {
        Step::Write(who) => Some(who),
        _ => None,
    }
}

#[test]
fn without_the_fence_a_zombie_overwrites_what_its_successor_has_written() {
    let mut protocol = CALM;
    protocol.faults.timeouts = 1;
    let found = broken(DISAGREE, protocol, |guards| guards.fence = false);
    let zombie = (0..2)
        .find(|&who| found.0.contains(&Step::TimeOut(who)))
        .expect("one is missed");
    found.goes_through(&[
        Step::Fetch(zombie),
        Step::Raise(1 - zombie),
        Step::Write(1 - zombie),
        Step::Write(zombie),
    ]);
}

#[test]
fn without_stable_offsets_what_a_dead_process_asked_for_is_done_twice() {
    let mut protocol = CALM;
    protocol.faults.crashes = 1;
    protocol.versions = [0, 0];
    let found = broken(DOUBLED, protocol, |guards| guards.stable_offsets = false);
    let dead = (0..2)
        .find(|&who| found.0.contains(&Step::Crash(who)))
        .expect("one dies");
    let reads = |who| {
        [
            Step::Ask(dead),
            Step::Crash(dead),
            Step::Fetch(who),
            Step::Commit(dead),
        ]
    };
    found.goes_through(&reads(found.last(commits)));
}

#[test]
fn without_handing_over_the_offsets_of_a_partition_that_has_moved_are_committed() {
    let mut protocol = CALM;
    protocol.faults.moves = 1;
    protocol.messages = [1, 0];
    protocol.movable = [true, false];
    protocol.versions = [0, 0];
    // The second look would see it.
    protocol.guards.second_look = false;
    let found = broken(DOUBLED, protocol, |guards| guards.hand_over = false);
    let before = found
        .0
        .iter()
        .find_map(|&step| writes(step))
        .expect("rows are written");
    let reader = found.last(commits);
    found.goes_through(&[
        Step::Write(before),
        Step::Withdraw(0),
        Step::Callback(before),
        // Another generation, of whose metadata the coordinator takes offsets of a partition that has left.
        Step::Give([reader as u8, 0]),
        Step::Fetch(reader),
        Step::SendOffsets(before),
        Step::Commit(before),
        Step::Commit(reader),
    ]);
}

#[test]
fn without_replacing_a_row_keeps_the_outcome_of_an_attempt_that_came_to_nothing() {
    let mut protocol = CALM;
    protocol.faults.crashes = 1;
    let found = broken(DISAGREE, protocol, |guards| guards.replace = false);
    let second = found.last(commits);
    let dead = 1 - second;
    found.goes_through(&[
        Step::Write(dead),
        Step::Fetch(second),
        Step::Write(second),
        Step::Commit(second),
    ]);
    assert!(
        !found.0.contains(&Step::Commit(dead)),
        "the first attempt never got into Kafka"
    );
}

#[test]
fn without_asking_what_became_of_a_commit_its_results_are_sent_twice() {
    let mut protocol = CALM;
    protocol.faults.losses = 1;
    let found = broken(DOUBLED, protocol, |guards| guards.ask = false);
    let who = found.last(commits);
    found.goes_through(&[
        Step::Ask(who),
        Step::AnswerUnheard(who),
        Step::Commit(who),
        Step::Begin(who),
        Step::Commit(who),
    ]);
}

#[test]
fn without_the_second_look_a_member_that_claims_late_overwrites_what_the_owner_commits() {
    let mut protocol = CALM;
    protocol.faults.timeouts = 1;
    let found = broken(DISAGREE, protocol, |guards| guards.second_look = false);
    let zombie = found.last(writes);
    // The zombie raises the epoch when the owner has passed the fence, and reads the offsets before the owner's are pending.
    found.goes_through(&[
        Step::Write(1 - zombie),
        Step::Raise(zombie),
        Step::Fetch(zombie),
        Step::SendOffsets(1 - zombie),
        Step::Commit(1 - zombie),
        Step::Write(zombie),
    ]);
    assert!(found.0.contains(&Step::TimeOut(zombie)));
}

#[test]
fn without_the_second_look_a_commit_that_outlasts_the_hand_over_and_is_not_answered_is_done_twice()
{
    let mut protocol = CALM;
    protocol.faults.moves = 1;
    protocol.faults.impatience = 1;
    protocol.faults.losses = 1;
    protocol.versions = [0, 0];
    let found = broken(DOUBLED, protocol, |guards| guards.second_look = false);
    let who = found.last(commits);
    found.goes_through(&[
        Step::Impatience(who),
        Step::Fetch(who),
        Step::SendOffsets(who),
        Step::AnswerUnheard(who),
        Step::Commit(who),
    ]);
}
