//! What the watch over sentiment keeps: series, counts that are not complete, alerts.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{Store, StoreError, clean};

/// Which messages are counted together, as it stands in the tables: `''` where a name is no part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptKey {
    /// `overall`, `source`, `subject` or `source_subject`.
    pub level: &'static str,
    pub source: String,
    pub subject: String,
}

/// What is learnt of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSeries {
    pub key: KeptKey,
    /// Event time of what was counted last.
    pub heard: DateTime<Utc>,
    pub payload: Vec<u8>,
}

/// The counts of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptCell {
    pub key: KeptKey,
    pub started: DateTime<Utc>,
    /// Three for each label: messages, distinct texts, distinct authors.
    pub counts: Vec<i64>,
    pub score: f64,
}

/// A change of sentiment.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptAlert {
    pub id: String,
    pub rule: String,
    pub source: Option<String>,
    pub subject: Option<String>,
    pub label: String,
    pub direction: String,
    pub started: DateTime<Utc>,
    pub opened: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    pub resolved: Option<DateTime<Utc>>,
    pub normal: f64,
    pub share: f64,
    pub messages: i64,
    pub detail: Value,
}

/// What a step of the watch changes of the alerts' tables.
#[derive(Debug, Default)]
pub struct AlertStep {
    pub series: Vec<KeptSeries>,
    /// Series that are forgotten.
    pub dropped: Vec<KeptKey>,
    /// Cells as they stand now.
    pub cells: Vec<KeptCell>,
    /// Cells that are counted, or will not be.
    pub closed: Vec<(KeptKey, DateTime<Utc>)>,
    /// Each as its last event has it.
    pub alerts: Vec<KeptAlert>,
}

