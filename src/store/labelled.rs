//! Labelled messages: what was predicted of them beside what people say.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::epochs::partition;
use super::{Store, StoreError};
use crate::labels::Sampling;
use crate::record::{Origin, TopicPartition};

/// A labelled message.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledMessage {
    pub origin: Origin,
    /// The number of the model that scored it.
    pub model: i32,
    /// As windows go by it.
    pub event_time: DateTime<Utc>,
    /// Of the predicted label.
    pub confidence: f32,
    pub predicted: String,
    /// That most annotators gave; none where as many gave another.
    pub label: Option<String>,
    pub sampling: Sampling,
    /// It is in the sequential test.
    pub counted: bool,
    pub text: Option<String>,
}

impl LabelledMessage {
    /// Whether the model was right, if that is known and the message was chosen by chance: only such messages say how often it is.
    #[must_use]
    pub fn answer(&self) -> Option<bool> {
        let label = self.label.as_ref()?;
        (self.sampling == Sampling::Random).then(|| *label == self.predicted)
    }
}

/// A labelled message as it was written, for comparing models on it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentMessage {
    pub event_time: DateTime<Utc>,
    /// That most annotators gave; none where as many gave another.
    pub label: Option<String>,
    pub sampling: Sampling,
    pub source: Option<String>,
    pub subject: Option<String>,
    pub text: Option<String>,
}

/// A closed window, as far as labels are compared with it.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSpan {
    pub model: i32,
    pub number: i64,
    pub started: DateTime<Utc>,
    pub ended: DateTime<Utc>,
    /// The estimated accuracy as it stands in the window's detail.
    pub estimate: Option<Value>,
}

/// What labels say of a closed window.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptMeasure {
    pub model: i32,
    pub number: i64,
    pub labelled: i64,
    pub correct: i64,
    /// The accuracy's 95 % interval; none without labels.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub agreement: Option<String>,
}

impl Store {
    /// Labelled messages that have changed since they were reckoned in, at most `limit`, in the order in which they were first labelled.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn pending_labelled(&self, limit: u32) -> Result<Vec<LabelledMessage>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT topic, "partition", "offset", model, event_time, confidence, predicted, label, sampling, counted, text
                 FROM labelled_messages WHERE pending ORDER BY first_label LIMIT $1"#,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Row::message).collect())
    }

    /// Labelled messages of a model within a span of event time, both ends included, at most `limit`, in the order of their times.
    /// With their texts, as far as these are kept, they are what a model can be tuned on.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn labelled_between(
        &self,
        model: i32,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<LabelledMessage>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT topic, "partition", "offset", model, event_time, confidence, predicted, label, sampling, counted, text
                 FROM labelled_messages WHERE model = $1 AND event_time BETWEEN $2 AND $3
                ORDER BY event_time, topic, "partition", "offset" LIMIT $4"#,
            model,
            from,
            to,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Row::message).collect())
    }

    /// Labelled messages of whatever model that were written (and so labelled) at `from` or later, at most `limit`, the newest first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn labelled_since(
        &self,
        from: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<RecentMessage>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT event_time, label, sampling, source, subject, text FROM labelled_messages
                WHERE event_time >= $1 AND labelled_at >= $1
                ORDER BY event_time DESC, topic, "partition", "offset" LIMIT $2"#,
            from,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        let messages = rows.into_iter().map(|row| RecentMessage {
            event_time: row.event_time,
            label: row.label,
            sampling: Sampling::named(&row.sampling).unwrap_or_default(),
            source: row.source,
            subject: row.subject,
            text: row.text,
        });
        Ok(messages.collect())
    }

    /// The closed windows in which these event times lie.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn windows_at(
        &self,
        model: i32,
        times: &[DateTime<Utc>],
    ) -> Result<Vec<WindowSpan>, StoreError> {
        Ok(sqlx::query_as!(
            WindowSpan,
            r#"SELECT DISTINCT ON (w.number) w.model AS "model!", w.number AS "number!", w.started AS "started!", w.ended AS "ended!",
                      w.detail->'estimates'->'accuracy' AS estimate
                 FROM unnest($2::timestamptz[]) AS given (moment)
                -- Windows follow each other: at most two have the time at their edge.
                CROSS JOIN LATERAL (SELECT * FROM drift_windows held WHERE held.model = $1 AND held.ended >= given.moment
                                     ORDER BY held.ended LIMIT 2) w
                WHERE w.started <= given.moment
                ORDER BY w.number"#,
            model,
            times,
        )
        .fetch_all(&self.pool)
        .await?)
    }
}

/// A row as it is read.
struct Row {
    topic: String,
    partition: i32,
    offset: i64,
    model: i32,
    event_time: DateTime<Utc>,
    confidence: f32,
    predicted: String,
    label: Option<String>,
    sampling: String,
    counted: bool,
    text: Option<String>,
}

impl Row {
    fn message(self) -> LabelledMessage {
        let TopicPartition { topic, partition } = partition(&self.topic, self.partition);
        LabelledMessage {
            origin: Origin {
                topic,
                partition,
                offset: self.offset,
            },
            model: self.model,
            event_time: self.event_time,
            confidence: self.confidence,
            predicted: self.predicted,
            label: self.label,
            sampling: Sampling::named(&self.sampling).unwrap_or_default(),
            counted: self.counted,
            text: self.text,
        }
    }
}

/// Notes that these have been reckoned in, and which of them are in the sequential test.
pub(super) async fn reckoned(
    connection: &mut PgConnection,
    messages: &[LabelledMessage],
) -> Result<(), StoreError> {
    let origins = || messages.iter().map(|message| &message.origin);
    let topics: Vec<&str> = origins().map(|origin| &*origin.topic).collect();
    let numbers: Vec<i32> = origins().map(|origin| origin.partition).collect();
    let offsets: Vec<i64> = origins().map(|origin| origin.offset).collect();
    let counted: Vec<bool> = messages.iter().map(|message| message.counted).collect();
    sqlx::query!(
        r#"UPDATE labelled_messages held SET pending = false, counted = held.counted OR done.counted
             FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::boolean[]) AS done (topic, number, position, counted)
            WHERE held.topic = done.topic AND held."partition" = done.number AND held."offset" = done.position"#,
        topics as _,
        &numbers,
        &offsets,
        &counted,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what labels say of closed windows.
pub(super) async fn measure(
    connection: &mut PgConnection,
    measures: &[KeptMeasure],
) -> Result<(), StoreError> {
    for measure in measures {
        sqlx::query!(
            "UPDATE drift_windows SET labelled = $3, correct = $4, accuracy_low = $5, accuracy_high = $6, agreement = $7
              WHERE model = $1 AND number = $2",
            measure.model,
            measure.number,
            measure.labelled,
            measure.correct,
            measure.low,
            measure.high,
            measure.agreement,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
