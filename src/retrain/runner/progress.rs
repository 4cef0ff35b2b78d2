//! What a training tells while it goes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of a training's standard output: an event of `tidewatch-finetune`, or whatever another command says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// The data was read.
    Data {
        /// Examples to train on.
        train: u64,
        /// Examples to validate with.
        validation: u64,
    },
    /// Training begins.
    Start {
        /// Steps to do.
        steps: u64,
        /// Passes over the examples.
        epochs: u64,
    },
    /// It goes on from what an earlier process has kept.
    Resumed {
        /// How far it was.
        #[serde(flatten)]
        place: Place,
    },
    /// Some steps were done.
    Step {
        /// How far it is.
        #[serde(flatten)]
        place: Place,
        /// Loss, averaged over recent steps.
        loss: f64,
        /// Estimate of what is left of the steps.
        seconds_left: f64,
    },
    /// The validation examples were scored.
    Validation {
        /// After this epoch, from 1.
        epoch: u64,
        /// Macro-averaged recall.
        macro_recall: f64,
        /// Accuracy.
        accuracy: f64,
    },
    /// The state was kept, so that another process can go on from here.
    State {
        /// How far it is.
        #[serde(flatten)]
        place: Place,
    },
    /// Nothing else was told for a while.
    Alive {
        /// The event that was told last.
        after: String,
        /// Time since then.
        seconds: f64,
    },
    /// The bundle was written.
    Bundle {
        /// Its folder.
        folder: PathBuf,
        /// Its version.
        version: String,
    },
    /// Another event, or an event that lacks something.
    #[serde(untagged)]
    Other(Value),
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Steps done.
    pub step: u64,
    /// Steps to do in all.
    pub steps: u64,
    /// The epoch, from 1.
    pub epoch: u64,
}

impl Progress {
    /// What a line says; one that is no JSON becomes a text.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_else(|_| Self::Other(line.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_become_typed_and_whatever_else_is_passed_on() {
        let place = Place {
            step: 3,
            steps: 9,
            epoch: 1,
        };
        let line = r#"{"event":"step","step":3,"steps":9,"epoch":1,"epochs":2,"loss":0.5,"rate":1,"seconds_left":2.5}"#;
        let step = Progress::Step {
            place,
            loss: 0.5,
            seconds_left: 2.5,
        };
        assert_eq!(Progress::parse(line), step);
        for other in [
            json!({"event": "calibration", "temperature": 1.5}),
            json!({"event": "step", "loss": null}),
            json!({"phase": 1}),
            json!([1, 2]),
        ] {
            assert_eq!(Progress::parse(&other.to_string()), Progress::Other(other));
        }
        assert_eq!(
            Progress::parse("epoch 1 ..."),
            Progress::Other(json!("epoch 1 ..."))
        );
    }

    #[test]
    fn what_is_kept_of_an_event_reads_back() {
        let bundle = Progress::Bundle {
            folder: "model".into(),
            version: "ab".into(),
        };
        for event in [bundle, Progress::Other(json!({"event": "parity"}))] {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(Progress::parse(&text), event);
        }
    }
}