impl AlertStep {
    /// Nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
            && self.dropped.is_empty()
            && self.cells.is_empty()
            && self.closed.is_empty()
            && self.alerts.is_empty()
    }

    /// Writes it, in the transaction of the watch's step.
    pub(super) async fn write(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        self.write_series(&mut *connection).await?;
        self.write_cells(&mut *connection).await?;
        for alert in &self.alerts {
            write_alert(&mut *connection, alert).await?;
        }
        Ok(())
    }

    async fn write_series(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        // First what was dropped: it may have been heard again.
        let keys = Columns::of(&self.dropped);
        sqlx::query!(
            "DELETE FROM alert_series held
              USING unnest($1::text[], $2::text[], $3::text[]) AS dropped (level, source, subject)
              WHERE held.level = dropped.level AND held.source = dropped.source AND held.subject = dropped.subject",
            &keys.levels as _,
            &keys.sources as _,
            &keys.subjects as _,
        )
        .execute(&mut *connection)
        .await?;
        let keys = Columns::of(self.series.iter().map(|series| &series.key));
        let heard: Vec<DateTime<Utc>> = self.series.iter().map(|series| series.heard).collect();
        let payloads: Vec<&[u8]> = self.series.iter().map(|series| &*series.payload).collect();
        sqlx::query!(
            "INSERT INTO alert_series (level, source, subject, heard_at, payload)
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[])
             ON CONFLICT (level, source, subject) DO UPDATE
                SET heard_at = excluded.heard_at, payload = excluded.payload",
            &keys.levels as _,
            &keys.sources as _,
            &keys.subjects as _,
            &heard,
            &payloads as _,
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn write_cells(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let keys = Columns::of(self.closed.iter().map(|(key, _)| key));
        let started: Vec<DateTime<Utc>> = self.closed.iter().map(|(_, started)| *started).collect();
        sqlx::query!(
            "DELETE FROM alert_cells held
              USING unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS closed (level, source, subject, started)
              WHERE held.level = closed.level AND held.source = closed.source AND held.subject = closed.subject
                AND held.started = closed.started",
            &keys.levels as _,
            &keys.sources as _,
            &keys.subjects as _,
            &started,
        )
        .execute(&mut *connection)
        .await?;
        let keys = Columns::of(self.cells.iter().map(|cell| &cell.key));
        let started: Vec<DateTime<Utc>> = self.cells.iter().map(|cell| cell.started).collect();
        let scores: Vec<f64> = self.cells.iter().map(|cell| cell.score).collect();
        // An array of arrays of differing lengths is no SQL type.
        let counts: Vec<Value> = self
            .cells
            .iter()
            .map(|cell| Value::from(cell.counts.clone()))
            .collect();
        sqlx::query!(
            "INSERT INTO alert_cells (level, source, subject, started, score, counts)
             SELECT level, source, subject, started, score,
                    ARRAY(SELECT item::bigint FROM jsonb_array_elements(counts) WITH ORDINALITY AS each (item, place) ORDER BY place)
               FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::double precision[], $6::jsonb[])
                    AS cell (level, source, subject, started, score, counts)
             ON CONFLICT (level, source, subject, started) DO UPDATE
                SET score = excluded.score, counts = excluded.counts",
            &keys.levels as _,
            &keys.sources as _,
            &keys.subjects as _,
            &started,
            &scores,
            &counts,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Keys by column.
struct Columns<'a> {
    levels: Vec<&'a str>,
    sources: Vec<&'a str>,
    subjects: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(keys: impl IntoIterator<Item = &'a KeptKey>) -> Self {
        let mut columns = Self {
            levels: Vec::new(),
            sources: Vec::new(),
            subjects: Vec::new(),
        };
        for key in keys {
            columns.levels.push(key.level);
            columns.sources.push(&key.source);
            columns.subjects.push(&key.subject);
        }
        columns
    }
}

async fn write_alert(connection: &mut PgConnection, alert: &KeptAlert) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO alerts (id, rule, source, subject, label, direction, started, opened_at, updated_at, resolved_at,
                             normal, share, messages, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (id) DO UPDATE
            SET started = excluded.started, updated_at = excluded.updated_at, resolved_at = excluded.resolved_at,
                normal = excluded.normal, share = excluded.share, messages = excluded.messages, detail = excluded.detail",
        alert.id,
        alert.rule,
        alert.source,
        alert.subject,
        alert.label,
        alert.direction,
        alert.started,
        alert.opened,
        alert.updated,
        alert.resolved,
        alert.normal,
        alert.share,
        alert.messages,
        alert.detail,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An alert as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct PastAlert {
    pub id: String,
    pub opened: DateTime<Utc>,
    pub resolved: Option<DateTime<Utc>>,
    pub acknowledged: Option<DateTime<Utc>>,
    pub acknowledged_by: Option<String>,
    /// The alert as it was last told.
    pub detail: Value,
}

/// A level's name out of a table.
fn level(name: &str) -> &'static str {
    const LEVELS: [&str; 3] = ["source", "subject", "source_subject"];
    LEVELS
        .into_iter()
        .find(|level| *level == name)
        .unwrap_or("overall")
}

/// A name as the tables hold it: what cannot be stored replaced, what is too long cut.
#[must_use]
pub fn kept_name(name: &str) -> String {
    clean::name(name).into_owned()
}

impl Store {
    /// What is learnt of every series.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn alert_series(&self) -> Result<Vec<KeptSeries>, StoreError> {
        let rows =
            sqlx::query!("SELECT level, source, subject, heard_at, payload FROM alert_series")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows
            .into_iter()
            .map(|row| KeptSeries {
                key: KeptKey {
                    level: level(&row.level),
                    source: row.source,
                    subject: row.subject,
                },
                heard: row.heard_at,
                payload: row.payload,
            })
            .collect())
    }

    /// The counts of all steps that are not over yet.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn alert_cells(&self) -> Result<Vec<KeptCell>, StoreError> {
        let rows =
            sqlx::query!("SELECT level, source, subject, started, counts, score FROM alert_cells")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows
            .into_iter()
            .map(|row| KeptCell {
                key: KeptKey {
                    level: level(&row.level),
                    source: row.source,
                    subject: row.subject,
                },
                started: row.started,
                counts: row.counts,
                score: row.score,
            })
            .collect())
    }

    /// Alerts, the latest first, at most `limit`; with `open`, those that are not resolved.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn past_alerts(&self, open: bool, limit: u32) -> Result<Vec<PastAlert>, StoreError> {
        Ok(sqlx::query_as!(
            PastAlert,
            "SELECT id, opened_at AS opened, resolved_at AS resolved, acknowledged_at AS acknowledged, acknowledged_by, detail
               FROM alerts WHERE NOT $1 OR resolved_at IS NULL ORDER BY opened_at DESC, id LIMIT $2",
            open,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Notes that somebody has seen an alert; `false` where there is none of this id.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn acknowledge(&self, id: &str, by: &str) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "UPDATE alerts SET acknowledged_at = coalesce(acknowledged_at, now()), acknowledged_by = coalesce(acknowledged_by, $2)
              WHERE id = $1",
            id,
            &*clean::name(by),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes alerts that were resolved, and notices that have reached everybody, and were recorded before.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn trim_alerts(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM alerts WHERE resolved_at IS NOT NULL AND recorded_at < $1",
            before
        )
        .execute(&self.pool)
        .await?;
        // Nobody delivers to a receiver that was taken out of the config, and some never take anything.
        sqlx::query!(
            "UPDATE deliveries d SET state = 'given_up', ended_at = now()
               FROM notices n WHERE n.number = d.notice AND n.recorded_at < $1 AND d.ended_at IS NULL",
            before
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "DELETE FROM notices n WHERE recorded_at < $1
                AND NOT EXISTS (SELECT FROM deliveries d WHERE d.notice = n.number AND d.ended_at IS NULL)",
            before
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
