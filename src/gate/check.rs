//! The rules of the gate: what each says of a comparison, in one sentence.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::config::{FewRecent, GateConfig, Required};
use super::equity::{Attribute, Widening};
use super::speed::Speed;
use super::table::{Measure, Row, Table};

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Accuracy on the fixed set is not lower by more than the margin.
    Accuracy,
    /// Nor is macro recall.
    MacroRecall,
    /// Accuracy on recent labelled messages is higher.
    RecentGain,
    /// No class has lost recall.
    Classes,
    /// No slice has lost accuracy.
    Slices,
    /// The likelihood is not worse by more than the margin.
    Nll,
    /// Nor is the calibration.
    Ece,
    /// No score gap between groups of people is wider.
    Equity,
    /// It is as fast.
    Speed,
    /// The exported model computes what the trainer did.
    Parity,
}

/// Which labelled messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The held-out set that is the same for every candidate.
    Fixed,
    /// Messages of late that people have labelled.
    Recent,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "the fixed set",
            Self::Recent => "recent messages",
        })
    }
}

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is shown to be kept; of a guard (classes, slices), it is not shown to be broken.
    Held,
    /// It is shown to be broken.
    Broken,
    /// Neither is shown.
    Open,
    /// Nothing was measured, and the config does not ask for it.
    Skipped,
}

/// A rule, what became of it, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub rule: Rule,
    /// The messages it was judged on, of rules on labelled messages.
    pub part: Option<Part>,
    pub outcome: Outcome,
    /// One sentence, with the figures.
    pub reason: String,
}

/// An interval is beyond a limit, below it, or holds it.
fn outcome(low: f64, high: f64, limit: f64) -> Outcome {
    if low > limit {
        Outcome::Held
    } else if high < limit {
        Outcome::Broken
    } else {
        Outcome::Open
    }
}

/// What an outcome means for "the difference is above a limit".
fn says(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Held => "is kept",
        Outcome::Broken => "is broken",
        Outcome::Open | Outcome::Skipped => "stays open",
    }
}

/// A share in points, with its sign.
fn points(share: f64) -> String {
    format!("{:+.1}", 100.0 * share)
}

fn differs(row: &Row) -> String {
    format!(
        "{} points ({} to {}; {:.1} % beside {:.1} % of {} messages)",
        points(row.difference),
        points(row.low),
        points(row.high),
        100.0 * row.candidate,
        100.0 * row.champion,
        row.examples
    )
}

/// Not lower by more than a margin.
pub(super) fn not_inferior(rule: Rule, row: &Row, margin: f64) -> Check {
    let outcome = outcome(row.low, row.high, -margin);
    let name = match rule {
        Rule::MacroRecall => "macro recall",
        _ => "accuracy",
    };
    Check {
        rule,
        part: Some(Part::Fixed),
        outcome,
        reason: format!(
            "On the fixed set {name} differs by {}: the rule of losing {} points at most {}.",
            differs(row),
            points(margin).trim_start_matches('+'),
            says(outcome)
        ),
    }
}

/// Higher on recent messages.
pub(super) fn recent_gain(recent: Option<&Table>, config: &GateConfig) -> Check {
    let check = |outcome, reason| Check {
        rule: Rule::RecentGain,
        part: Some(Part::Recent),
        outcome,
        reason,
    };
    let enough = recent
        .filter(|table| table.effective >= f64::from(config.recent_examples))
        .and_then(|table| table.row(Measure::Accuracy));
    let Some(row) = enough else {
        let outcome = match config.few_recent {
            FewRecent::Inconclusive => Outcome::Open,
            FewRecent::Ignore => Outcome::Skipped,
        };
        let count = recent.map_or(0.0, |table| table.effective);
        let reason = format!(
            "There are {count:.0} recent labelled messages, and a gain is judged from {} on.",
            config.recent_examples
        );
        return check(outcome, reason);
    };
    let outcome = outcome(row.low, row.high, config.recent_gain);
    let reason = format!(
        "On recent messages accuracy differs by {}: the rule of gaining more than {} points {}.",
        differs(row),
        points(config.recent_gain).trim_start_matches('+'),
        says(outcome)
    );
    check(outcome, reason)
}

/// Classes and slices: a guard, which is broken by proof only.
fn guard<'a>(
    rule: Rule,
    part: Part,
    rows: impl Iterator<Item = (&'a str, &'a Row)>,
    margin: f64,
    alpha: f64,
) -> Check {
    let rows: Vec<_> = rows.collect();
    let lost: Vec<String> = rows
        .iter()
        .filter(|(_, row)| row.loss_p.is_some_and(|p| p <= alpha))
        .map(|(name, row)| format!("{name} by {}", differs(row)))
        .collect();
    let (one, measure) = match rule {
        Rule::Slices => ("slice", "accuracy"),
        _ => ("class", "recall"),
    };
    let limit = points(margin);
    let limit = limit.trim_start_matches('+');
    let worst = rows
        .iter()
        .min_by(|one, other| one.1.difference.total_cmp(&other.1.difference));
    let reason = match worst {
        _ if !lost.is_empty() => format!(
            "On {part} {measure} has fallen by more than {limit} points in a {one}: {}.",
            lost.join("; ")
        ),
        Some((name, row)) => format!(
            "On {part} no {one} is shown to lose more than {limit} points of {measure}; the lowest is {name} with {}.",
            differs(row)
        ),
        None => format!("On {part} no {one} has enough messages."),
    };
    Check {
        rule,
        part: Some(part),
        outcome: if lost.is_empty() {
            Outcome::Held
        } else {
            Outcome::Broken
        },
        reason,
    }
}

