//! The promise holds in every state, whatever goes wrong within the bounds, with every guard in its place.

use std::collections::BTreeSet;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use super::properties::{
    AT_ONCE, DRAINED, REPLACED, ROW_FIRST, UNAWAITED, WAITING_CLAIM, WAITING_REVOKE, ZOMBIE_CLAIMS,
    ZOMBIE_WRITES,
};
use super::protocol::{Assignor, Guards, Protocol};
use super::reach::dead_end;
use super::state::Faults;

/// A scenario, and what must be seen in it at least: else it would prove nothing.
struct Scenario {
    protocol: Protocol,
    shows: &'static [&'static str],
}

const NONE: Faults = Faults {
    crashes: 0,
    timeouts: 0,
    moves: 0,
    losses: 0,
    swaps: 0,
    impatience: 0,
};

/// Two partitions with a message each, and instances of different models.
const BASE: Protocol = Protocol {
    guards: Guards::ALL,
    assignor: Assignor::Cooperative,
    faults: NONE,
    messages: [1, 1],
    movable: [true, true],
    versions: [0, 1],
    symmetric: true,
};

const DEATH_AND_ZOMBIE: Scenario = Scenario {
    protocol: Protocol {
        faults: Faults {
            crashes: 1,
            timeouts: 1,
            swaps: 1,
            ..NONE
        },
        versions: [0, 0],
        ..BASE
    },
    shows: &[
        DRAINED,
        ROW_FIRST,
        REPLACED,
        AT_ONCE,
        UNAWAITED,
        WAITING_CLAIM,
        ZOMBIE_CLAIMS,
        ZOMBIE_WRITES,
    ],
};

const MOVE_AND_ZOMBIE: Scenario = Scenario {
    protocol: Protocol {
        faults: Faults {
            timeouts: 1,
            moves: 1,
            ..NONE
        },
        ..BASE
    },
    shows: &[
        DRAINED,
        REPLACED,
        AT_ONCE,
        WAITING_CLAIM,
        WAITING_REVOKE,
        ZOMBIE_CLAIMS,
        ZOMBIE_WRITES,
    ],
};

const EVERYTHING_BUT_ZOMBIES: Scenario = Scenario {
    protocol: Protocol {
        faults: Faults {
            crashes: 1,
            moves: 1,
            losses: 1,
            impatience: 1,
            ..NONE
        },
        ..BASE
    },
    shows: &[
        DRAINED,
        REPLACED,
        AT_ONCE,
        UNAWAITED,
        WAITING_CLAIM,
        WAITING_REVOKE,
    ],
};

const EAGER: Scenario = Scenario {
    protocol: Protocol {
        assignor: Assignor::Eager,
        faults: Faults {
            timeouts: 1,
            moves: 1,
            impatience: 1,
            ..NONE
        },
        ..BASE
    },
    shows: &[
        DRAINED,
        REPLACED,
        AT_ONCE,
        WAITING_CLAIM,
        WAITING_REVOKE,
        ZOMBIE_CLAIMS,
        ZOMBIE_WRITES,
    ],
};

const LONGER_LOG: Scenario = Scenario {
    protocol: Protocol {
        faults: Faults {
            timeouts: 1,
            ..NONE
        },
        messages: [2, 1],
        ..BASE
    },
    shows: &[DRAINED, REPLACED, AT_ONCE, ZOMBIE_CLAIMS, ZOMBIE_WRITES],
};

const TWO_DEATHS_AND_ZOMBIE: Scenario = Scenario {
    protocol: Protocol {
        faults: Faults {
            crashes: 2,
            timeouts: 1,
            swaps: 1,
            ..NONE
        },
        messages: [1, 0],
        versions: [0, 0],
        ..BASE
    },
    shows: &[
        DRAINED,
        REPLACED,
        UNAWAITED,
        WAITING_CLAIM,
        ZOMBIE_CLAIMS,
        ZOMBIE_WRITES,
    ],
};

impl Scenario {
    #[track_caller]
    fn holds(&self) {
        let begun = std::time::Instant::now();
        let checked = self
            .protocol
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        println!(
            "{} states, the farthest {} steps away, in {:.1} s",
            checked.unique_state_count(),
            checked.max_depth(),
            begun.elapsed().as_secs_f64()
        );
        for property in self.protocol.properties() {
            if property.expectation == Expectation::Always {
                checked.assert_no_discovery(property.name);
            }
        }
        for shown in self.shows {
            checked.assert_any_discovery(shown);
        }
    }
}

#[test]
fn a_process_dies_and_a_living_one_is_missed_while_a_model_is_swapped() {
    DEATH_AND_ZOMBIE.holds();
}

#[test]
fn a_partition_moves_and_a_living_process_is_missed() {
    MOVE_AND_ZOMBIE.holds();
}

#[test]
fn a_process_dies_a_partition_moves_and_a_reply_is_lost() {
    EVERYTHING_BUT_ZOMBIES.holds();
}

#[test]
fn every_partition_is_given_up_by_an_eager_group_and_a_living_process_is_missed() {
    EAGER.holds();
}

#[test]
fn more_messages_follow_each_other_and_a_living_process_is_missed() {
    LONGER_LOG.holds();
}

#[test]
fn processes_die_twice_and_a_living_one_is_missed() {
    TWO_DEATHS_AND_ZOMBIE.holds();
}

#[test]
fn whatever_may_happen_in_the_model_is_shown_in_a_scenario() {
    let shown: BTreeSet<&str> = [
        DEATH_AND_ZOMBIE,
        MOVE_AND_ZOMBIE,
        EVERYTHING_BUT_ZOMBIES,
        EAGER,
        LONGER_LOG,
        TWO_DEATHS_AND_ZOMBIE,
    ]
    .iter()
    .flat_map(|scenario| scenario.shows.iter().copied())
    .collect();
    let declared: BTreeSet<&str> = BASE
        .properties()
        .iter()
        .filter(|property| property.expectation == Expectation::Sometimes)
        .map(|property| property.name)
        .collect();
    assert_eq!(shown, declared);
}

#[test]
fn from_every_state_the_log_can_still_be_drained() {
    let faults = Faults {
        timeouts: 1,
        moves: 1,
        losses: 1,
        ..NONE
    };
    for assignor in [Assignor::Cooperative, Assignor::Eager] {
        let protocol = Protocol {
            assignor,
            faults,
            messages: [1, 0],
            ..BASE
        };
        let (states, stranded) = dead_end(&protocol);
        println!("{states} states");
        assert_eq!(stranded, None);
    }
}

#[test]
fn with_the_second_look_handing_over_only_saves_work() {
    let mut scenario = EVERYTHING_BUT_ZOMBIES;
    scenario.protocol.guards.hand_over = false;
    scenario.shows = &[DRAINED, REPLACED];
    scenario.holds();
}
