//! The protocol as a model: which guards it has, what may go wrong, and its steps.

use stateright::{Model, Property};

use super::state::{Faults, Instance, PARTITIONS, Seen, State, Transaction};
use super::{group, properties, reading, sink};

/// What keeps the promise. The service has them all; a test takes one out.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// Rows are written only under the current epochs (`store/epochs.rs`).
    pub fence: bool,
    /// Reading committed offsets waits for those of an open transaction (`isolation.level`).
    pub stable_offsets: bool,
    /// A revoke waits for the chunk that is being committed, and offsets are committed under metadata that was read in a
    /// callback (`pipeline/flight.rs`).
    pub hand_over: bool,
    /// A row replaces an earlier one of the same message (`store/write.rs`).
    pub replace: bool,
    /// An unknown result of a commit is found out from the committed offsets (`pipeline/outbox.rs`).
    pub ask: bool,
    /// The epochs are looked at again when the offsets are pending, before the commit.
    pub second_look: bool,
}

impl Guards {
    pub const ALL: Self = Self {
        fence: true,
        stable_offsets: true,
        hand_over: true,
        replace: true,
        ask: true,
        second_look: true,
    };
}

/// How the group moves partitions (`partition.assignment.strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// `cooperative-sticky`: only what moves is given up, in a generation of its own.
    Cooperative,
    /// `range`, `roundrobin`: each member gives up everything first.
    Eager,
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub guards: Guards,
    pub assignor: Assignor,
    pub faults: Faults,
    /// The messages of each partition.
    pub messages: [u8; PARTITIONS],
    /// Which partitions a cooperative group moves.
    pub movable: [bool; PARTITIONS],
    /// The versions that the instances begin with.
    pub versions: [u8; 2],
    /// States that differ only in names are one. Paths then change names on their way.
    pub symmetric: bool,
}

