//! What must hold in every state, and what must happen in some (else the model would prove nothing).

use stateright::{Model, Property};

use super::protocol::Protocol;
use super::reading::is_pending;
use super::state::{PARTITIONS, Seen, Stage, State, Transaction};

pub const LOST: &str = "no message is passed over";
pub const DOUBLED: &str = "no message has two visible results";
pub const DISAGREE: &str = "row and result of a committed message agree";
pub const STUCK: &str = "where nothing can happen, everything is done";

pub const DRAINED: &str = "the log is drained";
pub const ROW_FIRST: &str = "a reader sees a row before its result";
pub const ZOMBIE_WRITES: &str = "a zombie is about to write what another has done";
pub const ZOMBIE_CLAIMS: &str = "a zombie holds the newest epoch";
pub const REPLACED: &str = "a row is about to be replaced by another model's";
pub const WAITING_CLAIM: &str = "a claim waits for an open transaction";
pub const UNAWAITED: &str = "a commit is under way that nobody waits for";
pub const WAITING_REVOKE: &str = "a revoke waits for a chunk";
pub const AT_ONCE: &str = "both commit at once";

pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(LOST, |_, state: &State| {
            committed(state).all(|(row, seen)| row.is_some() && seen != Seen::Not)
        }),
        Property::always(DOUBLED, |_, state: &State| {
            state
                .results
                .as_flattened()
                .iter()
                .all(|seen| *seen != Seen::Twice)
        }),
        Property::always(DISAGREE, |_, state: &State| {
            committed(state).all(|(row, seen)| match (row, seen) {
                (Some(row), Seen::Once(version)) => row == version,
                _ => true,
            })
        }),
        Property::always(STUCK, |protocol: &Protocol, state: &State| {
            state.is_drained(protocol.messages) || !protocol.next_steps(state).is_empty()
        }),
        Property::sometimes(DRAINED, |protocol: &Protocol, state: &State| {
            state.is_drained(protocol.messages)
        }),
        Property::sometimes(ROW_FIRST, |_, state: &State| {
            (0..PARTITIONS).any(|partition| {
                let at = usize::from(state.committed[partition]);
                state.rows[partition].get(at).is_some_and(Option::is_some)
            })
        }),
        Property::sometimes(ZOMBIE_WRITES, |_, state: &State| {
            state.instances.iter().any(|instance| {
                instance.is_zombie()
                    && instance.sink.is_some_and(|commit| {
                        commit.stage == Stage::Entered
                            && commit.chunk.partitions.iter().any(|partition| {
                                state.committed[partition] > commit.chunk.at[partition]
                            })
                    })
            })
        }),
        Property::sometimes(ZOMBIE_CLAIMS, |_, state: &State| {
            state.instances.iter().any(|instance| {
                instance.is_zombie()
                    && !instance.held.is_empty()
                    && state.owner.iter().all(Option::is_some)
            })
        }),
        Property::sometimes(REPLACED, |_, state: &State| {
            state.instances.iter().any(|instance| {
                instance.sink.is_some_and(|commit| {
                    let chunk = commit.chunk;
                    commit.stage == Stage::Entered
                        && chunk.partitions.is_within(commit.held)
                        && chunk.partitions.iter().any(|partition| {
                            state.rows[partition][usize::from(chunk.at[partition])]
                                .is_some_and(|row| row != chunk.version)
                        })
                })
            })
        }),
        Property::sometimes(WAITING_CLAIM, |_, state: &State| {
            state.instances.iter().any(|instance| {
                instance
                    .claim
                    .is_some_and(|claim| is_pending(state, claim.partitions))
            })
        }),
        Property::sometimes(UNAWAITED, |_, state: &State| {
            state.instances.iter().any(|instance| {
                instance.sink.is_none()
                    && matches!(instance.transaction, Transaction::Open { asked: true, .. })
            })
        }),
        Property::sometimes(WAITING_REVOKE, |_, state: &State| {
            state
                .instances
                .iter()
                .any(|instance| instance.handing.is_some())
        }),
        Property::sometimes(AT_ONCE, |_, state: &State| {
            state.instances.iter().all(|instance| {
                instance
                    .sink
                    .is_some_and(|commit| commit.stage == Stage::Asked)
            })
        }),
    ]
}

/// The row and the result of each message below the committed offsets.
fn committed(state: &State) -> impl Iterator<Item = (Option<u8>, Seen)> {
    (0..PARTITIONS).flat_map(move |partition| {
        (0..usize::from(state.committed[partition]))
            .map(move |at| (state.rows[partition][at], state.results[partition][at]))
    })
}
