//! Predictions counted per minute, source, subject and label.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use sqlx::PgConnection;

use super::{Store, StoreError, clean};
use crate::record::{Message, Scored};

/// What is counted together. Ordered, so that all writers lock these rows in one order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Minute {
    /// Of event time.
    pub start: DateTime<Utc>,
    /// Empty where the message names none; the subject likewise.
    pub source: String,
    pub subject: String,
    pub label: String,
}

/// How the counts change with a chunk: rows added less rows replaced.
#[derive(Debug, Default)]
pub(super) struct Deltas(BTreeMap<Minute, i64>);

impl Deltas {
    /// Counts a row that is being inserted.
    pub(super) fn count(&mut self, scored: &Scored) {
        let Message {
            event_time,
            source,
            subject,
            ..
        } = &scored.message;
        let name =
            |value: &Option<String>| clean::name(value.as_deref().unwrap_or_default()).into_owned();
        let label = scored
            .model
            .labels
            .get(scored.prediction.label)
            .map(String::as_str);
        let minute = Minute {
            start: clean::minute(*event_time),
            source: name(source),
            subject: name(subject),
            label: clean::name(label.unwrap_or_default()).into_owned(),
        };
        self.add(minute, 1);
    }

    pub(super) fn add(&mut self, minute: Minute, messages: i64) {
        *self.0.entry(minute).or_default() += messages;
    }

    /// Applies the changes. It locks rows that other instances write too, so it comes last in a transaction.
    pub(super) async fn apply(mut self, connection: &mut PgConnection) -> Result<(), StoreError> {
        self.0.retain(|_, messages| *messages != 0);
        if self.0.is_empty() {
            return Ok(());
        }
        let shrinks = self.0.values().any(|&messages| messages < 0);
        let messages: Vec<i64> = self.0.values().copied().collect();
        let start: Vec<DateTime<Utc>> = self.0.keys().map(|minute| minute.start).collect();
        let source: Vec<&str> = self.0.keys().map(|minute| &*minute.source).collect();
        let subject: Vec<&str> = self.0.keys().map(|minute| &*minute.subject).collect();
        let label: Vec<&str> = self.0.keys().map(|minute| &*minute.label).collect();
        sqlx::query!(
            "INSERT INTO sentiment_minute AS held (minute, source, subject, label, messages)
             SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bigint[])
             ON CONFLICT (minute, source, subject, label) DO UPDATE
                SET messages = held.messages + excluded.messages, updated_at = excluded.updated_at",
            &start,
            &source as _,
            &subject as _,
            &label as _,
            &messages,
        )
        .execute(&mut *connection)
        .await?;
        if shrinks {
            // Nothing is left of a minute whose last message moved away. Negative: retention had removed it meanwhile.
            sqlx::query!(
                "DELETE FROM sentiment_minute held
                  USING unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[]) AS key (minute, source, subject, label)
                  WHERE held.minute = key.minute AND held.source = key.source
                    AND held.subject = key.subject AND held.label = key.label
                    AND held.messages <= 0",
                &start,
                &source as _,
                &subject as _,
                &label as _,
            )
            .execute(connection)
            .await?;
        }
        Ok(())
    }
}

/// Predictions of an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastHour {
    /// Its first moment, in event time.
    pub hour: DateTime<Utc>,
    /// Empty where the messages name none; the subject likewise.
    pub source: String,
    pub subject: String,
    pub label: String,
    pub messages: i64,
}

impl Store {
    /// Hands over what was counted in a span of event time, hour by hour.
    ///
    /// # Errors
    ///
    /// The database does not answer; then some of it may have been handed over.
    pub async fn past_sentiment(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        mut take: impl FnMut(PastHour),
    ) -> Result<(), StoreError> {
        let mut rows = sqlx::query_as!(
            PastHour,
            r#"SELECT date_trunc('hour', minute) AS "hour!", source, subject, label, sum(messages)::bigint AS "messages!"
                 FROM sentiment_minute WHERE minute >= $1 AND minute < $2
                GROUP BY 1, 2, 3, 4 ORDER BY 1"#,
            from,
            until,
        )
        .fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            take(row);
        }
        Ok(())
    }
}
