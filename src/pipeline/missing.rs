//! Topics that a broker did not know: not there yet, or not there.

use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::Client;

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

    /// Looks whether the topics are there by now, if it is time to; the sentence where they are not.
    pub(super) fn look<'a>(
        &mut self,
        client: &Client<impl ClientContext>,
        topics: impl Iterator<Item = &'a String>,
    ) -> Option<Absent> {
        let since = self.since?;
        if self.looked.is_some_and(|looked| looked.elapsed() < RETRY) {
            return None;
        }
        self.looked = Some(Instant::now());
        let is_missing = |topic: &&String| match client.fetch_metadata(Some(topic), REQUEST) {
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
            return None;
        }
        let reason = format!("there is no topic {}", missing.join(", "));
        Some(if since.elapsed() >= PATIENCE {
            Absent::ForGood(reason)
        } else {
            Absent::ForNow(reason)
        })
    }
}

/// Topics are missing, as a sentence says.
pub(super) enum Absent {
    /// They may yet appear.
    ForNow(String),
    /// They have been missing for so long that somebody must do something.
    ForGood(String),
}
