//! The committing thread (`pipeline/sink.rs`, `outbox.rs`), and the coordinator of its transactions.

use super::protocol::{Protocol, only_if, spend};
use super::reading::end_hand_over;
use super::state::{Client, Commit, Instance, Seen, Stage, Standing, State, Transaction};

/// The commit of this instance, where it has come so far.
fn at(state: &mut State, who: usize, stage: Stage) -> Option<&mut Commit> {
    state.instances[who]
        .sink
        .as_mut()
        .filter(|commit| commit.stage == stage)
}

pub fn enter(state: &mut State, who: usize) -> Option<()> {
    let instance = &mut state.instances[who];
    only_if(instance.sink.is_none())?;
    let chunk = instance.queue.take()?;
    instance.sink = Some(Commit {
        chunk,
        held: instance.held,
        standing: Standing::Counts,
        stage: Stage::Entered,
        metadata: false,
    });
    Some(())
}

/// `Commit::failed`: what followed is void, and everything is to be read anew.
fn failed(instance: &mut Instance) {
    if let Some(commit) = instance.sink.take()
        && commit.standing == Standing::Counts
    {
        instance.queue = None;
        instance.restart = true;
    }
    end_hand_over(instance);
}

/// `Commit::committed`: where its assignment had ended, its partitions may have been begun from older offsets.
fn succeeded(instance: &mut Instance) {
    if let Some(commit) = instance.sink.take()
        && commit.standing == Standing::Void
    {
        instance.queue = None;
        instance.restart = true;
    }
    end_hand_over(instance);
}

/// The rows appear, or the chunk is fenced.
fn rows(protocol: &Protocol, state: &mut State, who: usize) -> Option<bool> {
    let commit = *at(state, who, Stage::Entered)?;
    if protocol.guards.fence && !commit.chunk.partitions.is_within(commit.held) {
        return Some(false);
    }
    for partition in commit.chunk.partitions.iter() {
        let row = &mut state.rows[partition][commit.chunk.at[partition] as usize];
        if protocol.guards.replace || row.is_none() {
            *row = Some(commit.chunk.version);
        }
    }
    Some(true)
}

pub fn write(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    if rows(protocol, state, who)? {
        at(state, who, Stage::Entered)?.stage = Stage::Written;
    } else {
        failed(&mut state.instances[who]);
    }
    Some(())
}

pub fn write_unheard(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    only_if(rows(protocol, state, who)?)?;
    spend(&mut state.faults.losses)?;
    // It is written again where the chunk still counts.
    if at(state, who, Stage::Entered)?.standing != Standing::Counts {
        failed(&mut state.instances[who]);
    }
    Some(())
}

pub fn begin(state: &mut State, who: usize) -> Option<()> {
    let membership = state.instances[who].membership;
    let commit = at(state, who, Stage::Written)?;
    let chunk = commit.chunk;
    if commit.standing == Standing::Void {
        failed(&mut state.instances[who]);
        return Some(());
    }
    commit.metadata = membership;
    commit.stage = Stage::Begun;
    // Whatever an earlier attempt left open ends with the producer's initialisation.
    state.instances[who].transaction = Transaction::Open {
        chunk,
        offsets: false,
        asked: false,
    };
    Some(())
}

pub fn send_offsets(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    let instance = &mut state.instances[who];
    let commit = instance
        .sink
        .as_mut()
        .filter(|commit| commit.stage == Stage::Begun)?;
    if !protocol.guards.hand_over {
        commit.metadata = instance.client == Client::Current;
    }
    match &mut instance.transaction {
        Transaction::Open { offsets, .. } => {
            if instance.member && commit.metadata {
                *offsets = true;
                commit.stage = Stage::Pending;
            } else {
                commit.stage = Stage::Refused;
                instance.transaction = Transaction::None;
            }
        }
        _ => failed(instance),
    }
    Some(())
}

pub fn again(state: &mut State, who: usize) -> Option<()> {
    only_if(state.instances[who].membership)?;
    let commit = at(state, who, Stage::Refused)?;
    only_if(commit.standing != Standing::Void)?;
    commit.stage = Stage::Written;
    Some(())
}

pub fn give_up(state: &mut State, who: usize) -> Option<()> {
    let commit = state.instances[who].sink?;
    only_if(match commit.stage {
        Stage::Entered => commit.standing != Standing::Counts,
        Stage::Refused => true,
        _ => false,
    })?;
    failed(&mut state.instances[who]);
    Some(())
}

pub fn look(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    only_if(protocol.guards.second_look)?;
    let commit = at(state, who, Stage::Pending)?;
    if commit.chunk.partitions.is_within(commit.held) {
        commit.stage = Stage::Confirmed;
    } else {
        state.instances[who].transaction = Transaction::None;
        failed(&mut state.instances[who]);
    }
    Some(())
}

pub fn fail(state: &mut State, who: usize) -> Option<()> {
    let commit = state.instances[who].sink.as_mut()?;
    only_if(matches!(
        commit.stage,
        Stage::Begun | Stage::Pending | Stage::Confirmed
    ))?;
    spend(&mut state.faults.losses)?;
    state.instances[who].transaction = Transaction::None;
    if commit.standing == Standing::Counts {
        commit.stage = Stage::Written;
    } else {
        failed(&mut state.instances[who]);
    }
    Some(())
}

pub fn ask(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    let ready = match protocol.guards.second_look {
        true => Stage::Confirmed,
        false => Stage::Pending,
    };
    at(state, who, ready)?.stage = Stage::Asked;
    match &mut state.instances[who].transaction {
        Transaction::Open { asked, .. } => *asked = true,
        // Its time-out was quicker.
        _ => failed(&mut state.instances[who]),
    }
    Some(())
}

pub fn answer(state: &mut State, who: usize) -> Option<()> {
    at(state, who, Stage::Asked)?;
    let instance = &mut state.instances[who];
    match instance.transaction {
        Transaction::Open { .. } => return None,
        Transaction::Committed => succeeded(instance),
        Transaction::None => failed(instance),
    }
    instance.transaction = Transaction::None;
    Some(())
}

pub fn answer_unheard(protocol: &Protocol, state: &mut State, who: usize) -> Option<()> {
    let commit = at(state, who, Stage::Asked)?;
    if protocol.guards.ask {
        failed(&mut state.instances[who]);
    } else {
        // "It will not have worked": a new producer ends what is open, and all is sent again.
        commit.stage = Stage::Written;
    }
    let instance = &mut state.instances[who];
    if instance.transaction == Transaction::Committed {
        instance.transaction = Transaction::None;
    }
    spend(&mut state.faults.losses)
}

// --- the coordinator ---

pub fn commit(state: &mut State, who: usize) -> Option<()> {
    let Transaction::Open {
        chunk, asked: true, ..
    } = state.instances[who].transaction
    else {
        return None;
    };
    for partition in chunk.partitions.iter() {
        let at = chunk.at[partition];
        let seen = &mut state.results[partition][at as usize];
        *seen = match seen {
            Seen::Not => Seen::Once(chunk.version),
            _ => Seen::Twice,
        };
        state.committed[partition] = at + 1;
    }
    let instance = &mut state.instances[who];
    let awaited = instance
        .sink
        .is_some_and(|commit| commit.stage == Stage::Asked);
    instance.transaction = match awaited {
        true => Transaction::Committed,
        false => Transaction::None,
    };
    Some(())
}

pub fn abort(state: &mut State, who: usize) -> Option<()> {
    let transaction = &mut state.instances[who].transaction;
    only_if(matches!(transaction, Transaction::Open { .. }))?;
    *transaction = Transaction::None;
    Some(())
}
