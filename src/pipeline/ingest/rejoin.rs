//! Joining the group anew, where it has taken another member for this one.
//!
//! A static member that does not hear from a silent broker asks to join again, and a broker that comes back answers all of
//! it: the last request replaces the member that the first one has made, and the client takes itself for fenced by another
//! process. Whether there is one, the transactional id tells: the other's producer has fenced ours.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{Group, Ingest};
use crate::pipeline::client;
use crate::pipeline::error::PipelineError;
use crate::pipeline::flight::Flight;
use crate::pipeline::limits::Limits;
use crate::refusal;

/// So often within [`WITHIN`]: two processes of one name whose topics are idle would otherwise take turns for ever.
const MOST: usize = 3;
const WITHIN: Duration = Duration::from_secs(300);

/// When the group was joined anew.
#[derive(Debug, Default)]
pub(super) struct Rejoins(VecDeque<Instant>);

impl Rejoins {
    /// Whether it may be done once more; counts it if so.
    fn allow(&mut self, now: Instant) -> bool {
        self.0.retain(|&then| now - then < WITHIN);
        if self.0.len() >= MOST {
            return false;
        }
        self.0.push_back(now);
        true
    }
}

/// A consumer that has not joined yet.
pub(super) fn consumer(
    settings: &ClientConfig,
    flight: &Arc<Flight>,
    topics: impl IntoIterator<Item = Arc<str>>,
    limits: Limits,
) -> Result<BaseConsumer<Group>, PipelineError> {
    let group = Group::new(Arc::clone(flight), topics, limits.hand_over);
    settings
        .create_with_context(group)
        .map_err(|error| PipelineError::Client(refusal::of_client(&error)))
}

impl Ingest {
    /// Joins the group with the topics of the configuration.
    pub(super) fn join(&self) -> Result<(), PipelineError> {
        let topics: Vec<&str> = self.decoders.keys().map(String::as_str).collect();
        self.consumer
            .subscribe(&topics)
            .map_err(|error| PipelineError::Input(error.to_string()))
    }

    /// Begins as a new member; everything under way becomes void.
    pub(super) fn rejoin(&mut self) -> Result<(), PipelineError> {
        if !self.rejoins.allow(Instant::now()) {
            return Err(PipelineError::Replaced {
                instance: self.config.instance_name(),
                transactional_id: client::transactional_id(&self.config),
            });
        }
        tracing::warn!("the group has taken another member for this one: joining it anew");
        self.flight.lose();
        self.flight.forget(&self.consumer.context().owned());
        self.collector.clear();
        let topics = self.decoders.values();
        let topics = topics.map(|decoder| Arc::clone(&decoder.topic));
        let limits = Limits::of(&self.config);
        self.consumer = consumer(&self.settings, &self.flight, topics, limits)?;
        (self.blocked, self.held, self.rebalances) = (None, false, 0);
        self.join()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_times_are_allowed_and_more_only_after_a_while() {
        let (mut rejoins, now) = (Rejoins::default(), Instant::now());
        assert!((0..MOST).all(|_| rejoins.allow(now)));
        assert!(!rejoins.allow(now + WITHIN / 2));
        assert!(rejoins.allow(now + WITHIN));
    }
}
