//! Live progress: bars and examples where a person watches, a plain line every few seconds where not.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::figures::{bar, grouped, one_line};
use super::tally::Tally;

/// How often the display is to be brought up to date.
pub const REFRESH: Duration = Duration::from_millis(250);
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// The rate shown is that of the last few seconds.
const RATE_OVER: Duration = Duration::from_secs(4);
const EXAMPLES: usize = 6;

/// The figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub elapsed: Duration,
    pub sent: u64,
    pub scored: u64,
    pub committed: u64,
}

/// Shows how a demo goes, on standard error.
pub struct Display {
    kind: Kind,
    /// Earlier moments, oldest first, for the rate.
    past: Vec<Moment>,
}

enum Kind {
    Terminal(Box<Terminal>),
    Plain { last: Instant },
}

struct Terminal {
    // Held because its lines are drawn through it.
    lines: MultiProgress,
    figures: ProgressBar,
    labels: ProgressBar,
    examples: Vec<ProgressBar>,
}

impl Default for Display {
    fn default() -> Self {
        Self::new()
    }
}

impl Display {
    /// A display that fits what standard error is.
    #[must_use]
    pub fn new() -> Self {
        let kind = if std::io::stderr().is_terminal() {
            Kind::Terminal(Box::new(Terminal::new()))
        } else {
            Kind::Plain {
                last: Instant::now(),
            }
        };
        Self {
            kind,
            past: Vec::new(),
        }
    }

    /// Shows the figures of this moment.
    pub fn show(&mut self, now: Moment, tally: &Tally) {
        let rate = self.rate(now);
        match &mut self.kind {
            Kind::Terminal(terminal) => {
                terminal.figures.set_message(figures(now, rate));
                terminal.labels.set_message(labels(tally, true));
                for (line, example) in terminal.examples.iter().zip(&tally.examples) {
                    line.set_message(format!(
                        "  {:<9} {:.2}  {:<12} {}",
                        example.label,
                        example.probability,
                        one_line(&example.source, 12),
                        one_line(&example.text, 300)
                    ));
                }
            }
            Kind::Plain { last } => {
                if last.elapsed() >= PLAIN_EVERY {
                    *last = Instant::now();
                    eprintln!("{}  {}", figures(now, rate), labels(tally, false));
                }
            }
        }
    }

    /// Says a line that stays.
    pub fn tell(&self, elapsed: Duration, line: &str) {
        let seconds = elapsed.as_secs();
        let line = format!("{:02}:{:02}  {line}", seconds / 60, seconds % 60);
        match &self.kind {
            Kind::Terminal(terminal) if terminal.lines.println(&line).is_ok() => {}
            _ => eprintln!("{line}"),
        }
    }

    /// Takes the live lines away and leaves the last examples to read.
    pub fn finish(self, tally: &Tally) {
        if let Kind::Terminal(terminal) = self.kind
            && let Err(error) = terminal.lines.clear()
        {
            tracing::debug!("the display could not be cleared: {error}");
        }
        for example in &tally.examples {
            eprintln!(
                "  {:<9} {:.2}  {:<12} {}",
                example.label,
                example.probability,
                one_line(&example.source, 12),
                one_line(&example.text, 90)
            );
        }
    }

    fn rate(&mut self, now: Moment) -> f64 {
        self.past
            .retain(|then| now.elapsed.saturating_sub(then.elapsed) <= RATE_OVER);
        self.past.push(now);
        let then = self.past[0];
        let seconds = now.elapsed.saturating_sub(then.elapsed).as_secs_f64();
        if seconds < 0.5 {
            return 0.0;
        }
        now.committed.saturating_sub(then.committed) as f64 / seconds
    }
}

impl Terminal {
    fn new() -> Self {
        let lines = MultiProgress::new();
        // A message wider than the terminal is cut, so that a line stays one line.
        let style = ProgressStyle::with_template("{wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let line = || lines.add(ProgressBar::new_spinner().with_style(style.clone()));
        Self {
            figures: line(),
            labels: line(),
            examples: (0..EXAMPLES).map(|_| line()).collect(),
            lines,
        }
    }
}

fn figures(now: Moment, rate: f64) -> String {
    let seconds = now.elapsed.as_secs();
    format!(
        "{:02}:{:02}  sent {}  scored {}  committed {}  {rate:.0} a second",
        seconds / 60,
        seconds % 60,
        grouped(now.sent),
        grouped(now.scored),
        grouped(now.committed)
    )
}

/// Each label's share of the results, and how many dead letters there are.
fn labels(tally: &Tally, bars: bool) -> String {
    let results: u64 = tally.labels.values().sum();
    let mut parts: Vec<String> = tally
        .labels
        .iter()
        .map(|(label, count)| {
            let share = *count as f64 / results.max(1) as f64;
            let bar = if bars {
                format!(" {:<12}", bar(share, 12))
            } else {
                String::new()
            };
            format!("{label} {:.0} %{bar}", share * 100.0)
        })
        .collect();
    parts.push(format!("dead letters {}", grouped(tally.dead_letters())));
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: u64, committed: u64) -> Moment {
        Moment {
            elapsed: Duration::from_secs(seconds),
            sent: committed,
            scored: committed,
            committed,
        }
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut display = Display {
            kind: Kind::Plain {
                last: Instant::now(),
            },
            past: Vec::new(),
        };
        assert_eq!(display.rate(moment(0, 0)), 0.0);
        assert_eq!(display.rate(moment(2, 100)), 50.0);
        assert_eq!(display.rate(moment(4, 1_000)), 250.0);
        // What is longer ago than the span no longer counts.
        assert_eq!(display.rate(moment(8, 1_000)), 0.0);
    }

    #[test]
    fn the_line_of_figures_reads_well() {
        assert_eq!(
            figures(moment(75, 12_345), 402.4),
            "01:15  sent 12,345  scored 12,345  committed 12,345  402 a second"
        );
    }
}
