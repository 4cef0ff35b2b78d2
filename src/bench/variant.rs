//! The service without one of its parts, to tell what that part costs; or with a training beside it, or with models that take turns.

use serde_json::{Value, json};

use super::report::{list, median, middle, named};
use super::round::Round;
use crate::config::Config;
use crate::pipeline::Delivery;

/// What is left out, or added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// What makes delivery exactly once.
    Unguarded,
    /// The watch over the feed: no panes, no drift, no alerts.
    Unwatched,
    /// A training runs beside it.
    Training,
    /// Two models take turns.
    Swaps,
}

impl Variant {
    /// Its key in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unguarded => "unguarded",
            Self::Unwatched => "unwatched",
            Self::Training => "training",
            Self::Swaps => "swaps",
        }
    }

    /// How it differs from the whole service.
    pub(super) fn difference(self) -> &'static str {
        match self {
            Self::Unguarded => "without the promise",
            Self::Unwatched => "without the watch",
            Self::Training => "beside a training",
            Self::Swaps => "while two models take turns",
        }
    }

    /// What the ratio tells.
    fn meaning(self) -> &'static str {
        match self {
            Self::Unguarded => "of the unguarded throughput is left with the promise",
            Self::Unwatched => "of the unwatched throughput is left with the watch",
            Self::Training => "of the throughput is left beside a training",
            Self::Swaps => "of the throughput is left while two models take turns",
        }
    }

    pub(super) fn delivery(self) -> Delivery {
        match self {
            Self::Unguarded => Delivery::Unguarded,
            Self::Unwatched | Self::Training | Self::Swaps => Delivery::ExactlyOnce,
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
    /// The share of throughput that is left with the part, or beside the training: the median of the times.
    ratio: f64,
    /// Processor time of the process in its time of median length, in seconds.
    cpu: f64,
    /// What swaps have cost, where there were some.
    lag: Option<Lag>,
}

/// How far swaps have thrown the service back.
#[derive(Debug, Clone, PartialEq)]
struct Lag {
    /// Swaps of all times together.
    swaps: u64,
    /// Messages that could have been scored in the time that a swap has cost: the median of the times.
    per_swap: f64,
    /// Messages of a chunk, on average.
    chunk: f64,
}

impl Lag {
    fn of(rounds: &[Round], each: &[f64], whole: &[f64], messages: f64) -> Option<Self> {
        let swaps: Vec<u64> = rounds.iter().map(|round| round.swaps).collect();
        let chunks: u64 = rounds.iter().map(|round| round.chunks).sum();
        let lost = swaps.iter().zip(each.iter().zip(whole));
        let lost: Vec<f64> = lost
            .filter(|(swaps, _)| **swaps > 0)
            .map(|(&swaps, (other, whole))| (other - whole) * messages / whole / swaps as f64)
            .collect();
        (!lost.is_empty()).then(|| Self {
            swaps: swaps.iter().sum(),
            per_swap: median(&lost),
            chunk: messages * rounds.len() as f64 / chunks.max(1) as f64,
        })
    }
}

impl Beside {
    /// `whole` are the seconds of the whole service's times.
    pub(super) fn new(variant: Variant, rounds: &[Round], whole: &[f64], messages: f64) -> Self {
        let each: Vec<f64> = rounds
            .iter()
            .map(|round| round.wall.as_secs_f64())
            .collect();
        let ratios: Vec<f64> = whole
            .iter()
            .zip(&each)
            .map(|(whole, other)| match variant {
                Variant::Training | Variant::Swaps => whole / other,
                Variant::Unguarded | Variant::Unwatched => other / whole,
            })
            .collect();
        let typical = middle(&each).and_then(|index| rounds.get(index));
        Self {
            variant,
            ratio: median(&ratios),
            stages: typical.map_or_else(Vec::new, |round| round.stages.to_vec()),
            cpu: typical.map_or(0.0, |round| round.cpu.process),
            lag: Lag::of(rounds, &each, whole, messages),
            each,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.variant.name()
    }

    pub(super) fn json(&self, messages: f64) -> Value {
        let seconds = median(&self.each);
        let mut found = json!({
            "messages_per_second": messages / seconds,
            "seconds": seconds,
            "each": self.each,
            "stages": named(&self.stages),
            "cpu_seconds": self.cpu,
            "ratio": self.ratio,
        });
        if let Some(lag) = &self.lag {
            found["swaps"] = json!(lag.swaps);
            found["messages_behind_per_swap"] = json!(lag.per_swap);
            found["messages_per_chunk"] = json!(lag.chunk);
        }
        found
    }

    pub(super) fn text(&self, messages: f64) -> Vec<String> {
        let (name, seconds) = (self.name(), median(&self.each));
        let mut lines = vec![
            format!(
                "{name:<12} {:>8.0} messages a second  {seconds:>7.2} s  (each: {})",
                messages / seconds,
                list(&self.each)
            ),
            format!(
                "{:<12} {:>8.3}  {}; processor time of this process {:.1} s",
                "",
                self.ratio,
                self.variant.meaning(),
                self.cpu
            ),
        ];
        if let Some(lag) = &self.lag {
            lines.push(format!(
                "{:<12} {:>8.0} messages behind after each of {} swaps; a chunk has {:.0}",
                "", lag.per_swap, lag.swaps, lag.chunk
            ));
        }
        lines
    }
}
