//! The group's coordinator, and what a client learns of it.
//!
//! It checks that a member is known and its generation the current one, and no more. A generation begins when every living
//! member has followed the one before. Members that it misses it forgets.

use super::protocol::{Assignor, Protocol, only_if, spend};
use super::state::{Client, Event, PARTITIONS, Set, State};

/// Every member has followed the current generation.
fn is_settled(state: &State) -> bool {
    state.instances.iter().all(|instance| {
        let followed = instance.client == Client::Current
            && instance.event.is_none()
            && instance.handing.is_none();
        !instance.member || followed
    })
}

/// A new generation begins: what was read of the old one is refused.
fn begin_generation(state: &mut State) {
    for who in 0..state.instances.len() {
        outdate(state, who);
    }
}

/// What this instance knows of the group is refused from now on.
fn outdate(state: &mut State, who: usize) {
    let instance = &mut state.instances[who];
    if instance.client == Client::Current {
        instance.client = Client::Behind;
    }
    instance.membership = false;
    if let Some(commit) = &mut instance.sink {
        commit.metadata = false;
    }
}

pub fn join(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    let instance = &state.instances[who];
    only_if(
        instance.client == Client::Out && instance.event.is_none() && instance.handing.is_none(),
    )?;
    if instance.member {
        // A static member that has come back within its session: the same generation, the same partitions.
    } else {
        only_if(is_settled(state))?;
        state.instances[who].member = true;
        // An eager group gives nothing before everybody has given up everything.
        if protocol.assignor == Assignor::Cooperative {
            begin_generation(state);
        }
    }
    let mine = state.owned_by(who);
    let instance = &mut state.instances[who];
    instance.client = Client::Current;
    instance.event = Some(Event::Assign(mine));
    Some(())
}

pub fn time_out(state: &mut State, who: usize) -> Option<()> {
    only_if(state.instances[who].member)?;
    if state.instances[who].client != Client::Out {
        spend(&mut state.faults.timeouts)?;
    }
    state.instances[who].member = false;
    for owner in &mut state.owner {
        if *owner == Some(who as u8) {
            *owner = None;
        }
    }
    outdate(state, who);
    Some(())
}

pub fn withdraw(protocol: &Protocol, state: &mut State, partition: usize) -> Option<()> {
    only_if(state.owner[partition].is_some() && is_settled(state))?;
    match protocol.assignor {
        Assignor::Cooperative => {
            only_if(protocol.movable[partition])?;
            spend(&mut state.faults.moves)?;
            state.owner[partition] = None;
            begin_generation(state);
        }
        Assignor::Eager => {
            if state.owner.iter().all(Option::is_some) {
                only_if(partition == 0)?;
                spend(&mut state.faults.moves)?;
            }
            // Each member gives up what it has before it joins the next generation.
            for who in 0..state.instances.len() {
                let mine = state.owned_by(who);
                if !mine.is_empty() {
                    state.instances[who].event = Some(Event::Revoke(mine));
                }
            }
            state.owner = [None; PARTITIONS];
        }
    }
    Some(())
}

pub fn give(protocol: &Protocol, state: &mut State, to: [u8; PARTITIONS]) -> Option<()> {
    let free: Set = (0..PARTITIONS)
        .filter(|&partition| state.owner[partition].is_none())
        .collect();
    only_if(!free.is_empty() && is_settled(state))?;
    only_if(protocol.assignor == Assignor::Cooperative || free.iter().count() == PARTITIONS)?;
    for (partition, who) in to.into_iter().enumerate() {
        if free.has(partition) {
            only_if(state.instances[usize::from(who)].member)?;
            state.owner[partition] = Some(who);
        } else {
            only_if(who == 0)?;
        }
    }
    begin_generation(state);
    Some(())
}

pub fn hear(state: &mut State, who: usize) -> Option<()> {
    let mine = state.owned_by(who);
    let instance = &mut state.instances[who];
    only_if(instance.client == Client::Behind)?;
    if !instance.member {
        instance.client = Client::Out;
        instance.event = Some(Event::Lost);
        return Some(());
    }
    let gone = instance.owned.without(mine);
    instance.client = Client::Current;
    instance.event = Some(match gone.is_empty() {
        true => Event::Assign(mine.without(instance.owned)),
        false => Event::Revoke(gone),
    });
    Some(())
}
