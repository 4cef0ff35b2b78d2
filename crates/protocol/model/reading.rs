//! The consuming thread (`pipeline/group.rs`, `claim.rs`, `ingest.rs`): one thing at a time.

use super::protocol::{Protocol, only_if, spend};
use super::state::{
    Chunk, Claim, Client, Event, Instance, PARTITIONS, Set, Standing, State, Transaction,
};

/// Neither in a callback nor between raising epochs and reading offsets.
fn is_free(instance: &Instance) -> bool {
    instance.handing.is_none() && instance.claim.is_none()
}

pub fn callback(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    let instance = &mut state.instances[who];
    only_if(is_free(instance))?;
    let event = instance.event.take()?;
    let lost = instance.client == Client::Out;
    match event {
        Event::Assign(partitions) => {
            if !lost {
                instance.membership = instance.client == Client::Current;
            }
            instance.owned = instance.owned.with(partitions);
            instance.pending = instance.pending.with(partitions);
        }
        Event::Revoke(partitions) if !lost => {
            instance.membership = instance.client == Client::Current;
            instance.queue = None;
            instance.handing = Some(partitions);
            if protocol.guards.hand_over
                && let Some(commit) = &mut instance.sink
                && commit.standing == Standing::Counts
            {
                commit.standing = Standing::LastChance;
            }
            if instance.sink.is_none() || !protocol.guards.hand_over {
                end_hand_over(instance);
            }
        }
        Event::Revoke(_) | Event::Lost => {
            instance.queue = None;
            if let Some(commit) = &mut instance.sink {
                commit.standing = Standing::Void;
            }
            forget(instance, instance.owned);
        }
    }
    Some(())
}

/// The revoke callback ends: what remains is to be begun anew.
pub fn end_hand_over(instance: &mut Instance) {
    if let Some(partitions) = instance.handing.take() {
        forget(instance, partitions);
    }
}

fn forget(instance: &mut Instance, partitions: Set) {
    instance.owned = instance.owned.without(partitions);
    instance.held = instance.held.without(partitions);
    begin_anew(instance);
}

fn begin_anew(instance: &mut Instance) {
    instance.pending = instance.owned;
    instance.next = [0; PARTITIONS];
    instance.restart = false;
}

pub fn impatience(state: &mut State, who: usize) -> Option<()> {
    let instance = &mut state.instances[who];
    only_if(instance.handing.is_some())?;
    spend(&mut state.faults.impatience)?;
    if let Some(commit) = &mut instance.sink {
        commit.standing = Standing::Void;
    }
    end_hand_over(instance);
    Some(())
}

pub fn restart(state: &mut State, who: usize) -> Option<()> {
    let instance = &mut state.instances[who];
    only_if(instance.restart && is_free(instance))?;
    begin_anew(instance);
    Some(())
}

/// Whoever held an epoch of these partitions until now is fenced.
pub fn raise(state: &mut State, who: usize) -> Option<()> {
    let instance = &state.instances[who];
    only_if(is_free(instance) && !instance.restart && !instance.pending.is_empty())?;
    let partitions = instance.pending;
    for instance in &mut state.instances {
        instance.held = instance.held.without(partitions);
        if let Some(claim) = &mut instance.claim {
            claim.held = claim.held.without(partitions);
        }
        if let Some(commit) = &mut instance.sink {
            commit.held = commit.held.without(partitions);
        }
    }
    state.instances[who].claim = Some(Claim {
        partitions,
        held: partitions,
    });
    Some(())
}

pub fn fetch(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    let claim = state.instances[who].claim?;
    if protocol.guards.stable_offsets {
        only_if(!is_pending(state, claim.partitions))?;
    }
    let instance = &mut state.instances[who];
    for partition in claim.partitions.iter() {
        instance.next[partition] = state.committed[partition];
    }
    instance.held = instance.held.with(claim.held);
    instance.pending = instance.pending.without(claim.partitions);
    instance.claim = None;
    Some(())
}

/// Whether an open transaction holds offsets of these partitions.
pub fn is_pending(state: &State, partitions: Set) -> bool {
    state
        .instances
        .iter()
        .any(|instance| match instance.transaction {
            Transaction::Open { chunk, offsets, .. } => {
                offsets && chunk.partitions.overlaps(partitions)
            }
            _ => false,
        })
}

pub fn score(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    let instance = &mut state.instances[who];
    only_if(is_free(instance) && !instance.restart && instance.queue.is_none())?;
    let partitions: Set = instance
        .flowing()
        .iter()
        .filter(|&partition| instance.next[partition] < protocol.messages[partition])
        .collect();
    only_if(!partitions.is_empty())?;
    let mut at = [0; PARTITIONS];
    for partition in partitions.iter() {
        at[partition] = instance.next[partition];
        instance.next[partition] += 1;
    }
    instance.queue = Some(Chunk {
        partitions,
        at,
        version: instance.version,
    });
    Some(())
}
