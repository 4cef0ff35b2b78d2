//! What there is: the log, Postgres, Kafka, the group and two instances of the service.
//!
//! Numbers that only grow (epochs, generations, assignments) are kept as what they are compared for: is it still the
//! current one? So the states are finitely many, however often the instances fence each other.

use std::fmt;

pub const INSTANCES: usize = 2;
pub const PARTITIONS: usize = 2;
/// Room for so many messages in a partition.
pub const MESSAGES: usize = 2;

/// The model version of an instance, and so a message's outcome: another version may label it otherwise, or make a dead
/// letter of it.
pub type Version = u8;

/// A set of partitions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Set(u8);

impl Set {
    pub fn has(self, partition: usize) -> bool {
        self.0 & (1 << partition) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_within(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..PARTITIONS).filter(move |&partition| self.has(partition))
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<T: IntoIterator<Item = usize>>(partitions: T) -> Self {
        Self(
            partitions
                .into_iter()
                .fold(0, |bits, partition| bits | (1 << partition)),
        )
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What a `read_committed` reader of the results sees of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Seen {
    #[default]
    Not,
    Once(Version),
    Twice,
}

/// At most one message of each partition, scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chunk {
    pub partitions: Set,
    pub at: [u8; PARTITIONS],
    pub version: Version,
}

/// An open or just ended transaction of an instance's producer, as its broker sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transaction {
    /// None is open, or the last was aborted.
    #[default]
    None,
    Open {
        chunk: Chunk,
        /// The offsets were taken on: they are pending, and a stable read of them waits.
        offsets: bool,
        /// It was asked to commit.
        asked: bool,
    },
    /// It has committed; the instance has not been told yet.
    Committed,
}

/// What an instance's client knows of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// It knows that it is no member.
    #[default]
    Out,
    /// It takes itself for a member, of a generation that has passed.
    Behind,
    /// It is a member of the current generation.
    Current,
}

/// A rebalance callback that waits for the next poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    Assign(Set),
    Revoke(Set),
    Lost,
}

/// Whether a chunk that is being committed still counts (`flight.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// Its assignment is the current one.
    Counts,
    /// Its assignment has ended; handing over waits for it.
    LastChance,
    /// Its assignment has ended and nobody waits.
    Void,
}

/// How far the commit of a chunk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing is written.
    Entered,
    /// The rows stand in Postgres.
    Written,
    /// A transaction is open, with the records in it.
    Begun,
    /// The coordinator refused the offsets; newer metadata may come.
    Refused,
    /// The offsets are pending.
    Pending,
    /// The epochs were still the current ones after that.
    Confirmed,
    /// The transaction was asked to commit.
    Asked,
}

/// The commit of a chunk by the sink's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Commit {
    pub chunk: Chunk,
    /// The partitions whose epoch, as held when the commit began, is still the current one.
    pub held: Set,
    pub standing: Standing,
    pub stage: Stage,
    /// The group's metadata that it goes on with is of the current generation.
    pub metadata: bool,
}

/// Partitions whose epochs have been raised and whose offsets have not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    pub partitions: Set,
    /// Those whose epoch nobody has raised since.
    pub held: Set,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    pub version: Version,
    /// The coordinator counts it (or, where its client is out, counts the process that died) as a member.
    pub member: bool,
    pub client: Client,
    pub event: Option<Event>,
    /// A revoke callback waits for the chunk that is being committed.
    pub handing: Option<Set>,
    pub owned: Set,
    pub pending: Set,
    pub claim: Option<Claim>,
    /// The partitions whose epoch it holds and nobody has raised since.
    pub held: Set,
    /// Where reading goes on, of the partitions that flow.
    pub next: [u8; PARTITIONS],
    /// The metadata that a callback read is of the current generation.
    pub membership: bool,
    /// A failed commit asks for everything to be read anew.
    pub restart: bool,
    /// A scored chunk of the current assignment that waits for the sink.
    pub queue: Option<Chunk>,
    pub sink: Option<Commit>,
    pub transaction: Transaction,
}

