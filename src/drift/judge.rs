//! What a window says, and what that means: the same for the live feed and for a file of texts.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::accuracy::{self, CalibrationError, EstimatedAccuracy};
use super::baseline::Baseline;
use super::copies::{Copies, distinct};
use super::counts::Counts;
use super::detector::{Finding, examine_counts};
use super::explain::{Explanation, explain};
use super::measured::{Answer, Measured};
use super::reading::Reading;
use super::rule::{Change, Rule, Verdict, Watch};
use super::severity::{self, Decision, Settings, ShiftSize, Situation};
use super::shift::{self, LabelShift};
use super::sources::{self, SourceFinding};
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
    /// Each source by itself; these decide no alarm.
    pub sources: Vec<SourceFinding>,
    /// What is estimated of its labels, in every window.
    pub estimates: Estimates,
    /// What labels say, where messages of the window have some by now.
    pub measured: Option<Measured>,
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
    /// The recall of each label now, averaged over the labels.
    pub macro_recall: Option<EstimatedAccuracy>,
    /// Points of accuracy lost since the baseline.
    pub loss: Option<accuracy::Loss>,
}

/// An alarm that was opened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    #[serde(flatten)]
    pub decision: Decision,
    pub explanation: Explanation,
    /// What was decided on, for when labels tell more.
    #[serde(skip)]
    pub situation: Situation,
}

/// What labels say of a window when it is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence<'a> {
    /// The answers to its labelled messages, of those that were chosen by chance.
    pub answers: &'a [Answer],
    /// The sequential test on labelled messages has an alarm open.
    pub errors_risen: bool,
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
    pub fn judge(&self, readings: &[Reading], evidence: Evidence<'_>, watch: &mut Watch) -> Judged {
        let baseline = self.baseline;
        let kept = distinct(readings);
        let mut counts = Counts::new(baseline.shape);
        kept.iter().for_each(|reading| counts.add(reading));
        let originals = baseline.originals(&kept);
        let compared = baseline.thinned(&kept, &originals);
        let copies = Copies::among(readings);
        let finding = if baseline.undone.is_none() {
            examine_counts(&counts, copies, baseline)
        } else {
            let mut window = Counts::new(baseline.shape);
            compared.iter().for_each(|reading| window.add(reading));
            examine_counts(&window, copies, baseline)
        };
        let (verdict, change) = watch.observe(&self.rule, finding.p);
        let estimates = self.estimate(&kept, &originals);
        let measured = Measured::of(evidence.answers, estimates.accuracy.as_ref());
        let alarm = (change == Change::Opened).then(|| {
            let mut alarm = self.explain(&compared, &finding, &estimates);
            alarm.situation.errors_fired = evidence.errors_risen;
            if let Some(measured) = &measured {
                alarm.situation = self.with_labels(alarm.situation, measured);
            }
            alarm.decision = self.decide(&alarm.situation);
            alarm
        });
        Judged {
            finding,
            verdict,
            change,
            counts,
            sources: sources::by_source(readings, self.baseline, self.rule.single),
            estimates,
            measured,
            alarm,
        }
    }

    /// The situation with what labels say, as far as they are enough to tell.
    #[must_use]
    pub fn with_labels(&self, situation: Situation, measured: &Measured) -> Situation {
        let known = self.baseline.labelled.as_ref();
        let loss = known.and_then(|labelled| {
            let baseline = labelled.accuracy();
            measured.accuracy.telling_loss(baseline, self.settings.high)
        });
        Situation {
            measured: loss.or(situation.measured),
            calibration: loss.and(measured.calibration).or(situation.calibration),
            ..situation
        }
    }

    /// What a situation means.
    #[must_use]
    pub fn decide(&self, situation: &Situation) -> Decision {
        severity::decide(situation, &self.settings)
    }

    /// `kept` are the readings as they were served, `originals` as the baseline's own model would have made them.
    fn estimate(&self, kept: &[&Reading], originals: &[Cow<'_, Reading>]) -> Estimates {
        let normal = self
            .baseline
            .labelled
            .as_ref()
            .zip(self.baseline.normal_shares());
        let Some((labelled, normal)) = normal else {
            return Estimates::default();
        };
        let rows = || originals.iter().map(|reading| &*reading.probabilities);
        let shift = shift::estimate(rows(), &labelled.priors).ok();
        let error = CalibrationError {
            bias: labelled.bias,
            standard_error: labelled.standard_error,
        };
        // Where the labels have shifted, probabilities are off by as much as their priors: they are corrected first.
        let believed = shift
            .as_ref()
            .filter(|shift| size(shift, normal).is_believed(&self.settings));
        let rows: Vec<(usize, Vec<f32>)> = kept
            .iter()
            .map(|reading| {
                let own = &reading.probabilities;
                let corrected = believed.map(|shift| {
                    let corrected = shift::correct(own, normal, &shift.shares);
                    corrected.into_iter().map(|p| p as f32).collect()
                });
                (reading.label, corrected.unwrap_or_else(|| own.clone()))
            })
            .collect();
        let confidence = |(label, row): &(usize, Vec<f32>)| row.get(*label).copied().unwrap_or(0.0);
        let accuracy = accuracy::estimate(rows.iter().map(confidence), error);
        let rows = rows.iter().map(|(label, row)| (*label, &**row));
        Estimates {
            loss: accuracy.map(|now| now.expected_loss(labelled.accuracy())),
            accuracy,
            macro_recall: accuracy::macro_recall(rows, self.baseline.shape.labels),
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
                .zip(self.baseline.normal_shares())
                .map(|(shift, normal)| size(shift, normal)),
            estimated: estimates.loss,
            measured: None,
            calibration: None,
            one_subject: explanation.one_subject(),
        };
        Alarm {
            decision: self.decide(&situation),
            explanation,
            situation,
        }
    }
}

