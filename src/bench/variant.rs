//! The service without one of its parts, to tell what that part costs.

use serde_json::{Value, json};

use super::report::{list, median, middle, named};
use super::round::Round;
use crate::config::Config;
use crate::pipeline::Delivery;

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// What makes delivery exactly once.
    Unguarded,
    /// The watch over the feed: no panes, no drift, no alerts.
    Unwatched,
}

impl Variant {
    /// Its key in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unguarded => "unguarded",
            Self::Unwatched => "unwatched",
        }
    }

    /// What is left out, in words.
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::Unguarded => "the promise",
            Self::Unwatched => "the watch",
        }
    }

    pub(super) fn delivery(self) -> Delivery {
        match self {
            Self::Unguarded => Delivery::Unguarded,
            Self::Unwatched => Delivery::ExactlyOnce,
        }
    }

    pub(super) fn adapt(self, config: &mut Config) {
        if self == Self::Unwatched {
            config.drift.enabled = false;
            config.alerts.enabled = false;
        }
    }
}

/// Its times, each of which followed one of the whole service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Beside {
    variant: Variant,
    /// Seconds of each time.
    each: Vec<f64>,
    /// Of the time of median length: seconds in each stage.
    pub stages: Vec<f64>,
    /// The share of its throughput that is left with the part: the median of the times.
    ratio: f64,
    /// Processor time of the process in its time of median length, in seconds.
    cpu: f64,
}

impl Beside {
    /// `whole` are the seconds of the whole service's times.
    pub(super) fn new(variant: Variant, rounds: &[Round], whole: &[f64]) -> Self {
        let each: Vec<f64> = rounds
            .iter()
            .map(|round| round.wall.as_secs_f64())
            .collect();
        let ratios: Vec<f64> = whole
            .iter()
            .zip(&each)
            .map(|(with, without)| without / with)
            .collect();
        let typical = middle(&each).and_then(|index| rounds.get(index));
        Self {
            variant,
            ratio: median(&ratios),
            stages: typical.map_or_else(Vec::new, |round| round.stages.to_vec()),
            cpu: typical.map_or(0.0, |round| round.cpu.process),
            each,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.variant.name()
    }

    pub(super) fn json(&self, messages: f64) -> Value {
        let seconds = median(&self.each);
        json!({
            "messages_per_second": messages / seconds,
            "seconds": seconds,
            "each": self.each,
            "stages": named(&self.stages),
            "cpu_seconds": self.cpu,
            "ratio": self.ratio,
        })
    }

    pub(super) fn text(&self, messages: f64) -> [String; 2] {
        let (name, seconds) = (self.name(), median(&self.each));
        [
            format!(
                "{name:<12} {:>8.0} messages a second  {seconds:>7.2} s  (each: {})",
                messages / seconds,
                list(&self.each)
            ),
            format!(
                "{:<12} {:>8.3}  of the {name} throughput is left with {}; processor time of this process {:.1} s",
                "",
                self.ratio,
                self.variant.part(),
                self.cpu
            ),
        ]
    }
}
