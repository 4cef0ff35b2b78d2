//! Writing anew what the database has lost, beside a service that runs.
//!
//! All of it concerns messages below the group's committed offset, which no instance ever writes again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::keys::Keys;
use super::rollups::{Deltas, Minute};
use super::write::{MAX_REROUTED, Numbers, Rows};
use super::{Store, StoreError, clean, epochs, shadow};
use crate::record::{Origin, RawMessage, ScoredChunk, TopicPartition};

/// A count per minute that is to be made that of the rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recount {
    pub minute: DateTime<Utc>,
    /// Empty where the messages name none; the subject likewise.
    pub source: String,
    pub subject: String,
    pub label: String,
    /// Whether the count may also fall: every row of the minute is there.
    pub exact: bool,
}

impl Store {
    /// Makes sure that the fence is not behind what Kafka has committed, given the offset after the last committed message of each
    /// partition; returns the partitions where it was.
    ///
    /// It is behind where the database was restored from a backup. Then it gives out numbers for a second time, so that an instance
    /// paused since before might take an epoch for its own: the epoch is raised to one that was never given out (the time in
    /// milliseconds), which makes every instance claim its partitions anew.
    ///
    /// # Errors
    ///
    /// The database does not answer, or refuses.
    pub async fn catch_up(
        &self,
        committed: &BTreeMap<TopicPartition, i64>,
    ) -> Result<Vec<TopicPartition>, StoreError> {
        let (topics, numbers) = epochs::columns(committed.keys());
        let next: Vec<i64> = committed.values().copied().collect();
        let rows = sqlx::query!(
            r#"INSERT INTO partition_epochs AS held (topic, "partition", epoch, next_offset, claimed_by, claimed_at)
               SELECT topic, number, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, next_offset, 'repair', clock_timestamp()
                 FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS wanted (topic, number, next_offset)
               ON CONFLICT (topic, "partition") DO UPDATE
                  SET epoch = greatest(held.epoch + 1, excluded.epoch), next_offset = excluded.next_offset,
                      claimed_by = excluded.claimed_by, claimed_at = excluded.claimed_at
                WHERE held.next_offset < excluded.next_offset
               RETURNING topic, "partition" AS number"#,
            topics as _,
            &numbers,
            &next,
        )
        .fetch_all(&self.pool)
        .await?;
        let behind = rows
            .into_iter()
            .map(|row| epochs::partition(&row.topic, row.number));
        Ok(behind.collect())
    }

    /// Writes these outcomes in place of whatever the database holds of the `held` ones among their messages, under whatever
    /// time, rollups included. The partitions must have been given to [`Store::catch_up`].
    ///
    /// # Errors
    ///
    /// The database does not answer, or refuses; nothing is written then. Writing the same again is always right.
    pub async fn rewrite(
        &self,
        chunk: &ScoredChunk,
        held: &BTreeSet<Origin>,
    ) -> Result<(), StoreError> {
        let rows = Rows::of(chunk);
        let numbers = self.numbers(chunk, &rows).await?;
        let mut all = false;
        let mut rerouted = 0;
        loop {
            let replaced: Keys<'_> = rows
                .raw()
                .filter(|raw: &&RawMessage| all || held.contains(&raw.origin))
                .collect();
            match self.rewrite_once(&rows, &replaced, &numbers).await {
                // Written since they were looked for.
                Err(error) if error.is_unique_violation() && !all => all = true,
                Err(error) if error.is_rerouted() && rerouted < MAX_REROUTED => rerouted += 1,
                result => return result,
            }
        }
    }

