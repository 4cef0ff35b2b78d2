//! Topics that a broker did not know: not there yet, or not there.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::error::PipelineError;
use super::group::Group;
use crate::health::{Health, Part};

/// How long a topic may be unknown before it is taken to be missing: a broker that lags behind does not know one that was
/// just created.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const RETRY: Duration = Duration::from_millis(500);
/// For a look.
const REQUEST: Duration = Duration::from_secs(1);

/// Whether topics are missing, and since when.
#[derive(Default)]
pub(super) struct Missing {
    since: Option<Instant>,
    looked: Option<Instant>,
}

impl Missing {
    /// A broker did not know a topic.
    pub(super) fn suspect(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Whether topics are suspected to be missing.
    pub(super) fn is_suspected(&self) -> bool {
        self.since.is_some()
    }

    /// Looks whether the topics are there by now.
    ///
    /// # Errors
    ///
    /// They stay unknown.
    pub(super) fn look<'a>(
        &mut self,
        consumer: &BaseConsumer<Group>,
        topics: impl Iterator<Item = &'a String>,
        health: &Health,
    ) -> Result<(), PipelineError> {
        let Some(since) = self.since else {
            return Ok(());
        };
        if self.looked.is_some_and(|looked| looked.elapsed() < RETRY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let is_missing =
            |topic: &&String| match consumer.fetch_metadata(Some(topic.as_str()), REQUEST) {
                Ok(metadata) => !metadata.topics().iter().any(|found| {
                    found.name() == topic.as_str()
                        && found.error().is_none()
                        && !found.partitions().is_empty()
                }),
                // A broker that does not answer says nothing of topics.
                Err(_) => false,
            };
        let missing: Vec<&str> = topics.filter(is_missing).map(String::as_str).collect();
        if missing.is_empty() {
            self.since = None;
            return Ok(());
        }
        let reason = format!("there is no topic {}", missing.join(", "));
        if since.elapsed() >= PATIENCE {
            return Err(PipelineError::Input(format!(
                "{reason} (or it was deleted); create it or correct [[input]]"
            )));
        }
        health.not_ready(Part::Kafka, reason);
        Ok(())
    }
}
