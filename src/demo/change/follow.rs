//! What the closed loop does, told as it stands in Postgres: decisions, trainings, verdicts, steps of rollouts.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::store::{
    Alias, KeptDecision, RolloutStep, Store, StoreError, TrainingRun, TrainingState,
};

/// Rows that are looked at, the latest ones.
const LATEST: u32 = 20;
/// So many digits of a hash are shown.
const DIGITS: usize = 12;
/// A training's progress is told when it has come so much further.
const STEPS: f64 = 0.2;

/// Reads the tables along.
#[derive(Debug)]
pub(super) struct Follow {
    /// The version of the first model.
    first: String,
    /// Numbers of the last decision and the last step that were told.
    decision: i64,
    step: i64,
    /// Sentences of decisions that were told: a decision repeats those of the one before.
    told: HashSet<String>,
    runs: BTreeMap<i64, Seen>,
    /// The version that became champion after the first.
    pub promoted: Option<String>,
}

/// What was told of a training.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    share: f64,
    ended: bool,
    verdict: Option<String>,
}

impl Follow {
    pub(super) fn new(first: String) -> Self {
        Self {
            first,
            decision: 0,
            step: 0,
            told: HashSet::new(),
            runs: BTreeMap::new(),
            promoted: None,
        }
    }

    /// As if the gate had passed a candidate.
    #[cfg(test)]
    pub(super) fn pass(&mut self) {
        let seen = self.runs.entry(1).or_default();
        seen.verdict = Some("pass".to_owned());
    }

    /// Trainings so far.
    pub(super) fn trainings(&self) -> u64 {
        self.runs.len() as u64
    }

    /// Whether the gate has passed a candidate.
    pub(super) fn has_passed(&self) -> bool {
        self.runs
            .values()
            .any(|seen| seen.verdict.as_deref() == Some("pass"))
    }

    /// What is new, a line each.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub(super) async fn poll(&mut self, store: &Store) -> Result<Vec<String>, StoreError> {
        let mut lines = Vec::new();
        for decision in store.decisions(LATEST).await?.iter().rev() {
            if decision.id > self.decision {
                self.decision = decision.id;
                lines.extend(decided(decision, &mut self.told));
            }
        }
        for run in store.trainings().await?.iter().rev() {
            let is_new = !self.runs.contains_key(&run.id);
            let seen = self.runs.entry(run.id).or_default();
            lines.extend(trained(run, is_new, seen));
        }
        for rollout in store.rollouts(LATEST).await?.iter().rev() {
            for step in store.rollout_steps(rollout.id).await? {
                if step.number > self.step {
                    self.step = step.number;
                    lines.push(rolled(&step));
                }
            }
        }
        let champion = store
            .aliases()
            .await?
            .into_iter()
            .find(|of| of.alias == Alias::Champion);
        self.promoted = champion
            .map(|of| of.version)
            .filter(|version| *version != self.first);
        Ok(lines)
    }
}

/// What a decision says that none before it has said; a launch is told in any case.
fn decided(decision: &KeptDecision, told: &mut HashSet<String>) -> Option<String> {
    let sentences = decision.sentences.as_array().into_iter().flatten();
    let new: Vec<String> = sentences
        .filter_map(Value::as_str)
        .filter(|sentence| told.insert((*sentence).to_owned()))
        .map(shortened)
        .collect();
    let what = match decision.action.as_str() {
        "launch" => "a training is launched",
        "remedy" => "a cure without a training",
        _ if new.is_empty() => return None,
        _ => "no training for now",
    };
    let colon = if new.is_empty() { "" } else { ": " };
    Some(format!("decide {what}{colon}{}", new.join(" ")))
}

/// A text with its hashes cut to their first digits.
fn shortened(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    words
        .map(|word| {
            let digits = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_hash = digits.len() >= 40 && digits.chars().all(|c| c.is_ascii_hexdigit());
            if is_hash {
                word.replace(digits, &digits[..DIGITS])
            } else {
                word.to_owned()
            }
        })
        .collect()
}

