//! What the watch over the feed has found, read back.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Store, StoreError};

/// A window as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct PastWindow {
    /// The version of the model.
    pub model: String,
    pub number: i64,
    pub started: DateTime<Utc>,
    pub ended: DateTime<Utc>,
    pub messages: i64,
    pub verdict: String,
    pub p: Option<f64>,
    pub detail: Value,
    /// Labelled messages chosen by chance, and those of them that the model had right.
    pub labelled: i64,
    pub correct: i64,
    pub accuracy_low: Option<f64>,
    pub accuracy_high: Option<f64>,
    pub agreement: Option<String>,
}

/// A window with its counters.
#[derive(Debug, Clone, PartialEq)]
pub struct PastCounts {
    pub window: PastWindow,
    pub counts: Vec<u8>,
    /// The baseline of its model, if one is kept.
    pub baseline: Option<Vec<u8>>,
}

/// A report as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct PastReport {
    pub id: String,
    /// The version of the model.
    pub model: String,
    pub change: String,
    pub reported_at: DateTime<Utc>,
    pub report: Value,
}

impl Store {
    /// The latest windows, at most `limit`, in the order of their event times.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn past_windows(&self, limit: u32) -> Result<Vec<PastWindow>, StoreError> {
        let mut windows = sqlx::query_as!(
            PastWindow,
            r#"SELECT coalesce(m.version, '') AS "model!", w.number, w.started, w.ended, w.messages, w.verdict, w.p, w.detail,
                      w.labelled, w.correct, w.accuracy_low, w.accuracy_high, w.agreement
                 FROM drift_windows w LEFT JOIN models m ON m.id = w.model
                ORDER BY w.ended DESC, w.number DESC LIMIT $1"#,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        windows.reverse();
        Ok(windows)
    }

    /// The latest window of this number, with its counters.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn past_counts(&self, number: i64) -> Result<Option<PastCounts>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT coalesce(m.version, '') AS "model!", w.number, w.started, w.ended, w.messages, w.verdict, w.p, w.detail,
                      w.labelled, w.correct, w.accuracy_low, w.accuracy_high, w.agreement, w.counts, b.baseline AS "baseline?"
                 FROM drift_windows w
                 LEFT JOIN models m ON m.id = w.model
                 LEFT JOIN drift_baselines b ON b.model = w.model
                WHERE w.number = $1 ORDER BY w.closed_at DESC LIMIT 1"#,
            number,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| PastCounts {
            window: PastWindow {
                model: row.model,
                number: row.number,
                started: row.started,
                ended: row.ended,
                messages: row.messages,
                verdict: row.verdict,
                p: row.p,
                detail: row.detail,
                labelled: row.labelled,
                correct: row.correct,
                accuracy_low: row.accuracy_low,
                accuracy_high: row.accuracy_high,
                agreement: row.agreement,
            },
            counts: row.counts,
            baseline: row.baseline,
        }))
    }

    /// The report with this id, or the latest one that says that an alarm was opened.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn past_report(&self, id: Option<&str>) -> Result<Option<PastReport>, StoreError> {
        Ok(sqlx::query_as!(
            PastReport,
            r#"SELECT r.id, coalesce(m.version, '') AS "model!", r.change, r.reported_at, r.report
                 FROM drift_reports r LEFT JOIN models m ON m.id = r.model
                WHERE r.id = $1 OR ($1::text IS NULL AND r.change = 'opened')
                ORDER BY r.reported_at DESC, r.number DESC LIMIT 1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Removes windows and reports that were written before.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn trim_watched(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM drift_windows WHERE closed_at < $1", before)
            .execute(&self.pool)
            .await?;
        sqlx::query!("DELETE FROM drift_reports WHERE reported_at < $1", before)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