    async fn rewrite_once(
        &self,
        rows: &Rows<'_>,
        replaced: &Keys<'_>,
        numbers: &Numbers,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        epochs::hold(&mut transaction, &rows.partitions).await?;
        let mut deltas = Deltas::default();
        delete(&mut transaction, replaced, &mut deltas).await?;
        // What stands beside a row that was another one is not what was served.
        shadow::delete(&mut transaction, replaced).await?;
        self.insert(&mut transaction, rows, numbers, deltas).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Makes counts per minute those of the rows, and returns how many it changed.
    ///
    /// # Errors
    ///
    /// The database does not answer, or refuses; nothing is changed then.
    pub async fn recount(&self, minutes: &[Recount]) -> Result<u64, StoreError> {
        let start: Vec<DateTime<Utc>> = minutes.iter().map(|key| key.minute).collect();
        let source: Vec<&str> = minutes.iter().map(|key| &*key.source).collect();
        let subject: Vec<&str> = minutes.iter().map(|key| &*key.subject).collect();
        let label: Vec<&str> = minutes.iter().map(|key| &*key.label).collect();
        let exact: Vec<bool> = minutes.iter().map(|key| key.exact).collect();
        let mut transaction = self.pool.begin().await?;
        // Every chunk is written under a lock on this table's rows: none is under way once we have this one, and none begins.
        sqlx::query!("LOCK TABLE partition_epochs IN EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await?;
        let changed = sqlx::query_scalar!(
            r#"WITH wanted AS (
                   SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::boolean[])
                          AS wanted (minute, source, subject, label, exact)),
               counted AS (
                   SELECT start.minute, coalesce(row.source, '') AS source, coalesce(row.subject, '') AS subject, row.label,
                          count(*) AS messages
                     FROM (SELECT DISTINCT minute FROM wanted) start
                     JOIN predictions row
                       ON row.event_time >= start.minute AND row.event_time < start.minute + interval '1 minute'
                    GROUP BY 1, 2, 3, 4),
               gone AS (
                   DELETE FROM sentiment_minute held USING wanted
                    WHERE held.minute = wanted.minute AND held.source = wanted.source
                      AND held.subject = wanted.subject AND held.label = wanted.label AND wanted.exact
                      AND NOT EXISTS (SELECT FROM counted
                                       WHERE counted.minute = wanted.minute AND counted.source = wanted.source
                                         AND counted.subject = wanted.subject AND counted.label = wanted.label)
                   RETURNING 1),
               set AS (
                   INSERT INTO sentiment_minute AS held (minute, source, subject, label, messages)
                   SELECT minute, source, subject, label, messages FROM counted JOIN wanted USING (minute, source, subject, label)
                    ORDER BY 1, 2, 3, 4
                   ON CONFLICT (minute, source, subject, label) DO UPDATE
                      SET messages = excluded.messages, updated_at = excluded.updated_at
                    WHERE held.messages < excluded.messages
                       OR (held.messages > excluded.messages
                           AND EXISTS (SELECT FROM wanted
                                        WHERE wanted.minute = held.minute AND wanted.source = held.source
                                          AND wanted.subject = held.subject AND wanted.label = held.label AND wanted.exact))
                   RETURNING 1)
               SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM set) AS "changed!""#,
            &start,
            &source as _,
            &subject as _,
            &label as _,
            &exact,
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(changed.unsigned_abs())
    }
}

/// Removes all rows of these messages, under whatever time, and takes what they had contributed out of `deltas`.
async fn delete(
    connection: &mut PgConnection,
    keys: &Keys<'_>,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    if keys.topic.is_empty() {
        return Ok(());
    }
    let gone = sqlx::query!(
        r#"DELETE FROM predictions held
            USING unnest($1::text[], $2::integer[], $3::bigint[]) AS key (topic, number, position)
            WHERE held.topic = key.topic AND held."partition" = key.number AND held."offset" = key.position
           RETURNING held.event_time, coalesce(held.source, '') AS "source!", coalesce(held.subject, '') AS "subject!", held.label"#,
        keys.topic as _,
        &keys.partition,
        &keys.offset,
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in gone {
        let minute = Minute {
            start: clean::minute(row.event_time),
            source: row.source,
            subject: row.subject,
            label: row.label,
        };
        deltas.add(minute, -1);
    }
    sqlx::query!(
        r#"DELETE FROM dead_letters held
            USING unnest($1::text[], $2::integer[], $3::bigint[]) AS key (topic, number, position)
            WHERE held.topic = key.topic AND held."partition" = key.number AND held."offset" = key.position"#,
        keys.topic as _,
        &keys.partition,
        &keys.offset,
    )
    .execute(connection)
    .await?;
    Ok(())
}
