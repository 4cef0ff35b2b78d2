//! The end of the demo of a change: the figures before and after, and what is missing.

use serde::Serialize;

use super::follow::Follow;
use super::measure::Recalls;

/// What came of the change.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Changed {
    /// Macro recall before the change; none where a label was not measured.
    pub macro_recall_before: Option<f64>,
    /// After it, of the same model.
    pub macro_recall_drifted: Option<f64>,
    /// Of the model that took over.
    pub macro_recall_after: Option<f64>,
    /// Drift alarms.
    pub alarms: u64,
    pub trainings: u64,
    /// Whether another model took over.
    pub promoted: bool,
    /// Labels that people gave.
    pub labels_given: u64,
    /// The three phases in detail.
    pub phases: [Recalls; 3],
    /// What was to be shown and was not, as sentences.
    pub missing: Vec<String>,
}

impl Changed {
    pub(super) fn new(
        phases: [Recalls; 3],
        alarms: u64,
        labels_given: u64,
        follow: &Follow,
        enough: u64,
    ) -> Self {
        let [before, drifted, after] = phases.map(|phase| phase.macro_recall());
        let promoted = follow.promoted.is_some();
        let wanted = [
            (alarms > 0, "no drift alarm was raised".to_owned()),
            (
                follow.trainings() > 0,
                "no training was launched".to_owned(),
            ),
            (
                follow.has_passed(),
                "no candidate has passed the gate".to_owned(),
            ),
            (promoted, "no model was promoted".to_owned()),
            (
                phases[2].messages >= enough,
                format!(
                    "the promoted model has answered {} messages that count, and {enough} are wanted",
                    phases[2].messages
                ),
            ),
            (
                after
                    .zip(drifted)
                    .is_some_and(|(after, drifted)| after > drifted),
                "the macro recall has not risen".to_owned(),
            ),
        ];
        Self {
            macro_recall_before: before,
            macro_recall_drifted: drifted,
            macro_recall_after: after,
            alarms,
            trainings: follow.trainings(),
            promoted,
            labels_given,
            phases,
            missing: wanted
                .into_iter()
                .filter(|(is_there, _)| !is_there)
                .map(|(_, sentence)| sentence)
                .collect(),
        }
    }

    /// The table, as a person reads it.
    #[must_use]
    pub fn table(&self) -> String {
        let names = [
            "before the change",
            "after it, the same model",
            "the model that took over",
        ];
        let share = |value: Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
        };
        let mut lines = vec![format!(
            "{:<26}{:>9}{:>10}{:>9}{:>10}{:>14}",
            "", "messages", "negative", "neutral", "positive", "macro recall"
        )];
        for (name, phase) in names.iter().zip(&self.phases) {
            let [negative, neutral, positive] = phase.recalls.map(share);
            lines.push(format!(
                "{name:<26}{:>9}{negative:>10}{neutral:>9}{positive:>10}{:>14}",
                phase.messages,
                share(phase.macro_recall())
            ));
        }
        lines.push(format!(
            "{} alarms, {} labels, {} trainings, {}",
            self.alarms,
            self.labels_given,
            self.trainings,
            if self.promoted {
                "promoted"
            } else {
                "nothing promoted"
            }
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(messages: u64, recall: f64) -> Recalls {
        Recalls {
            messages,
            recalls: [Some(recall); 3],
        }
    }

    #[test]
    fn what_is_missing_is_said_and_nothing_where_all_was_shown() {
        let mut follow = Follow::new("one".into());
        let phases = [phase(900, 0.9), phase(700, 0.4), phase(500, 0.8)];
        let changed = Changed::new(phases, 0, 0, &follow, 500);
        assert_eq!(changed.missing.len(), 4, "{:?}", changed.missing);
        follow.promoted = Some("two".into());
        follow.pass();
        let changed = Changed::new(phases, 1, 600, &follow, 500);
        assert_eq!(changed.missing, Vec::<String>::new());
        assert!((changed.macro_recall_after.unwrap() - 0.8).abs() < 1e-12);
        let table = changed.table();
        assert!(
            table.contains("1 alarms, 600 labels, 1 trainings, promoted"),
            "{table}"
        );
        let worse = Changed::new([phases[0], phases[2], phases[1]], 1, 1, &follow, 500);
        assert_eq!(worse.missing, ["the macro recall has not risen"]);
    }
}
