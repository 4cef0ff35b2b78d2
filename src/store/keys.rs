//! The key of a message in Postgres: where it stands in Kafka, and Kafka's time of it.

use chrono::{DateTime, Utc};

use super::clean;
use crate::record::RawMessage;

/// Keys as one array for each column.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    pub topic: Vec<&'a str>,
    pub partition: Vec<i32>,
    pub offset: Vec<i64>,
    pub kafka_time: Vec<DateTime<Utc>>,
}

impl Keys<'_> {
    /// The first and the last Kafka time among them, unless there are none.
    pub(super) fn times(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let first = self.kafka_time.iter().min()?;
        let last = self.kafka_time.iter().max()?;
        Some((*first, *last))
    }
}

impl<'a> FromIterator<&'a RawMessage> for Keys<'a> {
    fn from_iter<I: IntoIterator<Item = &'a RawMessage>>(messages: I) -> Self {
        let mut keys = Self::default();
        keys.extend(messages);
        keys
    }
}

impl<'a> Extend<&'a RawMessage> for Keys<'a> {
    fn extend<I: IntoIterator<Item = &'a RawMessage>>(&mut self, messages: I) {
        for raw in messages {
            self.topic.push(&raw.origin.topic);
            self.partition.push(raw.origin.partition);
            self.offset.push(raw.origin.offset);
            self.kafka_time.push(clean::time(raw.kafka_time));
        }
    }
}
