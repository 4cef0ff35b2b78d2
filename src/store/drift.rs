//! What the watch over the feed keeps: positions, memory, windows, reports.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::epochs::{columns, partition};
use super::labelled::{self, KeptMeasure, LabelledMessage};
use super::panes::{self, KeptPane, PaneKey};
use super::{
    AlertStep, KeptNotice, KeptPick, Lease, Store, StoreError, annotations, leases, notices,
};
use crate::record::{Origin, TopicPartition};

/// A closed window.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptWindow {
    pub model: i32,
    pub number: i64,
    pub started: DateTime<Utc>,
    pub ended: DateTime<Utc>,
    pub messages: i64,
    pub distinct: i64,
    pub late: i64,
    /// `ok`, `unknown` or `drift`.
    pub verdict: String,
    pub p: Option<f64>,
    pub foremost: Option<String>,
    pub detail: Value,
    pub counts: Vec<u8>,
}

/// An alarm that was opened or resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptReport {
    pub id: String,
    pub model: i32,
    pub number: i64,
    pub change: String,
    pub report: Value,
}

/// One step of the watch: all of it is written, or nothing.
#[derive(Debug, Default)]
pub struct Watched {
    /// Panes that have been counted, or will not be.
    pub counted: Vec<KeptPane>,
    /// Those of them that hold messages of no closed window: they are kept.
    pub held: BTreeSet<PaneKey>,
    /// Panes kept before that hold none any more.
    pub over: Vec<PaneKey>,
    /// For each model, what to remember.
    pub memory: Vec<(i32, Vec<u8>)>,
    pub windows: Vec<KeptWindow>,
    pub reports: Vec<KeptReport>,
    pub alerts: AlertStep,
    /// What is to be told of it.
    pub notices: Vec<KeptNotice>,
    /// Labelled messages that have been reckoned in.
    pub labelled: Vec<LabelledMessage>,
    /// What labels say of closed windows, these ones included.
    pub measures: Vec<KeptMeasure>,
    /// Messages that people are to be asked about.
    pub picks: Vec<KeptPick>,
    /// How fast they are picked from now on, where that has changed.
    pub pace: Option<Value>,
}

impl Watched {
    /// There is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
            && self.over.is_empty()
            && self.windows.is_empty()
            && self.labelled.is_empty()
            && self.alerts.is_empty()
            && self.picks.is_empty()
            && self.pace.is_none()
    }
}