/// How far the class shares have moved from those that are normal.
fn size(shift: &LabelShift, normal: &[f64]) -> ShiftSize {
    ShiftSize {
        points: shift.points_from(normal),
        significant: shift.is_significant(normal),
        // JSON knows no infinity.
        condition: shift.condition.min(f64::MAX),
        converged: shift.converged,
    }
}

/// `p`, `foremost`, the `statistics` by name and the shares of the `classes` by label.
pub(super) fn describe_finding(
    finding: &Finding,
    labels: &[String],
    classes: &[u64],
) -> Map<String, Value> {
    let total = classes.iter().sum::<u64>().max(1) as f64;
    let shares: Map<String, Value> = labels
        .iter()
        .zip(classes)
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
    let said = [
        ("p", json!(finding.p)),
        ("foremost", json!(finding.leading.map(Statistic::name))),
        ("statistics", Value::Object(statistics)),
        ("classes", Value::Object(shares)),
    ];
    said.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What was found in a window, for programs: `messages`, `distinct` and how many of these were `compared`, `verdict`, `p`, `foremost`, the `statistics` by name, the
/// `classes` by label, the `sources` with their messages and `by_source` with their findings, the estimates, what was `measured` on labels, and where an alarm was opened, `alarm`. `token` names a token.
#[must_use]
pub fn describe(
    judged: &Judged,
    labels: &[String],
    token: &impl Fn(u32) -> Option<String>,
) -> Value {
    let finding = &judged.finding;
    let total = judged.counts.messages.max(1) as f64;
    let mut described = json!({
        "messages": finding.messages,
        "distinct": judged.counts.messages,
        "compared": finding.n,
        "exact_copies": finding.messages - finding.copies.exact,
        "near_copies": finding.messages - finding.copies.near,
        "verdict": judged.verdict,
        "change": judged.change,
    });
    if let Some(described) = described.as_object_mut() {
        described.extend(describe_finding(finding, labels, &judged.counts.classes));
    }
    described["truncated"] = json!(judged.counts.truncated as f64 / total);
    described["sources"] = json!(judged.counts.sources);
    described["by_source"] = sources::describe(&judged.sources, labels);
    described["estimates"] = json!(judged.estimates);
    described["measured"] = json!(judged.measured);
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
