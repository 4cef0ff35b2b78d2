//! What speaks for a training or against one, as it stands in Postgres.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::epochs::partition;
use super::{Store, StoreError};
use crate::labels::Sampling;
use crate::record::{Origin, TopicPartition};

/// Most labelled messages that are read to compare two models.
const MOST_LABELS: i64 = 20_000;

/// A drift alarm that is not over.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenDrift {
    /// Of the report that opened it.
    pub id: String,
    /// `feed`, or `errors` where labels tell that the model is wrong more often.
    pub statistic: String,
    pub opened: DateTime<Utc>,
    /// The report that opened it, and the latest one.
    pub first: Value,
    pub latest: Value,
}

/// Labels that could be trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LabelCounts {
    /// Messages with their text and a label that counts, of which the first label came after the mark.
    pub usable: i64,
    /// Those that a model has scored, which were chosen by chance.
    pub random: i64,
    /// Number of the latest label.
    pub mark: i64,
}

/// A labelled message on which two models are compared while one of them takes over.
#[derive(Debug, Clone, PartialEq)]
pub struct FreshLabel {
    pub origin: Origin,
    pub text: String,
    /// That most annotators gave.
    pub label: String,
    pub sampling: Sampling,
    /// The probability with which it was picked to be labelled, where it was picked.
    pub inclusion: Option<f64>,
    /// When the first of its labels came.
    pub received: DateTime<Utc>,
}

impl Store {
    /// Messages of which the first label came after the mark and not before `since`, in the order of their first labels; of very
    /// many the earliest.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn labels_after(
        &self,
        mark: i64,
        since: DateTime<Utc>,
    ) -> Result<Vec<FreshLabel>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT m.topic, m."partition", m."offset", m.text AS "text!", m.label AS "label!", m.sampling, m.inclusion,
                      l.received_at
                 FROM labelled_messages m JOIN labels l ON l.id = m.first_label
                WHERE m.first_label > $1 AND l.received_at >= $2 AND m.text IS NOT NULL AND m.label IS NOT NULL
                ORDER BY m.first_label LIMIT $3"#,
            mark,
            since,
            MOST_LABELS,
        )
        .fetch_all(&self.pool)
        .await?;
        let messages = rows.into_iter().map(|row| {
            let TopicPartition { topic, partition } = partition(&row.topic, row.partition);
            FreshLabel {
                origin: Origin {
                    topic,
                    partition,
                    offset: row.offset,
                },
                text: row.text,
                label: row.label,
                sampling: Sampling::named(&row.sampling).unwrap_or_default(),
                inclusion: row.inclusion,
                received: row.received_at,
            }
        });
        Ok(messages.collect())
    }

    /// The open alarms of a model.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn open_drift(&self, version: &str) -> Result<Vec<OpenDrift>, StoreError> {
        Ok(sqlx::query_as!(
            OpenDrift,
            r#"WITH reports AS (
                   SELECT r.id, r.change, r.reported_at, r.number, r.report, coalesce(r.report->>'statistic', 'feed') AS statistic
                     FROM drift_reports r JOIN models m ON m.id = r.model WHERE m.version = $1),
               latest AS (
                   SELECT DISTINCT ON (statistic) * FROM reports ORDER BY statistic, reported_at DESC, number DESC, id DESC),
               opened AS (
                   SELECT DISTINCT ON (statistic) * FROM reports WHERE change = 'opened'
                    ORDER BY statistic, reported_at DESC, number DESC, id DESC)
               SELECT o.id, o.statistic AS "statistic!", o.reported_at AS opened, o.report AS first, l.report AS latest
                 FROM latest l JOIN opened o USING (statistic) WHERE l.change <> 'resolved' ORDER BY o.reported_at, o.id"#,
            version,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// The detail of a model's latest window.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn latest_window(&self, version: &str) -> Result<Option<Value>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT w.detail FROM drift_windows w JOIN models m ON m.id = w.model WHERE m.version = $1
              ORDER BY w.number DESC LIMIT 1",
            version,
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// The labels that have come after the mark, for training, and all of a model's that were chosen by chance.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn label_counts(&self, version: &str, after: i64) -> Result<LabelCounts, StoreError> {
        Ok(sqlx::query_as!(
            LabelCounts,
            r#"SELECT count(*) FILTER (WHERE l.first_label > $2 AND l.text IS NOT NULL AND l.label IS NOT NULL) AS "usable!",
                      count(*) FILTER (WHERE m.version = $1 AND l.sampling = 'random' AND l.label IS NOT NULL) AS "random!",
                      coalesce((SELECT max(id) FROM labels WHERE matched), 0) AS "mark!"
                 FROM labelled_messages l LEFT JOIN models m ON m.id = l.model"#,
            version,
            after,
        )
        .fetch_one(&self.pool)
        .await?)
    }
}
