//! What a chunk leaves for those who watch the feed.

use std::collections::BTreeMap;

use std::sync::Arc;

use chrono::TimeDelta;

use super::arms::{Answer, Voice};
use crate::drift::pane;
use crate::drift::reading::{Described, Reading};
use crate::record::{
    Decoded, Encoded, Message, ModelVersion, Offsets, Pane, Prediction, TopicPartition,
};

/// A post cannot be written after Kafka had it. Clocks differ a little; a time further ahead is not believed, since it would
/// move the watermark past everything that comes then.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// A model, and the tokens that stand round every text, sorted.
pub(super) type Speaker = (Arc<ModelVersion>, Vec<u32>);

/// One pane for each partition with scored messages and each model that has scored any there. `answers` are of the messages among
/// the items, in their order.
pub(super) fn of(
    items: &[Decoded],
    answers: &[Answer],
    offsets: &Offsets,
    champion: Speaker,
    second: Option<Speaker>,
) -> Vec<Pane> {
    let messages = items.iter().filter_map(|item| match item {
        Decoded::Message(message) => Some(message),
        Decoded::Dead(_) => None,
    });
    let second = second.as_ref().unwrap_or(&champion);
    let mut readings: BTreeMap<(TopicPartition, bool), Vec<(i64, Reading)>> = BTreeMap::new();
    for (message, answer) in messages.zip(answers) {
        if let Ok(prediction) = &answer.said {
            let origin = &message.raw.origin;
            let is_second = answer.by == Voice::Second;
            let (_, special) = if is_second { second } else { &champion };
            let reading = reading(message, &answer.encoded, prediction, special);
            let pane = (origin.topic_partition(), is_second);
            readings
                .entry(pane)
                .or_default()
                .push((origin.offset, reading));
        }
    }
    readings
        .into_iter()
        .filter_map(|((partition, is_second), readings)| {
            let offsets = offsets.0.get(&partition)?.clone();
            let payload = pane::encode(readings.iter().map(|(offset, reading)| (*offset, reading)));
            let (model, _) = if is_second { second } else { &champion };
            Some(Pane {
                partition,
                offsets,
                model: Arc::clone(model),
                payload,
            })
        })
        .collect()
}

fn reading(
    message: &Message,
    encoded: &Encoded,
    prediction: &Prediction,
    special: &[u32],
) -> Reading {
    let latest = message.raw.kafka_time + AHEAD;
    let time = if message.event_time > latest {
        message.raw.kafka_time
    } else {
        message.event_time
    };
    let described = Described {
        text: &message.text,
        time: time.timestamp_millis(),
        author: message.author.as_deref(),
        source: message.source.as_deref(),
        subject: message.subject.as_deref(),
    };
    Reading::of(described, encoded, prediction, special)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Utc};

    use super::*;
    use crate::model::backend::InferError;
    use crate::record::{DeadLetter, DeadReason, Origin, Problem, RawMessage};

    fn speaker(version: &str) -> Speaker {
        let version = ModelVersion {
            version: version.to_owned(),
            labels: vec!["bad".into(), "good".into()],
            problem: Problem::SingleLabel,
        };
        (Arc::new(version), vec![101, 102])
    }

    fn raw(partition: i32, offset: i64) -> RawMessage {
        RawMessage {
            origin: Origin {
                topic: Arc::from("posts"),
                partition,
                offset,
            },
            kafka_time: at(1_000),
            key: None,
            headers: Vec::new(),
            payload: None,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn message(partition: i32, offset: i64, event_time: i64) -> Decoded {
        Decoded::Message(Message {
            raw: raw(partition, offset),
            id: None,
            text: "fine".into(),
            author: None,
            source: Some("twitter".into()),
            subject: None,
            language: None,
            event_time: at(event_time),
        })
    }

    #[test]
    fn each_partition_gets_a_pane_of_its_scored_messages_without_special_tokens() {
        let items = [
            message(0, 5, 900),
            Decoded::Dead(DeadLetter {
                raw: raw(0, 6),
                reason: DeadReason::NoText,
                detail: String::new(),
            }),
            message(1, 3, 9_999_999),
            message(0, 8, 1_000),
        ];
        let encoded = Encoded {
            ids: vec![101, 7, 8, 102],
            truncated: false,
        };
        let answer = |by, said| Answer {
            by,
            encoded: encoded.clone(),
            said,
            shadow: None,
        };
        let good = || {
            Ok(Prediction {
                label: 1,
                probabilities: vec![0.0, 1.0],
            })
        };
        let failed = Err(InferError {
            rows: 1,
            width: 4,
            reason: "failed".into(),
        });
        let mut offsets = Offsets::default();
        items
            .iter()
            .for_each(|item| offsets.include(&item.raw().origin));
        let answers = [
            answer(Voice::Champion, good()),
            answer(Voice::Champion, good()),
            answer(Voice::Champion, failed),
        ];
        let panes = of(&items, &answers, &offsets, speaker("one"), None);
        assert_eq!(panes.len(), 2);
        assert_eq!(
            (panes[0].partition.partition, panes[0].offsets.clone()),
            (0, 5..9)
        );
        let first = pane::decode(&panes[0].payload).unwrap();
        assert_eq!(first.len(), 1, "the failed one is no reading");
        let (offset, reading) = &first[0];
        assert_eq!(
            (*offset, reading.time, &*reading.tokens),
            (5, 900_000, &[7, 8][..])
        );
        let (_, ahead) = &pane::decode(&panes[1].payload).unwrap()[0];
        assert_eq!(
            ahead.time, 1_000_000,
            "a time in the future is not believed"
        );
    }

    #[test]
    fn each_model_has_a_pane_of_its_own_over_the_same_offsets_and_each_message_is_in_one() {
        let items: Vec<Decoded> = (0..4).map(|offset| message(0, offset, 900)).collect();
        let mut offsets = Offsets::default();
        items
            .iter()
            .for_each(|item| offsets.include(&item.raw().origin));
        let by = [
            Voice::Second,
            Voice::Champion,
            Voice::Champion,
            Voice::Second,
        ];
        let answers = by.map(|by| Answer {
            by,
            encoded: Encoded {
                ids: vec![101, 7, 102],
                truncated: false,
            },
            said: Ok(Prediction {
                label: 1,
                probabilities: vec![0.0, 1.0],
            }),
            // What is said in shadow is not counted.
            shadow: (by == Voice::Champion).then(|| Prediction {
                label: 0,
                probabilities: vec![1.0, 0.0],
            }),
        });
        let panes = of(
            &items,
            &answers,
            &offsets,
            speaker("one"),
            Some(speaker("two")),
        );
        let found: Vec<_> = panes
            .iter()
            .map(|pane| {
                let readings = pane::decode(&pane.payload).unwrap();
                let offsets: Vec<i64> = readings.iter().map(|(offset, _)| *offset).collect();
                (&*pane.model.version, pane.offsets.clone(), offsets)
            })
            .collect();
        assert_eq!(
            found,
            [("one", 0..4, vec![1, 2]), ("two", 0..4, vec![0, 3])]
        );
    }
}
