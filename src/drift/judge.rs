//! What a window says, and what that means: the same for the live feed and for a file of texts.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::accuracy::{self, CalibrationError, EstimatedAccuracy};
use super::baseline::Baseline;
use super::copies::{Copies, distinct};
use super::counts::Counts;
use super::detector::{Finding, examine_counts};
use super::explain::{Explanation, explain};
use super::labelled::Labelled;
use super::reading::Reading;
use super::rule::{Change, Rule, Verdict, Watch};
use super::severity::{self, Decision, Settings, ShiftSize, Situation};
use super::shift::{self, LabelShift};
use super::statistics::Statistic;

/// Tokens that an explanation names.
const TOKENS: usize = 20;

/// What was found in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub finding: Finding,
    pub verdict: Verdict,
    pub change: Change,
    /// The counters of its distinct messages.
    pub counts: Counts,
    /// What is estimated of its labels, in every window.
    pub estimates: Estimates,
    /// Where an alarm was opened: what it means and what moved.
    pub alarm: Option<Alarm>,
}

/// What can be said of a window's labels without any.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Estimates {
    /// The class shares corrected for what the model mistakes, where the baseline is labelled and each message has one label.
    pub shift: Option<LabelShift>,
    /// How often the model is right now.
    pub accuracy: Option<EstimatedAccuracy>,
    /// Points of accuracy lost since the baseline.
    pub loss: Option<accuracy::Loss>,
}

/// An alarm that was opened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    #[serde(flatten)]
    pub decision: Decision,
    pub explanation: Explanation,
}

/// Judges a model's windows, one after the other.
pub struct Judge<'a> {
    baseline: &'a Baseline,
    rule: Rule,
    settings: Settings,
}

impl<'a> Judge<'a> {
    /// Judges by the baseline of the model that scored the messages, within a budget of one false alarm in so many windows.
    #[must_use]
    pub fn new(baseline: &'a Baseline, windows_per_false_alarm: u32) -> Self {
        Self {
            baseline,
            rule: Rule::for_budget(windows_per_false_alarm),
            settings: Settings::default(),
        }
    }

    /// The levels at which windows are an alarm.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Judges the next window; `watch` is what is remembered from one to the next.
    pub fn judge(&self, readings: &[Reading], watch: &mut Watch) -> Judged {
        let kept = distinct(readings);
        let mut counts = Counts::new(self.baseline.shape);
        kept.iter().for_each(|reading| counts.add(reading));
        let finding = examine_counts(&counts, Copies::among(readings), self.baseline);
        let (verdict, change) = watch.observe(&self.rule, finding.p);
        let estimates = self.estimate(&kept);
        let alarm = (change == Change::Opened).then(|| self.explain(&kept, &finding, &estimates));
        Judged {
            finding,
            verdict,
            change,
            counts,
            estimates,
            alarm,
        }
    }

    fn estimate(&self, kept: &[&Reading]) -> Estimates {
        let Some(labelled) = &self.baseline.labelled else {
            return Estimates::default();
        };
        let rows = || kept.iter().map(|reading| &*reading.probabilities);
        let shift = shift::estimate(rows(), &labelled.priors).ok();
        let error = CalibrationError {
            bias: labelled.bias,
            standard_error: labelled.standard_error,
        };
        // Where the labels have shifted, probabilities are off by as much as their priors: they are corrected first.
        let believed = shift
            .as_ref()
            .filter(|shift| size(shift, labelled).is_believed(&self.settings));
        let confidences: Vec<f32> = kept
            .iter()
            .map(|reading| {
                let own = reading.probabilities.get(reading.label).copied();
                let corrected = believed.and_then(|shift| {
                    let corrected =
                        shift::correct(&reading.probabilities, &labelled.priors, &shift.shares);
                    corrected.get(reading.label).map(|&p| p as f32)
                });
                corrected.or(own).unwrap_or(0.0)
            })
            .collect();
        let accuracy = accuracy::estimate(confidences, error);
        Estimates {
            loss: accuracy.map(|now| now.expected_loss(labelled.accuracy())),
            accuracy,
            shift,
        }
    }

