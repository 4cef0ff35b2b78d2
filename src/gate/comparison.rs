//! Everything that is known of a candidate beside the champion, and the verdict.

use serde::{Deserialize, Serialize};

use super::check::{self, Check, Outcome, Part, Rule};
use super::config::GateConfig;
use super::equity::Widening;
use super::example::{Example, GateError, Set};
use super::speed::{self, Runs, Speed};
use super::table::{Measure, Table};
use crate::record::Problem;

/// What a candidate is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The champion's labels, in the order of its probabilities.
    pub labels: &'a [String],
    /// The candidate's, which must be the same.
    pub candidate_labels: &'a [String],
    pub problem: Problem,
    /// The held-out set that is the same for every candidate, and that no model was trained on.
    pub fixed: &'a [Example],
    /// Recent messages that people have labelled, and that the candidate was not trained on.
    pub recent: &'a [Example],
    /// Throughput, latency, or both; none where nothing was measured.
    pub speeds: &'a [Runs],
    /// From [`Corpus::compare`](super::equity::Corpus::compare); none where nothing was measured.
    pub equity: &'a [Widening],
    /// Largest difference of a probability between the exported model and the trainer.
    pub parity: Option<f64>,
}

/// What becomes of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No rule is broken, and none is open: it may be rolled out.
    Pass,
    /// A rule is broken.
    Fail,
    /// No rule is broken, and some are open: it may be scored in shadow until more is known.
    Inconclusive,
}

impl Verdict {
    /// As it stands in tables and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// What some checks come to.
    #[must_use]
    pub fn of(checks: &[Check]) -> Self {
        let any = |outcome| checks.iter().any(|check| check.outcome == outcome);
        if any(Outcome::Broken) {
            Self::Fail
        } else if any(Outcome::Open) {
            Self::Inconclusive
        } else {
            Self::Pass
        }
    }
}

/// A candidate beside the champion: the tables, the checks, and the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub labels: Vec<String>,
    pub fixed: Table,
    /// None where there are no recent labelled messages.
    pub recent: Option<Table>,
    pub speeds: Vec<Speed>,
    pub equity: Vec<Widening>,
    pub parity: Option<f64>,
    /// In the order of the rules.
    pub checks: Vec<Check>,
    pub verdict: Verdict,
    /// The rules it was judged by.
    pub config: GateConfig,
}

impl Comparison {
    /// Compares a candidate with the champion. The same input and config give the same result.
    ///
    /// # Errors
    /// [`GateError`] where the models or the examples cannot be compared.
    pub fn of(input: &Input<'_>, config: &GateConfig) -> Result<Self, GateError> {
        config.check()?;
        if input.labels != input.candidate_labels {
            return Err(GateError::Labels {
                champion: input.labels.join(", "),
                candidate: input.candidate_labels.join(", "),
            });
        }
        let table = |examples| {
            let set = Set::new(input.labels, input.problem, examples)?;
            Ok(Table::of(&set, config))
        };
        let fixed = table(input.fixed)?.ok_or(GateError::NothingHeldOut)?;
        let recent: Option<Table> = table(input.recent)?;
        let speeds = input.speeds.iter().map(|runs| {
            let unusable = GateError::Runs(runs.quantity.as_str());
            speed::compare(runs, config.alpha).ok_or(unusable)
        });
        let speeds: Vec<Speed> = speeds.collect::<Result<_, _>>()?;
        let row = |measure| fixed.row(measure).ok_or(GateError::NothingHeldOut);
        let mut checks = vec![
            check::not_inferior(
                Rule::Accuracy,
                row(Measure::Accuracy)?,
                config.accuracy_margin,
            ),
            check::not_inferior(
                Rule::MacroRecall,
                row(Measure::MacroRecall)?,
                config.macro_recall_margin,
            ),
            check::recent_gain(recent.as_ref(), config),
        ];
        checks.extend(check::guards(&fixed, Part::Fixed, config));
        if let Some(recent) = &recent {
            checks.extend(check::guards(recent, Part::Recent, config));
        }
        checks.extend([
            check::calibrated(Rule::Nll, row(Measure::Nll)?, config.nll_margin),
            check::calibrated(Rule::Ece, row(Measure::Ece)?, config.ece_margin),
            check::equity(input.equity, config),
        ]);
        checks.extend(check::speed(&speeds, config));
        checks.push(check::parity(input.parity, config));
        Ok(Self {
            labels: input.labels.to_vec(),
            verdict: Verdict::of(&checks),
            fixed,
            recent,
            speeds,
            equity: input.equity.to_vec(),
            parity: input.parity,
            checks,
            config: config.clone(),
        })
    }

    /// The sentences that the verdict rests on: of a failure what is broken, of an open case what is open, of a pass everything.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        let outcome = match self.verdict {
            Verdict::Pass => Outcome::Held,
            Verdict::Fail => Outcome::Broken,
            Verdict::Inconclusive => Outcome::Open,
        };
        self.checks
            .iter()
            .filter(move |check| check.outcome == outcome)
            .map(|check| check.reason.as_str())
    }
}

#[cfg(test)]
mod tests;
