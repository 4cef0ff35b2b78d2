//! Which examples train, validate and test.

use sha2::{Digest, Sha256};

use super::data::Example;
use super::error::TrainError;
use super::recipe::{Role, Split};

/// The examples by their use.
#[derive(Debug, Default)]
pub struct Parts {
    /// To learn from.
    pub train: Vec<Example>,
    /// To calibrate and to choose by.
    pub validation: Vec<Example>,
    /// To measure with.
    pub test: Vec<Example>,
    /// To make the drift baseline of.
    pub baseline: Vec<Example>,
    /// Training examples left out because a split by time could not place them.
    pub undated: usize,
}

/// Applies the split to the training examples; those of other roles stay what they are.
pub fn split(examples: Vec<Example>, split: &Split) -> Result<Parts, TrainError> {
    let mut parts = Parts::default();
    for example in examples {
        let validates = match (example.role, split) {
            (Role::Test, _) => {
                parts.test.push(example);
                continue;
            }
            (Role::Baseline, _) => {
                parts.baseline.push(example);
                continue;
            }
            (Role::Validation, _) => true,
            (Role::Train, Split::Given) => false,
            (Role::Train, Split::Hash { share }) => fraction(&example) < *share,
            (Role::Train, Split::Time { from }) => match example.time {
                Some(time) => time >= *from,
                None => {
                    parts.undated += 1;
                    continue;
                }
            },
        };
        if validates {
            parts.validation.push(example)
        } else {
            parts.train.push(example)
        }
    }
    if parts.train.is_empty() || parts.validation.is_empty() {
        return Err(TrainError::Data(format!(
            "the split leaves {} examples to train on and {} to validate with; change [split] or add files",
            parts.train.len(),
            parts.validation.len()
        )));
    }
    Ok(parts)
}

/// A number in [0, 1) that depends on the example's id alone (on its text, where it has none).
fn fraction(example: &Example) -> f64 {
    let digest = Sha256::digest(example.id.as_ref().unwrap_or(&example.text).as_bytes());
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    (u64::from_be_bytes(head) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn examples(count: u64) -> Vec<Example> {
        let example = |i: u64| Example {
            id: Some(i.to_string()),
            text: "t".into(),
            label: 0,
            time: DateTime::from_timestamp(i as i64, 0),
            role: Role::Train,
            file: 0,
        };
        (0..count).map(example).collect()
    }

    #[test]
    fn a_split_by_time_trains_on_the_past_and_validates_on_the_later_part() {
        let from = DateTime::<Utc>::from_timestamp(50, 0).unwrap();
        let rule = Split::Time { from };
        let mut all = examples(100);
        all[3].time = None;
        let parts = split(all, &rule).unwrap();
        assert_eq!(
            (parts.train.len(), parts.validation.len(), parts.undated),
            (49, 50, 1)
        );
        assert!(
            parts
                .train
                .iter()
                .all(|example| example.time.unwrap() < from)
        );
        assert!(
            parts
                .validation
                .iter()
                .all(|example| example.time.unwrap() >= from)
        );
    }

    #[test]
    fn a_split_by_hash_takes_about_its_share_and_always_the_same() {
        let rule = Split::Hash { share: 0.2 };
        let first = split(examples(5000), &rule).unwrap();
        assert!((first.validation.len() as f64 / 5000.0 - 0.2).abs() < 0.02);
        let mut reversed = examples(5000);
        reversed.reverse();
        let mut second = split(reversed, &rule).unwrap();
        second.validation.reverse();
        assert_eq!(first.validation, second.validation);
    }

    #[test]
    fn a_split_that_leaves_nothing_to_validate_with_is_an_error() {
        assert!(
            split(examples(3), &Split::Given)
                .unwrap_err()
                .to_string()
                .contains("0 to validate")
        );
    }
}
