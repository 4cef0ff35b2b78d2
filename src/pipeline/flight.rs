//! What is under way, and under which right: shared by the thread that consumes and the one that commits.
//!
//! The consuming thread learns first when partitions come and go, the committing thread needs to know it before each step.
//! Three rules, which ARCHITECTURE.md derives:
//!
//! 1. A chunk counts only as long as its [`Assignment`] is the current one. Every change that takes a partition away, and
//!    every failure, begins a new assignment, so that whatever was under way is recognised and dropped.
//! 2. Partitions are handed over only after the chunk that is being committed has ended, one way or the other.
//! 3. Offsets are committed under group metadata that was read while a rebalance callback ran, when it is known what this
//!    instance owns: the coordinator checks the generation only.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;

use crate::record::{Assignment, Offsets, TopicPartition};
use crate::store::Epochs;

/// The group's metadata of one generation, numbered as they come.
#[derive(Clone)]
pub(super) struct Membership {
    pub number: u64,
    pub metadata: Arc<ConsumerGroupMetadata>,
}

/// The state that both threads share.
pub(super) struct Flight {
    /// The current assignment, also readable without the lock: it is looked at for every message.
    current: AtomicU64,
    /// Whether the last that was heard of transactions is that they work.
    transacts: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    membership: Option<Membership>,
    memberships: u64,
    epochs: Arc<Epochs>,
    /// The assignment of the chunk that is being committed.
    committing: Option<Assignment>,
    /// A chunk of this assignment may still be committed although a newer one has begun: its partitions are about to be
    /// handed over, and that waits for it.
    last_chance: Option<Assignment>,
    /// Set by a failed commit: everything is to be read again from the committed offsets.
    restart: bool,
    /// The next offset to commit of each partition, for the lag.
    positions: BTreeMap<TopicPartition, i64>,
}

impl Flight {
    pub(super) fn new() -> Self {
        Self {
            current: AtomicU64::new(0),
            transacts: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The assignment that new chunks are collected under.
    pub(super) fn current(&self) -> Assignment {
        Assignment(self.current.load(Ordering::Acquire))
    }

    pub(super) fn is_current(&self, assignment: Assignment) -> bool {
        self.current() == assignment
    }

    // --- the consuming thread ---

    /// The instance is a member of a new generation and has lost nothing by it.
    pub(super) fn join(&self, metadata: ConsumerGroupMetadata) {
        self.renew(&mut self.lock(), metadata);
        self.changed.notify_all();
    }

    /// Partitions must be handed over: whatever is under way becomes void, except for the chunk that is being committed,
    /// which is awaited for at most `limit`. Tells whether it ended in time.
    pub(super) fn hand_over(
        &self,
        metadata: Option<ConsumerGroupMetadata>,
        limit: Duration,
    ) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        self.void_the_rest(&mut state);
        if let Some(metadata) = metadata {
            self.renew(&mut state, metadata);
        }
        self.changed.notify_all();
        while state.committing.is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.last_chance = None;
        state.committing.is_none()
    }

    /// The service drains: as [`Flight::hand_over`], without the wait.
    pub(super) fn wind_up(&self) {
        self.void_the_rest(&mut self.lock());
        self.changed.notify_all();
    }

    /// The partitions are gone already, or must not be waited for: everything under way becomes void at once.
    pub(super) fn lose(&self) {
        let mut state = self.lock();
        state.last_chance = None;
        self.begin_assignment();
        self.changed.notify_all();
    }

    /// Replaces the epochs of the partitions that were claimed.
    pub(super) fn claimed(&self, epochs: Epochs, positions: BTreeMap<TopicPartition, i64>) {
        let mut state = self.lock();
        let mut held = (*state.epochs).clone();
        held.0.extend(epochs.0);
        state.epochs = Arc::new(held);
        state.positions.extend(positions);
    }

    /// Forgets partitions that were handed over.
    pub(super) fn forget<'a>(&self, partitions: impl IntoIterator<Item = &'a TopicPartition>) {
        let mut state = self.lock();
        let mut held = (*state.epochs).clone();
        for partition in partitions {
            held.0.remove(partition);
            state.positions.remove(partition);
        }
        state.epochs = Arc::new(held);
    }

    /// Whether transactions work, as far as is known: a broker that answers the consumer may still refuse them.
    pub(super) fn transacts(&self) -> bool {
        self.transacts.load(Ordering::Acquire)
    }

