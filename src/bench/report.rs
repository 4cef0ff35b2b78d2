//! What a measurement says, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::bare::{Alone, Bare};
use super::round::{Round, STAGES};
use super::variant::{Beside, Variant};
use crate::config::Config;
use crate::demo::Servers;

/// What was measured, and on what.
#[derive(Debug, Clone, Serialize)]
pub struct Setup {
    pub input: String,
    pub messages: u64,
    /// Of the messages, those with a text to score.
    pub scored: u64,
    /// Tokens of those texts, special ones included.
    pub tokens: u64,
    /// The share of padding in the bare session's batches.
    pub padding_share: f64,
    pub kafka: String,
    pub postgres: String,
    pub model: String,
    /// Threads of one inference; 0 is one for each core.
    pub threads: usize,
    pub cores: usize,
    pub max_messages: usize,
    pub max_tokens: usize,
}

impl Setup {
    pub(super) fn of(
        config: &Config,
        servers: &Servers,
        input: String,
        messages: u64,
        bare: &Bare,
    ) -> Self {
        let [kafka, postgres] = servers.kinds();
        Self {
            input,
            messages,
            scored: bare.scored,
            tokens: bare.tokens,
            padding_share: bare.padding,
            kafka,
            postgres,
            model: config.model.path.display().to_string(),
            threads: config.model.threads,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            max_messages: config.batch.max_messages,
            max_tokens: config.batch.max_tokens,
        }
    }
}

/// The bare session and the whole service beside each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    setup: Value,
    messages: f64,
    /// Seconds of each time, in their order.
    bare: Vec<f64>,
    whole: Vec<f64>,
    /// Of each time through the whole service: its seconds against the mean of the bare sessions before and after it.
    ratios: Vec<f64>,
    /// What was measured beside it.
    beside: Vec<Beside>,
    /// Of the time of median length: seconds in each stage, and of the processors.
    stages: Vec<f64>,
    chunks: u64,
    process_cpu: f64,
    others_cpu: f64,
    bare_cpu: f64,
    padding: f64,
}

impl Report {
    /// `alone` holds one time more than `whole`: before the first, between, and after the last.
    pub(super) fn new(
        setup: Setup,
        alone: &[Alone],
        whole: &[Round],
        beside: &[(Variant, Vec<Round>)],
    ) -> Self {
        let bare: Vec<f64> = alone.iter().map(|time| time.wall.as_secs_f64()).collect();
        let seconds: Vec<f64> = whole.iter().map(|round| round.wall.as_secs_f64()).collect();
        let beside = beside
            .iter()
            .map(|(variant, rounds)| Beside::new(*variant, rounds, &seconds, setup.messages as f64))
            .collect();
        let ratios = seconds
            .iter()
            .zip(bare.windows(2))
            .map(|(whole, beside)| (beside[0] + beside[1]) / 2.0 / whole)
            .collect();
        let typical = middle(&seconds).and_then(|index| whole.get(index));
        let computed = |round: &Round| (round.tokens + round.padding_tokens).max(1) as f64;
        Self {
            messages: setup.messages as f64,
            setup: serde_json::to_value(setup).unwrap_or_default(),
            bare,
            whole: seconds,
            ratios,
            beside,
            stages: typical.map_or_else(Vec::new, |round| round.stages.to_vec()),
            chunks: typical.map_or(0, |round| round.chunks),
            process_cpu: typical.map_or(0.0, |round| round.cpu.process),
            others_cpu: typical.map_or(0.0, |round| round.cpu.others()),
            bare_cpu: median(
                &alone
                    .iter()
                    .map(|time| time.cpu.process)
                    .collect::<Vec<_>>(),
            ),
            padding: typical.map_or(0.0, |round| round.padding_tokens as f64 / computed(round)),
        }
    }