impl Store {
    /// The earliest panes wholly below the committed offsets, at most `limit`.
    ///
    /// The offsets must have been read before the call: then nothing below them changes any more.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn panes_below(
        &self,
        committed: &[(TopicPartition, i64)],
        limit: u32,
    ) -> Result<Vec<KeptPane>, StoreError> {
        panes::below(
            &mut *self.pool.acquire().await?,
            committed,
            i64::from(limit),
        )
        .await
    }

    /// Up to where each partition has been counted.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn watched_positions(&self) -> Result<BTreeMap<TopicPartition, i64>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT topic, "partition" AS number, next_offset FROM drift_positions"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (partition(&row.topic, row.number), row.next_offset))
            .collect())
    }

    /// What is remembered of each model.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn watch_memory(&self) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        let rows = sqlx::query!("SELECT model, payload FROM drift_state")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.model, row.payload))
            .collect())
    }

    /// The number that a model's next window is to have where it is not remembered.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn next_window(&self, model: i32) -> Result<u64, StoreError> {
        let last = sqlx::query_scalar!(
            r#"SELECT coalesce(max(number) + 1, 0) AS "next!" FROM drift_windows WHERE model = $1"#,
            model,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(last).unwrap_or_default())
    }

    /// Writes a step of the watch, if the lease is still held; `false` where it is not, and nothing was written.
    ///
    /// # Errors
    ///
    /// The database does not answer; whether the step was written is then to be read again.
    pub async fn write_watched(&self, lease: &Lease, step: &Watched) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !leases::hold(&mut transaction, lease).await? {
            return Ok(false);
        }
        panes::count(&mut transaction, &step.counted, &step.held).await?;
        panes::let_go(&mut transaction, &step.over).await?;
        let next = |pane: &KeptPane| (pane.partition.clone(), pane.offsets.end);
        let next: Vec<(TopicPartition, i64)> = step.counted.iter().map(next).collect();
        advance(&mut transaction, &next).await?;
        for (model, payload) in &step.memory {
            sqlx::query!(
                "INSERT INTO drift_state (model, payload) VALUES ($1, $2)
                 ON CONFLICT (model) DO UPDATE SET payload = excluded.payload",
                model,
                payload,
            )
            .execute(&mut *transaction)
            .await?;
        }
        for window in &step.windows {
            sqlx::query!(
                "INSERT INTO drift_windows (model, number, started, ended, messages, distinct_messages, late, verdict, p, foremost, detail, counts)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                window.model,
                window.number,
                window.started,
                window.ended,
                window.messages,
                window.distinct,
                window.late,
                window.verdict,
                window.p,
                window.foremost,
                window.detail,
                window.counts,
            )
            .execute(&mut *transaction)
            .await?;
        }
        for report in &step.reports {
            sqlx::query!(
                "INSERT INTO drift_reports (id, model, number, change, report) VALUES ($1, $2, $3, $4, $5)",
                report.id,
                report.model,
                report.number,
                report.change,
                report.report,
            )
            .execute(&mut *transaction)
            .await?;
        }
        step.alerts.write(&mut transaction).await?;
        notices::write(&mut transaction, &step.notices).await?;
        labelled::reckoned(&mut transaction, &step.labelled).await?;
        labelled::measure(&mut transaction, &step.measures).await?;
        annotations::enqueue(&mut transaction, &step.picks).await?;
        if let Some(pace) = &step.pace {
            annotations::keep_pace(&mut transaction, pace).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// The texts of these messages, as far as they are kept.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn texts_of(
        &self,
        origins: &[&Origin],
    ) -> Result<BTreeMap<Origin, String>, StoreError> {
        let topics: Vec<&str> = origins.iter().map(|origin| &*origin.topic).collect();
        let numbers: Vec<i32> = origins.iter().map(|origin| origin.partition).collect();
        let offsets: Vec<i64> = origins.iter().map(|origin| origin.offset).collect();
        let rows = sqlx::query!(
            r#"SELECT held.topic, held."partition" AS number, held."offset" AS position, held.text
                 FROM predictions held
                 JOIN unnest($1::text[], $2::integer[], $3::bigint[]) AS wanted (topic, number, position)
                   ON held.topic = wanted.topic AND held."partition" = wanted.number AND held."offset" = wanted.position
                WHERE held.text IS NOT NULL"#,
            topics as _,
            &numbers,
            &offsets,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let origin = Origin {
                    topic: partition(&row.topic, row.number).topic,
                    partition: row.number,
                    offset: row.position,
                };
                Some((origin, row.text?))
            })
            .collect())
    }

    /// Reports that have not reached Kafka yet, the earliest first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn unsent_reports(&self) -> Result<Vec<KeptReport>, StoreError> {
        Ok(sqlx::query_as!(
            KeptReport,
            "SELECT id, model, number, change, report FROM drift_reports
              WHERE sent_at IS NULL ORDER BY reported_at, number LIMIT 100"
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Notes that a report has reached Kafka.
    ///
    /// # Errors
    ///
    /// The database does not answer; the report will then be sent again.
    pub async fn report_sent(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query!("UPDATE drift_reports SET sent_at = now() WHERE id = $1", id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Keeps a model's baseline for whichever instance watches.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn keep_baseline(&self, model: i32, baseline: &[u8]) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO drift_baselines (model, baseline) VALUES ($1, $2)
             ON CONFLICT (model) DO UPDATE SET baseline = excluded.baseline, stored_at = now()
              WHERE drift_baselines.baseline <> excluded.baseline",
            model,
            baseline,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A model's baseline, if one is kept.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn baseline_of(&self, model: i32) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT baseline FROM drift_baselines WHERE model = $1",
            model
        )
        .fetch_optional(&self.pool)
        .await?)
    }
}

/// Notes up to where partitions have been read.
pub(super) async fn advance(
    connection: &mut PgConnection,
    next: &[(TopicPartition, i64)],
) -> Result<(), StoreError> {
    let (topics, numbers) = columns(next.iter().map(|(partition, _)| partition));
    let offsets: Vec<i64> = next.iter().map(|(_, offset)| *offset).collect();
    sqlx::query!(
        r#"INSERT INTO drift_positions AS held (topic, "partition", next_offset)
           SELECT topic, number, max(next_offset)
             FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS counted (topic, number, next_offset)
            GROUP BY topic, number
           ON CONFLICT (topic, "partition") DO UPDATE
              SET next_offset = greatest(held.next_offset, excluded.next_offset)"#,
        &topics as _,
        &numbers,
        &offsets,
    )
    .execute(connection)
    .await?;
    Ok(())
}
