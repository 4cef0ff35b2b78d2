//! Keeping the tables within their window: partitions made ahead, old rows removed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::partitions::{self, PARTITIONED};
use super::{Store, StoreError};

/// How often to look.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// How long to wait after a failure; twice as long after each further one.
const RETRY: Duration = Duration::from_secs(60);

/// Rows removed by one statement, so that none holds its locks for long.
const BATCH: i64 = 10_000;

/// What [`Store::maintain`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Maintained {
    pub partitions_made: u64,
    pub partitions_dropped: u64,
    /// Rows removed from the default partitions.
    pub rows_removed: u64,
    /// Counts per minute removed.
    pub minutes_removed: u64,
    /// Answers removed that were given in shadow.
    pub shadow_removed: u64,
}

impl Store {
    /// Makes a partition for each day of the kept window and those ahead, drops older ones, and removes what else is
    /// older than its retention.
    ///
    /// Any instance may call it at any time: only one at a time changes the tables, and each sees what was done before.
    /// Only days of the window ever get a partition, so that a wild timestamp makes no table; all else stays in the
    /// default partition, whose rows go by when they were written.
    ///
    /// # Errors
    ///
    /// The first failure, after everything else has been tried. Calling it again is always safe.
    pub async fn maintain(&self, now: DateTime<Utc>) -> Result<Maintained, StoreError> {
        let mut done = Maintained::default();
        let mut failed = None;
        for table in PARTITIONED {
            failed = failed.or(self.make_partitions(table, now, &mut done).await.err());
        }
        for table in PARTITIONED {
            failed = failed.or(self.drop_partitions(table, now, &mut done).await.err());
        }
        for table in [Table::Predictions, Table::DeadLetters, Table::Minutes] {
            match self.trim(table, now).await {
                Ok(rows) => match table {
                    Table::Minutes => done.minutes_removed += rows,
                    _ => done.rows_removed += rows,
                },
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match self.trim_shadow(now - self.window.retention).await {
            Ok(rows) => done.shadow_removed += rows,
            Err(error) => failed = failed.or(Some(error)),
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }

    /// Calls [`Store::maintain`] now and every hour until `stop`. Failures are logged and tried again, first after a minute.
    pub async fn maintain_forever(&self, stop: CancellationToken) {
        let work = async {
            let mut retry = RETRY;
            loop {
                let pause = match self.maintain(Utc::now()).await {
                    Ok(done) => {
                        if done != Maintained::default() {
                            tracing::info!(?done, "the tables have been brought into their window");
                        }
                        retry = RETRY;
                        EVERY
                    }
                    Err(error) => {
                        tracing::warn!(
                            %error,
                            retry_seconds = retry.as_secs(),
                            "the tables could not be brought into their window"
                        );
                        let pause = retry;
                        retry = EVERY.min(retry * 2);
                        pause
                    }
                };
                tokio::time::sleep(pause).await;
            }
        };
        stop.run_until_cancelled(work).await;
    }

    async fn make_partitions(
        &self,
        table: &str,
        now: DateTime<Utc>,
        done: &mut Maintained,
    ) -> Result<(), StoreError> {
        let existing = partitions::existing(&mut *self.pool.acquire().await?, table).await?;
        // The latest day first: what is being written now comes before what may yet be replayed.
        for day in self.window.days(now).rev() {
            if existing.missing(day) && self.make_partition(table, day).await? {
                done.partitions_made += 1;
            }
        }
        Ok(())
    }

    async fn drop_partitions(
        &self,
        table: &str,
        now: DateTime<Utc>,
        done: &mut Maintained,
    ) -> Result<(), StoreError> {
        let existing = partitions::existing(&mut *self.pool.acquire().await?, table).await?;
        let first = self.window.first_day(now);
        for &day in existing.attached.range(..first) {
            if self.drop_partition(table, day).await? {
                done.partitions_dropped += 1;
            }
        }
        Ok(())
    }

    /// Removes rows that are too old in small transactions, passing over those that somebody else has locked.
    async fn trim(&self, table: Table, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let gone = self.trim_batch(table, now).await?;
            removed += gone;
            if gone < BATCH.unsigned_abs() {
                return Ok(removed);
            }
        }
    }

    async fn trim_batch(&self, table: Table, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let before = now - self.window.retention;
        let minutes_before = now - self.window.rollup_retention;
        let statement = match table {
            // The time of a row in a default partition says nothing: it goes by when it was written.
            Table::Predictions => sqlx::query!(
                "DELETE FROM predictions_default WHERE ctid = ANY (ARRAY (
                     SELECT ctid FROM predictions_default WHERE scored_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
                before,
                BATCH,
            ),
            Table::DeadLetters => sqlx::query!(
                "DELETE FROM dead_letters_default WHERE ctid = ANY (ARRAY (
                     SELECT ctid FROM dead_letters_default WHERE dead_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
                before,
                BATCH,
            ),
            // By the minute first, which the primary key finds; one that still lies in the future is kept no longer.
            Table::Minutes => sqlx::query!(
                "DELETE FROM sentiment_minute WHERE ctid = ANY (ARRAY (
                     SELECT ctid FROM sentiment_minute
                      WHERE (minute < $1 OR minute > $2) AND updated_at < $1
                      LIMIT $3 FOR UPDATE SKIP LOCKED))",
                minutes_before,
                now,
                BATCH,
            ),
        };
        Ok(statement.execute(&self.pool).await?.rows_affected())
    }
}

/// From where single rows are removed.
#[derive(Debug, Clone, Copy)]
enum Table {
    Predictions,
    DeadLetters,
    Minutes,
}
