//! How long the consuming thread may be kept from polling: a member that polls too seldom loses its partitions.

use std::time::Duration;

use super::client;
use super::config::KafkaConfig;

/// How long handing over waits for the chunk that is being committed. Should it take longer, it is fenced: whoever takes the
/// partitions over raises their epochs, and the group's generation moves on.
const HAND_OVER: Duration = Duration::from_secs(60);
/// For raising the epochs, which waits for a chunk that a predecessor is writing.
const CLAIM: Duration = Duration::from_secs(20);
/// For each request about offsets.
const REQUEST: Duration = Duration::from_secs(10);

/// What each may take that happens between two polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub hand_over: Duration,
    pub claim: Duration,
    pub request: Duration,
}

impl Limits {
    /// Less where `max.poll.interval.ms` is set low: a server that does not answer must not cost the place in the group, or
    /// an outage would be a loop of rebalances.
    pub(super) fn of(config: &KafkaConfig) -> Self {
        let share = client::poll_interval(config) / 4;
        Self {
            hand_over: HAND_OVER.min(share),
            claim: CLAIM.min(share),
            // Some may follow one another.
            request: REQUEST.min(share / 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pipeline::config::Start;

    #[test]
    fn all_that_happens_between_two_polls_fits_between_them() {
        for interval in [10_000, 60_000, 300_000] {
            let limits = Limits::of(&KafkaConfig {
                bootstrap_servers: "127.0.0.1:1".into(),
                group: "g".into(),
                instance: "one".into(),
                static_membership: false,
                start: Start::Earliest,
                client: BTreeMap::from([("max.poll.interval.ms".into(), interval.to_string())]),
            });
            let interval = Duration::from_millis(interval);
            assert!(limits.hand_over * 2 <= interval, "{limits:?}");
            assert!(
                limits.claim + limits.request * 4 <= interval / 2,
                "{limits:?}"
            );
        }
    }
}