impl Instance {
    pub fn flowing(&self) -> Set {
        self.owned.without(self.pending)
    }

    /// A process that was declared dead and does not know it.
    pub fn is_zombie(&self) -> bool {
        !self.member && self.client == Client::Behind
    }
}

/// How many faults may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Faults {
    /// A process dies, at any step.
    pub crashes: u8,
    /// The coordinator misses a living member (it is paused, say) and goes on without it.
    pub timeouts: u8,
    /// A partition is moved between living members.
    pub moves: u8,
    /// A request fails or its reply is lost.
    pub losses: u8,
    /// An instance gets another model.
    pub swaps: u8,
    /// Handing over no longer waits.
    pub impatience: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    /// Postgres.
    pub rows: [[Option<Version>; MESSAGES]; PARTITIONS],
    /// Kafka's output topics, as `read_committed` shows them.
    pub results: [[Seen; MESSAGES]; PARTITIONS],
    /// The group's committed offsets.
    pub committed: [u8; PARTITIONS],
    /// Whom the group's current generation gives each partition.
    pub owner: [Option<u8>; PARTITIONS],
    pub instances: [Instance; INSTANCES],
    pub faults: Faults,
}

impl State {
    pub fn owned_by(&self, who: usize) -> Set {
        (0..PARTITIONS)
            .filter(|&partition| self.owner[partition] == Some(who as u8))
            .collect()
    }

    pub fn is_drained(&self, messages: [u8; PARTITIONS]) -> bool {
        self.committed == messages
    }

    /// Of the states that differ only in which instance and which partition is called the first, the least.
    pub fn representative(&self, messages: [u8; PARTITIONS]) -> Self {
        let other = self.with_instances_swapped();
        let least = *self.min(&other);
        if messages[0] != messages[1] {
            return least;
        }
        let swapped = self.with_partitions_swapped();
        least.min(swapped).min(swapped.with_instances_swapped())
    }

    fn with_instances_swapped(&self) -> Self {
        let mut state = *self;
        state.instances.swap(0, 1);
        state.owner = state.owner.map(|owner| owner.map(|who| 1 - who));
        state
    }

    fn with_partitions_swapped(&self) -> Self {
        let mut state = *self;
        state.rows.swap(0, 1);
        state.results.swap(0, 1);
        state.committed.swap(0, 1);
        state.owner.swap(0, 1);
        for instance in &mut state.instances {
            instance.swap_partitions();
        }
        state
    }
}

impl Set {
    fn swapped(self) -> Self {
        Self((self.0 & 1) << 1 | self.0 >> 1)
    }
}

impl Chunk {
    fn swapped(mut self) -> Self {
        self.partitions = self.partitions.swapped();
        self.at.swap(0, 1);
        self
    }
}

impl Instance {
    fn swap_partitions(&mut self) {
        self.event = self.event.map(|event| match event {
            Event::Assign(partitions) => Event::Assign(partitions.swapped()),
            Event::Revoke(partitions) => Event::Revoke(partitions.swapped()),
            Event::Lost => Event::Lost,
        });
        self.handing = self.handing.map(Set::swapped);
        self.owned = self.owned.swapped();
        self.pending = self.pending.swapped();
        self.held = self.held.swapped();
        self.next.swap(0, 1);
        if let Some(claim) = &mut self.claim {
            claim.partitions = claim.partitions.swapped();
            claim.held = claim.held.swapped();
        }
        self.queue = self.queue.map(Chunk::swapped);
        if let Some(commit) = &mut self.sink {
            commit.chunk = commit.chunk.swapped();
            commit.held = commit.held.swapped();
        }
        if let Transaction::Open { chunk, .. } = &mut self.transaction {
            *chunk = chunk.swapped();
        }
    }
}
