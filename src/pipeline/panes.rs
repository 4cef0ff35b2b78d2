//! What a chunk leaves for those who watch the feed.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::drift::pane;
use crate::drift::reading::{Described, Reading};
use crate::record::{Decoded, Encoded, Message, Offsets, Pane, Prediction, TopicPartition};

/// A post cannot be written after Kafka had it. Clocks differ a little; a time further ahead is not believed, since it would
/// move the watermark past everything that comes then.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// One pane for each partition with scored messages. `encoded` and `predictions` are of the messages among the items, in
/// their order; `special` are the tokens that stand round every text, sorted.
pub(super) fn of<E>(
    items: &[Decoded],
    encoded: &[Encoded],
    predictions: &[Result<Prediction, E>],
    offsets: &Offsets,
    special: &[u32],
) -> Vec<Pane> {
    let messages = items.iter().filter_map(|item| match item {
        Decoded::Message(message) => Some(message),
        Decoded::Dead(_) => None,
    });
    let mut readings: BTreeMap<TopicPartition, Vec<(i64, Reading)>> = BTreeMap::new();
    for ((message, encoded), prediction) in messages.zip(encoded).zip(predictions) {
        if let Ok(prediction) = prediction {
            let origin = &message.raw.origin;
            readings.entry(origin.topic_partition()).or_default().push((
                origin.offset,
                reading(message, encoded, prediction, special),
            ));
        }
    }
    readings
        .into_iter()
        .filter_map(|(partition, readings)| {
            let offsets = offsets.0.get(&partition)?.clone();
            let payload = pane::encode(readings.iter().map(|(offset, reading)| (*offset, reading)));
            Some(Pane {
                partition,
                offsets,
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
    use crate::record::{DeadLetter, DeadReason, Origin, RawMessage};

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
        let good = || {
            Ok(Prediction {
                label: 1,
                probabilities: vec![0.0, 1.0],
            })
        };
        let mut offsets = Offsets::default();
        items
            .iter()
            .for_each(|item| offsets.include(&item.raw().origin));
        let encoded = vec![encoded; 3];
        let predictions = [good(), good(), Err("failed")];
        let panes = of(&items, &encoded, &predictions, &offsets, &[101, 102]);
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
}
