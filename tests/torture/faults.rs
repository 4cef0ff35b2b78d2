//! Doing to a run what its schedule says, and healing it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::diary::Diary;
use super::fleet::Fleet;
use super::pipeline::Pipeline;
use super::schedule::{End, Fault, Start, name};
use super::servers::{Broker, Postgres, Problem, again};

/// Waiting that a quiet point cuts short.
#[derive(Default)]
pub struct Patience {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Patience {
    /// Waits so long, or until it is over.
    pub fn wait(&self, length: Duration) {
        let deadline = Instant::now() + length;
        let mut over = self.lock();
        while !*over {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (over, _) = self
                .changed
                .wait_timeout(over, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether whatever lasts is to end now.
    pub fn set_over(&self, over: bool) {
        *self.lock() = over;
        self.changed.notify_all();
    }

    pub fn is_over(&self) -> bool {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that faults happen to. Each part is locked for as long as a fault of it lasts.
pub struct World {
    pub fleet: Fleet,
    pub broker: Mutex<Broker>,
    pub postgres: Mutex<Postgres>,
    pub pipelines: [Arc<Pipeline>; 2],
    pub patience: Patience,
    pub diary: Arc<Diary>,
}

impl World {
    /// The whole of a fault, from its begin until it is healed.
    pub fn perform(&self, fault: &Fault) {
        self.diary.fault_begins(fault.kind(), &fault.to_string());
        if let Err(problem) = self.attempt(fault) {
            // The torture itself does not work: what follows would prove nothing.
            self.diary.fail(&format!("{fault}: {problem}"));
        }
        self.diary.fault_ends();
    }

    fn attempt(&self, fault: &Fault) -> Result<(), Problem> {
        let length = fault.length();
        match fault {
            Fault::Kill { starts, .. } => self.kill(starts, length),
            Fault::Terminate { start, .. } => {
                let mut slot = self.fleet.slot(start.instance);
                self.fleet.terminate(&mut slot);
                self.patience.wait(length);
                self.fleet.start(&mut slot, start.clone());
                self.diary.restarted();
            }
            Fault::Pause { instance, .. } => {
                let slot = self.fleet.slot(*instance);
                self.fleet.signal(&slot, "STOP");
                self.patience.wait(length);
                self.fleet.signal(&slot, "CONT");
            }
            Fault::Add { start } => {
                let mut slot = self.fleet.slot(start.instance);
                self.fleet.start(&mut slot, start.clone());
            }
            Fault::Remove { instance, by } => {
                let mut slot = self.fleet.slot(*instance);
                match by {
                    End::Kill => self.fleet.kill(&mut slot),
                    End::Terminate => self.fleet.terminate(&mut slot),
                }
            }
            Fault::BrokerKill { node, .. } => {
                let mut broker = lock(&self.broker);
                broker.kill(*node)?;
                self.patience.wait(length);
                broker.restart()?;
            }
            Fault::BrokerPause { node, .. } => {
                let broker = lock(&self.broker);
                broker.pause(*node)?;
                self.patience.wait(length);
                broker.resume(*node)?;
            }
            Fault::AddPartitions { to } => {
                let _broker = lock(&self.broker);
                for pipeline in &self.pipelines {
                    again(|| pipeline.grow(*to))?;
                }
            }
            Fault::Quiet => {}
            _ => return self.attempt_on_postgres(fault, length),
        }
        Ok(())
    }

    fn attempt_on_postgres(&self, fault: &Fault, length: Duration) -> Result<(), Problem> {
        let mut postgres = lock(&self.postgres);
        match fault {
            Fault::PostgresCrash { .. } => {
                postgres.crash()?;
                self.patience.wait(length);
                postgres.restart()
            }
            Fault::PostgresPause { .. } => {
                postgres.pause()?;
                self.patience.wait(length);
                postgres.resume()
            }
            Fault::PostgresCut => postgres.cut(),
            Fault::Promote { bundle } => {
                let [small, _] = &self.pipelines;
                again(|| small.promote(*bundle))
            }
            Fault::PostgresReadOnly { .. } => {
                postgres.read_only(true)?;
                self.patience.wait(length);
                again(|| postgres.read_only(false))
            }
            Fault::EpochLock { .. } => {
                let [small, _] = &self.pipelines;
                postgres.hold_epochs(&small.database, || self.patience.wait(length))
            }
            Fault::EpochDeadlock { .. } => {
                let [small, _] = &self.pipelines;
                let begun = Instant::now();
                let is_over = || begun.elapsed() >= length || self.patience.is_over();
                postgres.deadlock_epochs(&small.database, is_over)
            }
            _ => Ok(()),
        }
    }

    fn kill(&self, starts: &[Start], length: Duration) {
        // In the order of their numbers, so that two faults never wait for each other in a circle.
        let mut slots: Vec<_> = starts
            .iter()
            .map(|start| (self.fleet.slot(start.instance), start))
            .collect();
        for (slot, _) in &mut slots {
            self.fleet.kill(slot);
        }
        self.patience.wait(length);
        for (slot, start) in &mut slots {
            self.fleet.start(slot, (*start).clone());
            self.diary.restarted();
        }
    }

    /// Starts an instance before anything happens.
    pub fn begin(&self, start: Start) {
        self.diary.note(&format!(
            "start {} (bundle {}, chunks of {})",
            name(start.instance),
            start.bundle + 1,
            start.max_messages
        ));
        let mut slot = self.fleet.slot(start.instance);
        self.fleet.start(&mut slot, start);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