    /// The share of the bare session's speed that is left end to end: the median of the times.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        median(&self.ratios)
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut report = json!({
            "ratio": self.ratio(),
            "ratios": self.ratios,
            "end_to_end": {
                "messages_per_second": self.messages / median(&self.whole),
                "seconds": median(&self.whole),
                "each": self.whole,
            },
            "bare": {
                "messages_per_second": self.messages / median(&self.bare),
                "seconds": median(&self.bare),
                "each": self.bare,
            },
            "stages": named(&self.stages),
            "chunks": self.chunks,
            "padding_share": self.padding,
            "cpu_seconds": {"bare": self.bare_cpu, "end_to_end": self.process_cpu, "others": self.others_cpu},
            "setup": self.setup,
        });
        for beside in &self.beside {
            report[beside.name()] = beside.json(self.messages);
        }
        report
    }

    /// A page for a person.
    #[must_use]
    pub fn text(&self) -> String {
        let (bare, whole) = (median(&self.bare), median(&self.whole));
        let infer = STAGES
            .iter()
            .zip(&self.stages)
            .find(|((_, name), _)| *name == "infer")
            .map_or(0.0, |(_, seconds)| *seconds);
        let mut text = String::new();
        let mut line = |what: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{what}");
        };
        line(format!(
            "{:<12} {:>8.0} messages a second  {whole:>7.2} s  (each: {})",
            "end to end",
            self.messages / whole,
            list(&self.whole)
        ));
        line(format!(
            "{:<12} {:>8.0} messages a second  {bare:>7.2} s  (each: {})",
            "bare session",
            self.messages / bare,
            list(&self.bare)
        ));
        line(format!(
            "{:<12} {:>8.3}  (each: {})",
            "ratio",
            self.ratio(),
            list(&self.ratios)
        ));
        for beside in &self.beside {
            beside.text(self.messages).into_iter().for_each(&mut line);
        }
        line(String::new());
        line(format!(
            "where the {whole:.2} s go, in the time of median length:"
        ));
        let mut part = |what: &str, seconds: f64| {
            line(format!(
                "  {what:<52} {seconds:>7.2} s  {:>5.1} %",
                seconds / whole * 100.0
            ));
        };
        part("the model, as when it is alone", bare);
        part("the model, slower beside everything else", infer - bare);
        part(
            "the model waits: first chunk, last commit, and gaps",
            whole - infer,
        );
        line(String::new());
        line("seconds in each stage, which work at the same time:".to_owned());
        for (index, ((_, name), seconds)) in STAGES.iter().zip(&self.stages).enumerate() {
            let beside: String = self
                .beside
                .iter()
                .filter_map(|beside| Some((beside.name(), beside.stages.get(index)?)))
                .map(|(name, without)| format!("  ({name} {without:>7.2} s)"))
                .collect();
            line(format!("  {name:<52} {seconds:>7.2} s{beside}"));
        }
        line(format!(
            "processor time: {:.1} s of the bare session; end to end {:.1} s of this process and {:.1} s of everything else on the machine",
            self.bare_cpu, self.process_cpu, self.others_cpu
        ));
        line(format!(
            "{} chunks, {:.1} % padding",
            self.chunks,
            self.padding * 100.0
        ));
        text
    }
}

/// Seconds by stage.
pub(super) fn named(seconds: &[f64]) -> Map<String, Value> {
    STAGES
        .iter()
        .zip(seconds)
        .map(|((_, name), seconds)| ((*name).to_owned(), json!(seconds)))
        .collect()
}

pub(super) fn list(seconds: &[f64]) -> String {
    let each: Vec<String> = seconds.iter().map(|value| format!("{value:.3}")).collect();
    each.join(" ")
}

/// The index of the middle one by size; the lower of two.
pub(super) fn middle(values: &[f64]) -> Option<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    order.get(values.len().saturating_sub(1) / 2).copied()
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (length, half) if length % 2 == 1 => sorted[half],
        (_, half) => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::CpuTime;

    fn round(seconds: u64) -> Round {
        Round {
            wall: Duration::from_secs(seconds),
            stages: [1.0, 2.0, seconds as f64 - 1.0, 3.0, 4.0],
            chunks: 7,
            dead_letters: 1,
            swaps: 0,
            tokens: 90,
            padding_tokens: 10,
            cpu: CpuTime {
                process: 8.0,
                machine: 9.5,
            },
        }
    }

    fn report() -> Report {
        let setup = Setup {
            input: "the built-in feed".into(),
            messages: 1_000,
            scored: 990,
            tokens: 20_000,
            padding_share: 0.05,
            kafka: "k".into(),
            postgres: "p".into(),
            model: "m".into(),
            threads: 0,
            cores: 2,
            max_messages: 512,
            max_tokens: 2048,
        };
        let alone = [8, 10, 8, 8].map(|seconds| Alone {
            wall: Duration::from_secs(seconds),
            cpu: CpuTime {
                process: 15.0,
                machine: 16.0,
            },
        });
        Report::new(
            setup,
            &alone,
            &[round(10), round(12), round(10)],
            &[(Variant::Unguarded, vec![round(9), round(6), round(8)])],
        )
    }

    #[test]
    fn a_time_is_compared_with_the_bare_sessions_beside_it() {
        let report = report();
        assert_eq!(report.ratios, [0.9, 0.75, 0.8]);
        assert_eq!(report.ratio(), 0.8);
        let json = report.json();
        assert_eq!(json["end_to_end"]["messages_per_second"], 100.0);
        assert_eq!(json["bare"]["messages_per_second"], 125.0);
        assert_eq!(json["stages"]["infer"], 9.0);
        assert_eq!(json["setup"]["scored"], 990);
        assert_eq!(json["unguarded"]["ratio"], 0.8);
        assert_eq!(json["unguarded"]["stages"]["infer"], 7.0);
    }

    #[test]
    fn what_the_time_goes_into_adds_up_to_it() {
        let text = report().text();
        for part in [
            "8.00 s   80.0 %",
            "1.00 s   10.0 %",
            "15.0 s of the bare session; end to end 8.0 s of this process and 1.5 s",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }

    #[test]
    fn the_median_of_two_lies_between_them() {
        assert_eq!(median(&[3.0, 1.0]), 2.0);
        assert_eq!(median(&[3.0, 1.0, 9.0]), 3.0);
        assert_eq!(middle(&[3.0, 1.0, 9.0]), Some(0));
        assert_eq!(middle(&[]), None);
    }
}
