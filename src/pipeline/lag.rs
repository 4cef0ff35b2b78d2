//! How far the service is behind: in messages, and in seconds of work at its present throughput.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use crate::record::TopicPartition;

/// How often the figures are brought up to date.
const EVERY: Duration = Duration::from_secs(1);
/// Weight of the latest second in the throughput: a change counts for half after some four seconds.
const WEIGHT: f64 = 0.15;

/// Follows positions and ends, and keeps the metrics of the lag.
pub(super) struct Lag {
    metrics: Metrics,
    last: Option<(Instant, i64)>,
    /// Messages a second, smoothed.
    throughput: f64,
    shown: BTreeSet<TopicPartition>,
}

impl Lag {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            last: None,
            throughput: 0.0,
            shown: BTreeSet::new(),
        }
    }

    /// Brings the metrics up to date, at most once a second.
    pub(super) fn follow(
        &mut self,
        owned: &BTreeSet<TopicPartition>,
        ends: &BTreeMap<TopicPartition, i64>,
        positions: &BTreeMap<TopicPartition, i64>,
        now: Instant,
    ) {
        if self
            .last
            .is_some_and(|(then, _)| now.duration_since(then) < EVERY)
        {
            return;
        }
        let done: i64 = positions.values().sum();
        if let Some((then, before)) = self.last {
            // A partition that came or went moves the sum by its whole offset: such a step says nothing.
            let step = done - before;
            let same = self.shown == *owned;
            if same && step >= 0 {
                let rate = step as f64 / now.duration_since(then).as_secs_f64();
                self.throughput += WEIGHT * (rate - self.throughput);
            }
        }
        self.last = Some((now, done));

        for gone in self.shown.difference(owned) {
            self.metrics.forget_lag(gone);
        }
        self.shown.clone_from(owned);
        let mut total = 0;
        for partition in owned {
            if let (Some(end), Some(position)) = (ends.get(partition), positions.get(partition)) {
                let lag = end.saturating_sub(*position).max(0).unsigned_abs();
                self.metrics.set_lag(partition, lag);
                total += lag;
            }
        }
        self.metrics
            .lag_seconds
            .set(seconds(total, self.throughput));
    }
}

/// The time that so many messages take; none where there are none, infinite where nothing moves.
fn seconds(messages: u64, throughput: f64) -> f64 {
    if messages == 0 {
        0.0
    } else {
        messages as f64 / throughput
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition {
            topic: Arc::from("posts"),
            partition: number,
        }
    }

    #[test]
    fn the_lag_in_seconds_is_the_lag_over_the_throughput() {
        let metrics = Metrics::new();
        let mut lag = Lag::new(metrics.clone());
        let owned = BTreeSet::from([partition(0)]);
        let ends = BTreeMap::from([(partition(0), 10_000)]);
        let start = Instant::now();
        for second in 0..60 {
            let positions = BTreeMap::from([(partition(0), 100 * second)]);
            lag.follow(
                &owned,
                &ends,
                &positions,
                start + Duration::from_secs(second.unsigned_abs()),
            );
        }
        // 4,100 messages are left at 100 a second.
        assert!(
            (metrics.lag_seconds.get() - 41.0).abs() < 0.5,
            "{}",
            metrics.lag_seconds.get()
        );
        assert!(
            metrics
                .render()
                .contains("consumer_lag_messages{partition=\"0\",topic=\"posts\"} 4100")
        );
        lag.follow(
            &BTreeSet::new(),
            &ends,
            &BTreeMap::new(),
            start + Duration::from_secs(61),
        );
        assert!(!metrics.render().contains("consumer_lag_messages{"));
        assert_eq!(metrics.lag_seconds.get(), 0.0);
    }

    #[test]
    fn a_lag_that_nothing_works_on_takes_for_ever() {
        assert_eq!(seconds(0, 0.0), 0.0);
        assert_eq!(seconds(1, 0.0), f64::INFINITY);
    }
}
