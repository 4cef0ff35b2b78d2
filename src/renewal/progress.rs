//! How far a training is, as it stands in the table and in metrics.

use serde::Serialize;

use crate::retrain::runner::{Event, Place, Progress};

/// What was told last.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(super) struct Latest {
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<String>,
    /// How often it was started, since somebody has begun or resumed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<u32>,
    #[serde(flatten)]
    place: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    macro_recall: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
}

impl Latest {
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Started { process, attempt } => {
                self.process = Some(process.clone());
                self.start = Some(*attempt);
            }
            Event::Told(Progress::Start { steps, .. }) => {
                self.place = Some(Place {
                    step: 0,
                    steps: *steps,
                    epoch: 1,
                });
            }
            Event::Told(Progress::Resumed { place } | Progress::State { place }) => {
                self.place = Some(*place);
            }
            Event::Told(Progress::Step {
                place,
                loss,
                seconds_left,
            }) => {
                self.place = Some(*place);
                self.loss = Some(*loss);
                self.seconds_left = Some(*seconds_left);
            }
            Event::Told(Progress::Validation {
                macro_recall,
                accuracy,
                ..
            }) => {
                self.macro_recall = Some(*macro_recall);
                self.accuracy = Some(*accuracy);
            }
            Event::Told(
                Progress::Data { .. }
                | Progress::Alive { .. }
                | Progress::Bundle { .. }
                | Progress::Other(_),
            ) => {}
        }
    }

    /// Share of the steps that are done.
    pub(super) fn share(&self) -> f64 {
        self.place
            .map_or(0.0, |place| place.step as f64 / place.steps.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_latest_of_each_kind_is_kept_in_one_object() {
        let mut latest = Latest::default();
        assert_eq!(json!(latest), json!({}));
        let lines = [
            json!({"event": "start", "steps": 8, "epochs": 2}),
            json!({"event": "step", "step": 2, "steps": 8, "epoch": 1, "loss": 0.5, "seconds_left": 6.0}),
            json!({"event": "validation", "epoch": 1, "macro_recall": 0.7, "accuracy": 0.75}),
            json!({"event": "alive", "after": "validation", "seconds": 5.0}),
            json!({"event": "state", "step": 4, "steps": 8, "epoch": 1}),
        ];
        latest.take(&Event::Started {
            process: "17".into(),
            attempt: 2,
        });
        for line in lines {
            latest.take(&Event::Told(Progress::parse(&line.to_string())));
        }
        let expected = json!({
            "process": "17", "start": 2, "step": 4, "steps": 8, "epoch": 1, "loss": 0.5, "seconds_left": 6.0,
            "macro_recall": 0.7, "accuracy": 0.75,
        });
        assert_eq!(json!(latest), expected);
        assert!((latest.share() - 0.5).abs() < 1e-12);
    }
}
