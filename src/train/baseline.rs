//! The baseline of a bundle: examples that it was not trained on, as the service will see live messages.

use super::data::Example;
use super::error::TrainError;
use super::progress::{Event, Progress};
use super::scores::Scores;
use crate::drift::baseline::{Baseline, BaselineError, Identity};
use crate::drift::counts::Shape;
use crate::drift::null::NullSettings;
use crate::drift::reading::{Described, Reading};
use crate::model::probability::predict;
use crate::model::tokenizer::Tokenizer;
use crate::record::Problem;

/// What the baseline is made with.
pub struct Setting<'a> {
    pub labels: &'a [String],
    pub tokenizer: &'a Tokenizer,
    /// What logits are divided by.
    pub temperature: f64,
    pub identity: Identity,
    pub seed: u64,
}

/// The contents of `baseline.json`, of the examples and the exported model's logits for them; none where they are too few,
/// which is told.
///
/// # Errors
/// [`TrainError`] when it cannot be made for another reason.
pub fn of(
    examples: &[Example],
    scores: &Scores,
    setting: Setting<'_>,
    progress: &mut Progress,
) -> Result<Option<Vec<u8>>, TrainError> {
    let special = setting.tokenizer.special_tokens();
    let dated = examples.iter().all(|example| example.time.is_some());
    let readings =
        examples
            .iter()
            .zip(&scores.logits)
            .enumerate()
            .map(|(index, (example, logits))| {
                // Where not all are dated, the order of the files stands for time: a few would stand in 1970.
                let time = match example.time {
                    Some(time) if dated => time.timestamp_millis(),
                    _ => index as i64 * 1_000,
                };
                let described = Described {
                    text: &example.text,
                    time,
                    author: None,
                    source: None,
                    subject: None,
                };
                let encoded = setting.tokenizer.encode(&example.text);
                let prediction = predict(logits, setting.temperature, Problem::SingleLabel);
                let reading = Reading::of(described, &encoded, &prediction, &special);
                (reading, Some(example.label as usize))
            });
    let shape = Shape {
        vocabulary: setting.tokenizer.vocabulary(),
        labels: setting.labels.len(),
        max_tokens: setting.tokenizer.max_tokens(),
    };
    let null = NullSettings {
        seed: setting.seed,
        ..NullSettings::default()
    };
    let built = Baseline::build(
        readings.collect(),
        setting.labels.to_vec(),
        setting.tokenizer.unknown_token(),
        shape,
        setting.identity,
        &null,
    );
    if let Some(movement) = built.as_ref().ok().and_then(Baseline::movement) {
        progress.tell(&Event::MovingBaseline {
            statistic: movement.statistic,
            times: movement.times,
        });
    }
    match built.and_then(|baseline| baseline.to_json()) {
        Ok(json) => Ok(Some(json)),
        Err(BaselineError::TooFew { distinct, needed }) => {
            progress.tell(&Event::NoBaseline { distinct, needed });
            Ok(None)
        }
        Err(error) => Err(TrainError::Data(error.to_string())),
    }
}