/// The guards on a table.
pub(super) fn guards(table: &Table, part: Part, config: &GateConfig) -> [Check; 2] {
    let classes = table
        .classes()
        .map(|row| (row.label.as_deref().unwrap_or_default(), row));
    let slices = table
        .slices
        .iter()
        .map(|slice| (slice.slice.value.as_str(), &slice.row));
    [
        guard(
            Rule::Classes,
            part,
            classes,
            config.class_loss,
            config.alpha,
        ),
        guard(Rule::Slices, part, slices, config.slice_loss, config.alpha),
    ]
}

/// Not higher by more than a margin.
pub(super) fn calibrated(rule: Rule, row: &Row, margin: f64) -> Check {
    let outcome = outcome(-row.high, -row.low, -margin);
    let name = match rule {
        Rule::Nll => "the negative log likelihood",
        _ => "the calibration error",
    };
    Check {
        rule,
        part: Some(Part::Fixed),
        outcome,
        reason: format!(
            "On the fixed set {name} differs by {:+.3} ({:+.3} to {:+.3}; {:.3} beside {:.3}): the rule of {margin} more at most {}.",
            row.difference,
            row.low,
            row.high,
            row.candidate,
            row.champion,
            says(outcome)
        ),
    }
}

/// What is not measured is open where the config asks for it.
fn unmeasured(rule: Rule, required: Required, what: &str, config: &GateConfig) -> Check {
    let asked = config.required.contains(&required);
    Check {
        rule,
        part: None,
        outcome: if asked {
            Outcome::Open
        } else {
            Outcome::Skipped
        },
        reason: format!("{what} not measured."),
    }
}

/// The widening that says most against the candidate.
pub(super) fn equity(widenings: &[Widening], config: &GateConfig) -> Check {
    let margin = config.equity_margin;
    let judged = |widening: &Widening| outcome(-widening.high, -widening.low, -margin);
    let rank = |widening: &&Widening| match judged(widening) {
        Outcome::Broken => 0,
        Outcome::Open | Outcome::Skipped => 1,
        Outcome::Held => 2,
    };
    let worst = widenings.iter().min_by(|one, other| {
        rank(one)
            .cmp(&rank(other))
            .then(other.wider.total_cmp(&one.wider))
    });
    let Some(worst) = worst else {
        let what = "Score gaps between groups of people were";
        return unmeasured(Rule::Equity, Required::Equity, what, config);
    };
    let attribute = match worst.candidate.attribute {
        Attribute::Gender => "gender",
        Attribute::Race => "race",
    };
    let outcome = judged(worst);
    let emotion = worst.candidate.emotion.as_deref();
    Check {
        rule: Rule::Equity,
        part: None,
        outcome,
        reason: format!(
            "Of {} score gaps that of {attribute} in {} comes out worst: {:+.3} beside {:+.3}, \
             wider by {:+.3} ({:+.3} to {:+.3}); the rule of {margin} more at most {}.",
            widenings.len(),
            emotion.map_or("all sentences".to_owned(), |emotion| format!(
                "sentences of {emotion}"
            )),
            worst.candidate.mean,
            worst.champion.mean,
            worst.wider,
            worst.low,
            worst.high,
            says(outcome)
        ),
    }
}

/// One check for each quantity measured.
pub(super) fn speed(speeds: &[Speed], config: &GateConfig) -> Vec<Check> {
    if speeds.is_empty() {
        let check = unmeasured(Rule::Speed, Required::Speed, "Speed was", config);
        return vec![check];
    }
    speeds
        .iter()
        .map(|speed| {
            let (low, high) = speed.interval.unwrap_or((0.0, f64::INFINITY));
            // As fast as asked for is fast enough.
            let outcome = if low >= config.speed_ratio {
                Outcome::Held
            } else {
                outcome(low, high, config.speed_ratio)
            };
            Check {
                rule: Rule::Speed,
                part: None,
                outcome,
                reason: format!(
                    "By {} at {} the candidate is {:.2} times as fast{} over {} and {} runs: the rule of {} at least {}.",
                    speed.quantity.as_str(),
                    speed.precision,
                    speed.ratio,
                    speed.interval.map_or(String::new(), |(low, high)| format!(" ({low:.2} to {high:.2})")),
                    speed.runs.0,
                    speed.runs.1,
                    config.speed_ratio,
                    says(outcome)
                ),
            }
        })
        .collect()
}

/// The largest difference of a probability.
pub(super) fn parity(largest: Option<f64>, config: &GateConfig) -> Check {
    let Some(largest) = largest else {
        let what = "Parity of the exported model with the trainer was";
        return unmeasured(Rule::Parity, Required::Parity, what, config);
    };
    // A NaN does not hold.
    let outcome = if largest <= config.parity {
        Outcome::Held
    } else {
        Outcome::Broken
    };
    Check {
        rule: Rule::Parity,
        part: None,
        outcome,
        reason: format!(
            "Probabilities of the exported model differ from the trainer's by {largest:.1e} at most: the rule of {:.1e} {}.",
            config.parity,
            says(outcome)
        ),
    }
}
