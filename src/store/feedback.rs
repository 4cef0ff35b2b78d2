//! Labelled messages with their texts and labels, to train on.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::epochs::partition;
use super::{Store, StoreError};
use crate::labels::Sampling;
use crate::labels::consensus::Vote;
use crate::record::{Origin, TopicPartition};

/// Messages that are read at a time.
const PAGE: i64 = 5_000;
/// Most messages that are read in all, those that were labelled last.
const MOST: usize = 500_000;

/// A labelled message, as far as it can be trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledText {
    pub origin: Origin,
    /// The number of its first label, in the order of arrival.
    pub first_label: i64,
    pub message_id: Option<String>,
    pub source: Option<String>,
    pub subject: Option<String>,
    /// SHA-256 of its author, where one is known.
    pub author: Option<Vec<u8>>,
    /// The probability with which it was picked to be labelled, where it was picked.
    pub inclusion: Option<f64>,
    /// As far as it is kept.
    pub text: Option<String>,
    /// As windows go by it.
    pub event_time: DateTime<Utc>,
    /// Its labels, in the order of arrival.
    pub votes: Vec<Vote>,
}

impl Store {
    /// Every labelled message at one moment, in the order of their first labels; of very many the half million that were
    /// labelled last.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn labelled_texts(&self) -> Result<Vec<LabelledText>, StoreError> {
        let mut snapshot = self
            .pool
            .begin_with("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let mut all: Vec<LabelledText> = Vec::new();
        let mut before = i64::MAX;
        while all.len() < MOST {
            let mut page = page(&mut snapshot, before).await?;
            let Some(first) = page.last().map(|message| message.first_label) else {
                break;
            };
            votes(&mut snapshot, &mut page, first, before).await?;
            before = first;
            all.append(&mut page);
        }
        snapshot.commit().await?;
        all.reverse();
        Ok(all)
    }
}

/// Messages whose first labels came before, the latest first, without their labels.
async fn page(connection: &mut PgConnection, before: i64) -> Result<Vec<LabelledText>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT topic, "partition", "offset", first_label, message_id, source, subject, text, event_time, inclusion,
                  author_sha256
             FROM labelled_messages WHERE first_label < $1 ORDER BY first_label DESC LIMIT $2"#,
        before,
        PAGE,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| LabelledText {
            origin: origin(&row.topic, row.partition, row.offset),
            first_label: row.first_label,
            message_id: row.message_id,
            source: row.source,
            subject: row.subject,
            author: row.author_sha256,
            inclusion: row.inclusion,
            text: row.text,
            event_time: row.event_time,
            votes: Vec::new(),
        })
        .collect())
}

/// The labels of the messages of a page.
async fn votes(
    connection: &mut PgConnection,
    page: &mut [LabelledText],
    first: i64,
    before: i64,
) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        r#"SELECT l.id, m.topic, m."partition", m."offset", l.annotator, l.label, l.sampling, l.given_at
             FROM labelled_messages m
             JOIN labels l ON l.matched AND l.topic = m.topic AND l."partition" = m."partition" AND l."offset" = m."offset"
            WHERE m.first_label >= $1 AND m.first_label < $2 ORDER BY l.id"#,
        first,
        before,
    )
    .fetch_all(connection)
    .await?;
    let mut given: BTreeMap<Origin, Vec<Vote>> = BTreeMap::new();
    for row in rows {
        let vote = Vote {
            id: row.id,
            annotator: row.annotator,
            label: row.label,
            sampling: Sampling::named(&row.sampling).unwrap_or_default(),
            given_at: row.given_at,
        };
        let place = origin(&row.topic, row.partition, row.offset);
        given.entry(place).or_default().push(vote);
    }
    for message in page {
        message.votes = given.remove(&message.origin).unwrap_or_default();
    }
    Ok(())
}

fn origin(topic: &str, number: i32, offset: i64) -> Origin {
    let TopicPartition { topic, partition } = partition(topic, number);
    Origin {
        topic,
        partition,
        offset,
    }
}
