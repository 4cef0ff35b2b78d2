//! What the probes say: whether the service is alive, and what it still waits for before it is ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What readiness depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Kafka,
    Postgres,
    Model,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Kafka, Self::Postgres, Self::Model];

    /// The name shown by the probe.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
            Self::Model => "model",
        }
    }
}

/// The reason of every part at first.
const STARTING: &str = "starting";

/// The state of every part; clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Why a part is not ready; parts that are ready are absent.
    waiting: BTreeMap<Part, String>,
    /// Nothing becomes ready any more.
    stopping: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Nothing is ready yet.
    #[must_use]
    pub fn new() -> Self {
        let starting = Part::ALL.map(|part| (part, STARTING.to_owned()));
        Self {
            state: Arc::new(Mutex::new(State {
                waiting: BTreeMap::from(starting),
                stopping: false,
            })),
        }
    }

    /// The part works.
    pub fn ready(&self, part: Part) {
        let mut state = self.lock();
        if !state.stopping && state.waiting.remove(&part).is_some() {
            tracing::info!(part = part.as_str(), "ready");
        }
    }

    /// The part does not work now, for a reason fit for a person.
    pub fn not_ready(&self, part: Part, reason: impl Into<String>) {
        let reason = reason.into();
        let mut state = self.lock();
        if state.stopping {
            return;
        }
        // Once: a reason may change every second.
        match state.waiting.insert(part, reason.clone()).as_deref() {
            None => tracing::warn!(part = part.as_str(), reason, "no longer ready"),
            Some(STARTING) => tracing::warn!(part = part.as_str(), reason, "not ready yet"),
            Some(_) => {}
        }
    }

    /// The service drains: no part is ready from now on.
    pub fn stopping(&self) {
        let mut state = self.lock();
        state.stopping = true;
        state.waiting = Part::ALL.map(|part| (part, "stopping".to_owned())).into();
    }

    /// What is not ready, and why; empty where all is.
    #[must_use]
    pub fn waiting_for(&self) -> BTreeMap<Part, String> {
        self.lock().waiting.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_ready_when_every_part_is_until_it_stops() {
        let health = Health::new();
        assert_eq!(health.waiting_for().len(), Part::ALL.len());
        for part in Part::ALL {
            health.ready(part);
        }
        assert!(health.waiting_for().is_empty());
        health.clone().not_ready(Part::Postgres, "gone");
        assert_eq!(health.waiting_for()[&Part::Postgres], "gone");
        health.stopping();
        health.ready(Part::Postgres);
        assert_eq!(health.waiting_for().len(), Part::ALL.len());
    }
}