    fn explain(&self, kept: &[&Reading], finding: &Finding, estimates: &Estimates) -> Alarm {
        let distance = |counts: &Counts| {
            let found = examine_counts(counts, Copies::default(), self.baseline);
            found.p.map(|p| -p.log10())
        };
        let threshold = -self.rule.double.log10();
        let explanation = explain(kept, &self.baseline.counts, TOKENS, threshold, distance);
        let fired = |wanted: &[Statistic]| {
            finding.statistics.iter().any(|measured| {
                wanted.contains(&measured.statistic)
                    && measured.adjusted.is_some_and(|p| p < self.rule.double)
            })
        };
        let situation = Situation {
            labels_fired: fired(&[Statistic::Classes, Statistic::Scores, Statistic::Entropy]),
            vocabulary_fired: fired(&[
                Statistic::Vocabulary,
                Statistic::Surprise,
                Statistic::Lengths,
                Statistic::Unknown,
                Statistic::PiecesPerWord,
            ]),
            errors_fired: false,
            shift: estimates
                .shift
                .as_ref()
                .zip(self.baseline.labelled.as_ref())
                .map(|(shift, labelled)| size(shift, labelled)),
            estimated: estimates.loss,
            measured: None,
            calibration: None,
            one_subject: explanation.one_subject(),
        };
        Alarm {
            decision: severity::decide(&situation, &self.settings),
            explanation,
        }
    }
}

/// How far the class shares have moved from those of the labelled baseline.
fn size(shift: &LabelShift, labelled: &Labelled) -> ShiftSize {
    ShiftSize {
        points: shift.points_from(&labelled.priors),
        significant: shift.is_significant(&labelled.priors),
        condition: shift.condition,
        converged: shift.converged,
    }
}

/// What was found in a window, for programs: `messages`, `distinct`, `verdict`, `p`, `foremost`, the `statistics` by name, the
/// `classes` by label, the estimates, and where an alarm was opened, `alarm`. `token` names a token.
#[must_use]
pub fn describe(
    judged: &Judged,
    labels: &[String],
    token: &impl Fn(u32) -> Option<String>,
) -> Value {
    let finding = &judged.finding;
    let total = judged.counts.messages.max(1) as f64;
    let classes: Map<String, Value> = labels
        .iter()
        .zip(&judged.counts.classes)
        .map(|(label, &count)| (label.clone(), json!(count as f64 / total)))
        .collect();
    let statistics: Map<String, Value> = finding
        .statistics
        .iter()
        .map(|measured| {
            let said = json!({
                "value": measured.value, "usual": measured.usual, "p": measured.p, "adjusted": measured.adjusted,
            });
            (measured.statistic.name().to_owned(), said)
        })
        .collect();
    let mut described = json!({
        "messages": finding.messages,
        "distinct": finding.n,
        "exact_copies": finding.messages - finding.copies.exact,
        "near_copies": finding.messages - finding.copies.near,
        "verdict": judged.verdict,
        "change": judged.change,
        "p": finding.p,
        "foremost": finding.leading.map(Statistic::name),
        "statistics": statistics,
        "classes": classes,
        "truncated": judged.counts.truncated as f64 / total,
        "sources": judged.counts.sources,
        "estimates": judged.estimates,
    });
    if let Some(alarm) = &judged.alarm {
        let mut said = json!(alarm);
        if let Some(tokens) = said["explanation"]["tokens"].as_array_mut() {
            for (said, moved) in tokens.iter_mut().zip(&alarm.explanation.tokens) {
                said["text"] = json!(token(moved.token));
            }
        }
        described["alarm"] = said;
    }
    described
}

#[cfg(test)]
mod tests;
