//! Whether the counts per minute are those of the rows.
//!
//! Counts are kept far longer than rows, and say nothing of when they began, so a count above that of the rows is a fault only
//! where no row of its minute can have gone: in every minute, where nothing has gone at all yet; else in the minutes that are
//! younger than the oldest kept day, on the understanding that nothing arrives more than a day before it happened. A count below
//! that of its rows is a fault in any minute, unless retention may have taken the count.

use chrono::{DateTime, Days, Utc};
use futures::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::age::Retention;
use super::book::Book;
use super::error::VerifyError;
use super::judge::Counts;
use super::postgres::Snapshot;
use crate::store::config::StoreConfig;

/// A count that is not that of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscount {
    pub minute: DateTime<Utc>,
    pub source: String,
    pub subject: String,
    pub label: String,
    /// What `sentiment_minute` says; 0 where it says nothing.
    pub held: i64,
    /// How many rows there are.
    pub counted: i64,
    /// Whether no row of the minute can have gone.
    pub exact: bool,
}

/// How a count may be judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Minutes from here on are exact.
    exact_from: DateTime<Utc>,
    /// Whether all are.
    exact: bool,
    /// Counts that were changed last before this may be gone.
    counts_since: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl Bounds {
    pub(super) fn new(
        config: &StoreConfig,
        retention: &Retention,
        now: DateTime<Utc>,
        nothing_gone: bool,
    ) -> Self {
        Self {
            exact_from: retention.kept_from(),
            exact: nothing_gone,
            counts_since: now - Days::new(config.rollup_retention_days.into()),
            now,
        }
    }
}

/// Both sides of every count that differs; `$1` to `$4` are the [`Bounds`]. The first part says which rows and counts are
/// looked at.
macro_rules! differing {
    ($looked_at:literal) => {
        concat!(
            "WITH ",
            $looked_at,
            ", counted AS (
                 SELECT date_trunc('minute', event_time, 'UTC') AS minute, coalesce(source, '') AS source,
                        coalesce(subject, '') AS subject, label, count(*) AS messages, min(scored_at) AS first_scored
                   FROM rows GROUP BY 1, 2, 3, 4),
             both_sides AS (
                 SELECT minute, source, subject, label, coalesce(held.messages, 0) AS held,
                        coalesce(counted.messages, 0) AS counted, first_scored,
                        $1 OR (minute >= $2 AND minute <= $3) AS exact
                   FROM counted FULL JOIN held USING (minute, source, subject, label))
             SELECT minute, source, subject, label, held, counted, exact
               FROM both_sides
              WHERE (held > counted AND exact)
                 OR (held < counted AND NOT ((minute < $4 OR minute > $3) AND first_scored < $4))
              ORDER BY 1, 2, 3, 4"
        )
    };
}

const ALL: &str = differing!(
    "rows AS (SELECT event_time, source, subject, label, scored_at FROM predictions),
     held AS (SELECT minute, source, subject, label, messages FROM sentiment_minute)"
);

/// The minutes that hold a row of these spans.
const WITHIN: &str = differing!(
    r#"touched AS MATERIALIZED (
           SELECT DISTINCT date_trunc('minute', event_time, 'UTC') AS minute
             FROM unnest($5::text[], $6::integer[], $7::bigint[], $8::bigint[]) AS span (topic, number, first, after)
             JOIN predictions row ON row.topic = span.topic AND row."partition" = span.number
                                 AND row."offset" >= span.first AND row."offset" < span.after),
       rows AS (
           SELECT row.event_time, row.source, row.subject, row.label, row.scored_at
             FROM touched JOIN predictions row
               ON row.event_time >= touched.minute AND row.event_time < touched.minute + interval '1 minute'),
       held AS (SELECT minute, source, subject, label, messages FROM touched JOIN sentiment_minute USING (minute))"#
);

impl Snapshot {
    /// Whether every row is there that was ever written: the database is younger than what it keeps, each of its partitions is
    /// looked at from its first message on, and no row is missing for its age.
    pub(super) async fn nothing_gone(
        &mut self,
        book: &Book,
        retention: &Retention,
        counts: &Counts,
    ) -> Result<bool, VerifyError> {
        let failed = || VerifyError::postgres("the partitions cannot be read");
        let rows = sqlx::query(r#"SELECT topic, "partition" FROM partition_epochs"#)
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed())?;
        for row in rows {
            let topic: &str = row.try_get(0).map_err(failed())?;
            let partition = book.partition(topic, row.try_get(1).map_err(failed())?);
            if !partition.is_some_and(|partition| partition.whole) {
                return Ok(false);
            }
        }
        let young = self
            .models
            .values()
            .all(|model| retention.keeps_written(model.first_seen));
        Ok(young && counts.rows_gone == 0)
    }

    /// Hands over every count that is a fault, by minute.
    pub(super) async fn miscounts<E: From<VerifyError>>(
        &mut self,
        book: &Book,
        bounds: &Bounds,
        ranged: bool,
        mut each: impl AsyncFnMut(Miscount) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = || VerifyError::postgres("the counts per minute cannot be read");
        let spans: Vec<_> = book.partitions().collect();
        let topics: Vec<&str> = spans.iter().map(|(topic, _)| &***topic).collect();
        let numbers: Vec<i32> = spans.iter().map(|(_, span)| span.number).collect();
        let firsts: Vec<i64> = spans.iter().map(|(_, span)| span.range.start).collect();
        let ends: Vec<i64> = spans.iter().map(|(_, span)| span.range.end).collect();
        let query = sqlx::query(if ranged { WITHIN } else { ALL })
            .bind(bounds.exact)
            .bind(bounds.exact_from)
            .bind(bounds.now)
            .bind(bounds.counts_since);
        let query = if ranged {
            query.bind(topics).bind(numbers).bind(firsts).bind(ends)
        } else {
            query
        };
        let mut rows = query.fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await.map_err(failed())? {
            each(miscount(&row).map_err(failed())?).await?;
        }
        Ok(())
    }
}

fn miscount(row: &PgRow) -> Result<Miscount, sqlx::Error> {
    Ok(Miscount {
        minute: row.try_get(0)?,
        source: row.try_get(1)?,
        subject: row.try_get(2)?,
        label: row.try_get(3)?,
        held: row.try_get(4)?,
        counted: row.try_get(5)?,
        exact: row.try_get(6)?,
    })
}