/// A step; the number is the instance's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    // --- the group's coordinator (group.rs) ---
    /// The process (re)starts or, having learnt of its loss, joins again.
    Join(usize),
    /// The coordinator misses the member and goes on without it.
    TimeOut(usize),
    /// A partition (with an eager assignor: every one) is taken from its living owner.
    Withdraw(usize),
    /// Partitions without an owner get one.
    Give([u8; PARTITIONS]),
    /// The client learns of a new generation, or that it is no longer a member.
    Hear(usize),
    // --- the process ---
    Crash(usize),
    Swap(usize),
    // --- the consuming thread (reading.rs) ---
    /// A rebalance callback runs.
    Callback(usize),
    /// It no longer waits for the chunk that is being committed.
    Impatience(usize),
    /// A failed commit is noticed: every partition is to be begun anew.
    Restart(usize),
    /// Epochs are raised.
    Raise(usize),
    /// Committed offsets are read.
    Fetch(usize),
    /// Messages are consumed and scored.
    Score(usize),
    // --- the committing thread (sink.rs) ---
    Enter(usize),
    Write(usize),
    /// The rows are written, and the reply is lost.
    WriteUnheard(usize),
    Begin(usize),
    SendOffsets(usize),
    /// Newer metadata has come after a refusal.
    Again(usize),
    /// It does not come, or Postgres does not answer a chunk that no longer counts.
    GiveUp(usize),
    Look(usize),
    /// A step of the transaction fails: it is aborted.
    Fail(usize),
    Ask(usize),
    Answer(usize),
    /// The answer to the commit is lost.
    AnswerUnheard(usize),
    // --- the transaction's coordinator (sink.rs) ---
    Commit(usize),
    /// By its time-out, or because the producer's successor initialises.
    Abort(usize),
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            rows: Default::default(),
            results: [[Seen::Not; 2]; PARTITIONS],
            committed: [0; PARTITIONS],
            owner: [None; PARTITIONS],
            instances: [Instance::default(); 2],
            faults: self.faults,
        };
        for (instance, version) in state.instances.iter_mut().zip(self.versions) {
            instance.version = version;
        }
        vec![state]
    }

    /// More than are possible: `next_state` refuses the rest.
    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (who, instance) in state.instances.iter().enumerate() {
            steps.extend([
                Step::Join(who),
                Step::TimeOut(who),
                Step::Hear(who),
                Step::Crash(who),
                Step::Swap(who),
                Step::Callback(who),
                Step::Impatience(who),
                Step::Restart(who),
                Step::Raise(who),
                Step::Fetch(who),
                Step::Score(who),
            ]);
            match instance.sink {
                None => steps.push(Step::Enter(who)),
                Some(_) => steps.extend([
                    Step::Write(who),
                    Step::WriteUnheard(who),
                    Step::Begin(who),
                    Step::SendOffsets(who),
                    Step::Again(who),
                    Step::GiveUp(who),
                    Step::Look(who),
                    Step::Fail(who),
                    Step::Ask(who),
                    Step::Answer(who),
                    Step::AnswerUnheard(who),
                ]),
            }
            if let Transaction::Open { .. } = instance.transaction {
                steps.extend([Step::Commit(who), Step::Abort(who)]);
            }
        }
        steps.extend((0..PARTITIONS).map(Step::Withdraw));
        if state.owner.contains(&None) {
            steps.extend([[0, 0], [0, 1], [1, 0], [1, 1]].map(Step::Give));
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = *state;
        let taken = match step {
            Step::Join(who) => group::join(self, &mut next, who),
            Step::TimeOut(who) => group::time_out(&mut next, who),
            Step::Withdraw(partition) => group::withdraw(self, &mut next, partition),
            Step::Give(to) => group::give(self, &mut next, to),
            Step::Hear(who) => group::hear(&mut next, who),
            Step::Crash(who) => crash(&mut next, who),
            Step::Swap(who) => swap(&mut next, who),
            Step::Callback(who) => reading::callback(self, &mut next, who),
            Step::Impatience(who) => reading::impatience(&mut next, who),
            Step::Restart(who) => reading::restart(&mut next, who),
            Step::Raise(who) => reading::raise(&mut next, who),
            Step::Fetch(who) => reading::fetch(self, &mut next, who),
            Step::Score(who) => reading::score(self, &mut next, who),
            Step::Enter(who) => sink::enter(&mut next, who),
            Step::Write(who) => sink::write(self, &mut next, who),
            Step::WriteUnheard(who) => sink::write_unheard(self, &mut next, who),
            Step::Begin(who) => sink::begin(&mut next, who),
            Step::SendOffsets(who) => sink::send_offsets(self, &mut next, who),
            Step::Again(who) => sink::again(&mut next, who),
            Step::GiveUp(who) => sink::give_up(&mut next, who),
            Step::Look(who) => sink::look(self, &mut next, who),
            Step::Fail(who) => sink::fail(&mut next, who),
            Step::Ask(who) => sink::ask(self, &mut next, who),
            Step::Answer(who) => sink::answer(&mut next, who),
            Step::AnswerUnheard(who) => sink::answer_unheard(self, &mut next, who),
            Step::Commit(who) => sink::commit(&mut next, who),
            Step::Abort(who) => sink::abort(&mut next, who),
        };
        taken?;
        Some(match self.symmetric {
            true => next.representative(self.messages),
            false => next,
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

/// Takes one from what may still happen.
pub fn spend(left: &mut u8) -> Option<()> {
    *left = left.checked_sub(1)?;
    Some(())
}

/// The step is possible only where this holds.
pub fn only_if(holds: bool) -> Option<()> {
    holds.then_some(())
}

/// The process is gone; what the coordinator, the broker and Postgres have of it stays.
fn crash(state: &mut State, who: usize) -> Option<()> {
    let instance = &mut state.instances[who];
    only_if(
        *instance
            != Instance {
                member: instance.member,
                version: instance.version,
                ..Instance::default()
            },
    )?;
    spend(&mut state.faults.crashes)?;
    *instance = Instance {
        version: instance.version,
        member: instance.member,
        transaction: match instance.transaction {
            Transaction::Committed => Transaction::None,
            transaction => transaction,
        },
        ..Instance::default()
    };
    Some(())
}

fn swap(state: &mut State, who: usize) -> Option<()> {
    spend(&mut state.faults.swaps)?;
    let version = &mut state.instances[who].version;
    *version = 1 - *version;
    Some(())
}