/// What is new of a training.
fn trained(run: &TrainingRun, is_new: bool, seen: &mut Seen) -> Vec<String> {
    let mut lines = Vec::new();
    if is_new {
        let reasons = run.reasons.as_array().into_iter().flatten();
        let reasons: Vec<&str> = reasons.filter_map(Value::as_str).collect();
        lines.push(format!(
            "train  run {}: {}",
            run.id,
            shortened(&reasons.join("; "))
        ));
    }
    let number = |name: &str| run.progress[name].as_f64();
    if let (Some(step), Some(steps)) = (number("step"), number("steps"))
        && steps > 0.0
        && step / steps >= seen.share + STEPS
    {
        seen.share = step / steps;
        let loss = number("loss").map_or(String::new(), |loss| format!(", loss {loss:.2}"));
        lines.push(format!("train  step {step} of {steps}{loss}"));
    }
    if !seen.ended && !matches!(run.state, TrainingState::Running) {
        seen.ended = true;
        let recall = number("macro_recall").map_or(String::new(), |recall| {
            format!("; macro recall on its validation messages {recall:.3}")
        });
        lines.push(match (&run.state, &run.candidate) {
            (TrainingState::Done, Some(candidate)) => {
                format!(
                    "train  done: there is a candidate, {}{recall}",
                    shortened(candidate)
                )
            }
            (state, _) => format!("train  {}: {}", state.as_str(), outcome(run)),
        });
    }
    if let Some(verdict) = &run.verdict
        && seen.verdict.as_ref() != Some(verdict)
    {
        seen.verdict = Some(verdict.clone());
        lines.push(format!(
            "gate   {verdict}: `tidewatch retrain show {}` tells what was compared",
            run.id
        ));
    }
    lines
}

fn outcome(run: &TrainingRun) -> String {
    run.outcome.as_ref().map_or_else(
        || "nothing is known of its end".to_owned(),
        ToString::to_string,
    )
}

fn rolled(step: &RolloutStep) -> String {
    let where_to = match step.stage.as_str() {
        "shadow" => "shadow: it scores, and serves nobody".to_owned(),
        "canary" => format!("canary: it serves {:.0} % of the feed", step.share * 100.0),
        _ => "full: it serves everybody".to_owned(),
    };
    format!(
        "roll   {} ({where_to}): {}",
        step.step.replace('_', " "),
        step.reason
    )
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use serde_json::json;

    use super::*;

    fn run() -> TrainingRun {
        let time = DateTime::<Utc>::UNIX_EPOCH;
        TrainingRun {
            id: 1,
            state: TrainingState::Running,
            started: time,
            heard: time,
            ended: None,
            attempt: 1,
            fingerprint: String::new(),
            champion: None,
            candidate: None,
            by: String::new(),
            cause: json!({}),
            reasons: json!(["the alarm 7 proposes it", "it starts from the champion"]),
            dataset: json!({}),
            progress: json!({}),
            outcome: None,
            decision: Some(1),
            label_mark: 0,
            verdict: None,
            gated: None,
        }
    }

    fn decision(action: &str, sentences: &[&str]) -> KeptDecision {
        KeptDecision {
            id: 1,
            at: DateTime::<Utc>::UNIX_EPOCH,
            action: action.into(),
            dry_run: false,
            champion: String::new(),
            cause: json!({}),
            fingerprint: None,
            reasons: json!([]),
            sentences: json!(sentences),
            situation: json!({}),
            by: String::new(),
            outcome: None,
            refused: false,
        }
    }

    #[test]
    fn a_decision_is_told_by_what_it_says_anew() {
        let mut told = HashSet::new();
        let mut say = |action, sentences: &[&str]| decided(&decision(action, sentences), &mut told);
        assert_eq!(
            say("wait", &["An alarm."]).unwrap(),
            "decide no training for now: An alarm."
        );
        assert_eq!(say("wait", &["An alarm."]), None);
        let said = say("wait", &["An alarm.", "5 labels."]).unwrap();
        assert_eq!(said, "decide no training for now: 5 labels.");
        assert_eq!(
            say("launch", &["An alarm."]).unwrap(),
            "decide a training is launched"
        );
    }

    #[test]
    fn hashes_are_cut_and_other_words_are_not() {
        let text = format!("the champion ({}), 1-8-opened", "ab".repeat(32));
        assert_eq!(shortened(&text), "the champion (abababababab), 1-8-opened");
    }

    #[test]
    fn a_training_is_told_of_once_at_each_of_its_turns() {
        let (mut run, mut seen) = (run(), Seen::default());
        let first = trained(&run, true, &mut seen);
        assert_eq!(
            first,
            ["train  run 1: the alarm 7 proposes it; it starts from the champion"]
        );
        for step in [0, 10, 25, 30, 60] {
            run.progress = json!({"step": step, "steps": 100, "loss": 0.5});
            let lines = trained(&run, false, &mut seen);
            assert_eq!(lines.len(), usize::from(step == 25 || step == 60), "{step}");
        }
        run.state = TrainingState::Done;
        run.candidate = Some("0123456789ab".repeat(5) + "cdef");
        assert_eq!(
            trained(&run, false, &mut seen),
            ["train  done: there is a candidate, 0123456789ab"]
        );
        run.verdict = Some("pass".into());
        assert_eq!(trained(&run, false, &mut seen).len(), 1);
        assert_eq!(trained(&run, false, &mut seen), Vec::<String>::new());
    }
}