    /// The assignment to consume under, and whether a commit has failed since the last call, so that all partitions must
    /// be read anew.
    ///
    /// Both at one moment: what is read anew under an assignment that had ended before would be dropped, and never read again.
    pub(super) fn follow(&self) -> (Assignment, bool) {
        let mut state = self.lock();
        (self.current(), std::mem::take(&mut state.restart))
    }

    /// The next offset to commit of each partition.
    pub(super) fn positions(&self) -> BTreeMap<TopicPartition, i64> {
        self.lock().positions.clone()
    }

    // --- the committing thread ---

    /// Tells whether transactions work.
    pub(super) fn set_transacts(&self, works: bool) {
        self.transacts.store(works, Ordering::Release);
    }

    /// Begins to commit a chunk, unless its assignment has ended.
    pub(super) fn enter(&self, assignment: Assignment) -> Option<Commit<'_>> {
        let mut state = self.lock();
        if !self.is_current(assignment) {
            return None;
        }
        state.committing = Some(assignment);
        Some(Commit {
            flight: self,
            assignment,
            epochs: Arc::clone(&state.epochs),
        })
    }

    /// Whatever is under way becomes void, except for the chunk that is being committed.
    fn void_the_rest(&self, state: &mut State) {
        state.last_chance = state.committing;
        self.begin_assignment();
    }

    fn begin_assignment(&self) {
        self.current.fetch_add(1, Ordering::AcqRel);
    }

    fn renew(&self, state: &mut State, metadata: ConsumerGroupMetadata) {
        state.memberships += 1;
        state.membership = Some(Membership {
            number: state.memberships,
            metadata: Arc::new(metadata),
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to commit one chunk; handing over partitions waits until it is dropped.
pub(super) struct Commit<'a> {
    flight: &'a Flight,
    assignment: Assignment,
    /// The epochs as they were when the commit began.
    pub epochs: Arc<Epochs>,
}

impl Commit<'_> {
    /// Whether a failed step may be tried again.
    pub(super) fn may_retry(&self) -> bool {
        self.flight.is_current(self.assignment)
    }

    /// Whether the chunk may still be committed: tried again, or ended where partitions wait for it.
    pub(super) fn counts_still(&self) -> bool {
        self.counts(&self.flight.lock())
    }

    /// The metadata to commit under; nothing where the chunk no longer counts.
    pub(super) fn membership(&self) -> Option<Membership> {
        let state = self.flight.lock();
        self.counts(&state).then(|| state.membership.clone())?
    }

    /// Waits for metadata newer than `old`, for at most `limit`; nothing where none comes or the chunk no longer counts.
    pub(super) fn newer_membership(&self, old: u64, limit: Duration) -> Option<Membership> {
        let deadline = Instant::now() + limit;
        let mut state = self.flight.lock();
        loop {
            if !self.counts(&state) {
                return None;
            }
            if let Some(membership) = &state.membership
                && membership.number > old
            {
                return Some(membership.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            (state, _) = self
                .flight
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for `pause`, or until the chunk no longer counts.
    pub(super) fn back_off(&self, pause: Duration) {
        let deadline = Instant::now() + pause;
        let mut state = self.flight.lock();
        while self.may_retry() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (state, _) = self
                .flight
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
    }

    /// The chunk stands in both sinks.
    ///
    /// Where that took so long that its assignment ended meanwhile, its partitions may have been begun anew from offsets
    /// that did not know of it yet: then they are begun once more, before anything that follows is committed.
    pub(super) fn committed(self, offsets: &Offsets) {
        let mut state = self.flight.lock();
        if !self.counts(&state) {
            self.flight.begin_assignment();
            state.restart = true;
        }
        for (partition, range) in &offsets.0 {
            if let Some(position) = state.positions.get_mut(partition) {
                *position = range.end;
            }
        }
    }

    /// The chunk is given up: everything that followed it becomes void and is to be read again.
    pub(super) fn failed(self) {
        let mut state = self.flight.lock();
        if self.flight.is_current(self.assignment) {
            self.flight.begin_assignment();
            state.restart = true;
            self.flight.changed.notify_all();
        }
    }

    fn counts(&self, state: &State) -> bool {
        self.flight.is_current(self.assignment) || state.last_chance == Some(self.assignment)
    }
}

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        self.flight.lock().committing = None;
        self.flight.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
