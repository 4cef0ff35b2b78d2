//! Panes: what chunks leave for the watch over the feed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use sqlx::PgConnection;

use super::epochs::{columns, partition};
use super::write::Numbers;
use super::{Store, StoreError};
use crate::record::{Origin, ScoredChunk, TopicPartition};

/// A pane as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPane {
    pub partition: TopicPartition,
    pub offsets: Range<i64>,
    /// The number of the model that scored it.
    pub model: i32,
    pub payload: Vec<u8>,
}

/// Which pane it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PaneKey {
    pub partition: TopicPartition,
    /// The first offset that the chunk covers there.
    pub first: i64,
    /// The number of the model.
    pub model: i32,
}

/// A pane as the tables hold it.
struct Row {
    topic: String,
    number: i32,
    first_offset: i64,
    next_offset: i64,
    model: i32,
    payload: Vec<u8>,
}

impl From<Row> for KeptPane {
    fn from(row: Row) -> Self {
        Self {
            partition: partition(&row.topic, row.number),
            offsets: row.first_offset..row.next_offset,
            model: row.model,
            payload: row.payload,
        }
    }
}

impl KeptPane {
    /// Which one it is.
    #[must_use]
    pub fn key(&self) -> PaneKey {
        PaneKey {
            partition: self.partition.clone(),
            first: self.offsets.start,
            model: self.model,
        }
    }

    /// Where its message with this offset stands.
    #[must_use]
    pub fn origin(&self, offset: i64) -> Origin {
        Origin {
            topic: Arc::clone(&self.partition.topic),
            partition: self.partition.partition,
            offset,
        }
    }
}

impl Store {
    /// The panes that were counted while messages of theirs were in no closed window.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn held_panes(&self) -> Result<Vec<KeptPane>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT topic, "partition" AS number, first_offset, next_offset, model, payload
                 FROM drift_held ORDER BY topic, "partition", first_offset"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(KeptPane::from).collect())
    }

    /// How many panes have not been counted.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn uncounted_panes(&self) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM drift_panes"#)
                .fetch_one(&self.pool)
                .await?,
        )
    }

    /// For each partition of these topics, the offset below which everything is written, committed or not.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn written_offsets(
        &self,
        topics: &[String],
    ) -> Result<Vec<(TopicPartition, Option<i64>)>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT topic, "partition" AS number, next_offset FROM partition_epochs WHERE topic = ANY($1)"#,
            topics,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (partition(&row.topic, row.number), Some(row.next_offset)))
            .collect())
    }
}

/// Puts the chunk's panes in place of whatever an earlier attempt left at or above its offsets.
///
/// Chunks follow each other without a gap and begin at a committed offset, so what lies above the beginning of one is never
/// committed. Only where `redelivered` says that something was written there may there be any. Call it under the lock on the
/// partitions' epochs.
pub(super) async fn replace(
    connection: &mut PgConnection,
    chunk: &ScoredChunk,
    numbers: &Numbers,
    redelivered: impl Fn(&TopicPartition, i64) -> bool,
) -> Result<(), StoreError> {
    let again: BTreeMap<&TopicPartition, i64> = chunk
        .offsets
        .0
        .iter()
        .map(|(partition, range)| (partition, range.start))
        .filter(|(partition, first)| redelivered(partition, *first))
        .collect();
    if !again.is_empty() {
        delete_above(&mut *connection, &again).await?;
    }
    if chunk.panes.is_empty() {
        return Ok(());
    }
    let (topics, partitions) = columns(chunk.panes.iter().map(|pane| &pane.partition));
    let first: Vec<i64> = chunk.panes.iter().map(|pane| pane.offsets.start).collect();
    let next: Vec<i64> = chunk.panes.iter().map(|pane| pane.offsets.end).collect();
    let models: Vec<i32> = chunk
        .panes
        .iter()
        .map(|pane| numbers.of(&pane.model))
        .collect();
    let payload: Vec<&[u8]> = chunk.panes.iter().map(|pane| &*pane.payload).collect();
    sqlx::query!(
        r#"INSERT INTO drift_panes (topic, "partition", first_offset, next_offset, model, payload)
           SELECT topic, number, first_offset, next_offset, model, payload
             FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::integer[], $6::bytea[])
                  AS made (topic, number, first_offset, next_offset, model, payload)"#,
        topics as _,
        &partitions,
        &first,
        &next,
        &models,
        &payload as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete_above(
    connection: &mut PgConnection,
    beginnings: &BTreeMap<&TopicPartition, i64>,
) -> Result<(), StoreError> {
    let (topics, numbers) = columns(beginnings.keys().copied());
    let first: Vec<i64> = beginnings.values().copied().collect();
    sqlx::query!(
        r#"DELETE FROM drift_panes pane
            USING unnest($1::text[], $2::integer[], $3::bigint[]) AS begun (topic, number, first_offset)
            WHERE pane.topic = begun.topic AND pane."partition" = begun.number
              AND pane.next_offset > begun.first_offset"#,
        topics as _,
        &numbers,
        &first,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The earliest panes that are wholly below `committed`, at most `limit` and those that begin at the same offset as the last: so
/// the panes of a chunk in a partition are read together.
pub(super) async fn below(
    connection: &mut PgConnection,
    committed: &[(TopicPartition, i64)],
    limit: i64,
) -> Result<Vec<KeptPane>, StoreError> {
    let (topics, numbers) = columns(committed.iter().map(|(partition, _)| partition));
    let offsets: Vec<i64> = committed.iter().map(|(_, offset)| *offset).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT pane.topic, pane."partition" AS number, pane.first_offset, pane.next_offset, pane.model, pane.payload
             FROM drift_panes pane
             JOIN unnest($1::text[], $2::integer[], $3::bigint[]) AS done (topic, number, committed)
               ON pane.topic = done.topic AND pane."partition" = done.number
              AND pane.next_offset <= done.committed
            ORDER BY pane.first_offset
            FETCH FIRST ($4) ROWS WITH TIES"#,
        topics as _,
        &numbers,
        &offsets,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(KeptPane::from).collect())
}

/// Removes panes that have been counted, but keeps those of `held`.
pub(super) async fn count(
    connection: &mut PgConnection,
    counted: &[KeptPane],
    held: &BTreeSet<PaneKey>,
) -> Result<(), StoreError> {
    if counted.is_empty() {
        return Ok(());
    }
    let (topics, numbers) = columns(counted.iter().map(|pane| &pane.partition));
    let first: Vec<i64> = counted.iter().map(|pane| pane.offsets.start).collect();
    let kept: Vec<bool> = counted
        .iter()
        .map(|pane| held.contains(&pane.key()))
        .collect();
    let models: Vec<i32> = counted.iter().map(|pane| pane.model).collect();
    // A place is held already only where offsets were set back by hand, and what is held was counted.
    sqlx::query!(
        r#"WITH taken AS (
               DELETE FROM drift_panes pane
                USING unnest($1::text[], $2::integer[], $3::bigint[], $4::boolean[], $5::integer[])
                      AS counted (topic, number, first_offset, kept, model)
                WHERE pane.topic = counted.topic AND pane."partition" = counted.number
                  AND pane.first_offset = counted.first_offset AND pane.model = counted.model
               RETURNING pane.first_offset, pane.next_offset, pane."partition", pane.model, pane.topic, pane.payload, counted.kept)
           INSERT INTO drift_held (first_offset, next_offset, "partition", model, topic, payload)
           SELECT first_offset, next_offset, "partition", model, topic, payload FROM taken WHERE kept
           ON CONFLICT DO NOTHING"#,
        &topics as _,
        &numbers,
        &first,
        &kept,
        &models,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes held panes.
pub(super) async fn let_go(
    connection: &mut PgConnection,
    over: &[PaneKey],
) -> Result<(), StoreError> {
    if over.is_empty() {
        return Ok(());
    }
    let (topics, numbers) = columns(over.iter().map(|key| &key.partition));
    let first: Vec<i64> = over.iter().map(|key| key.first).collect();
    let models: Vec<i32> = over.iter().map(|key| key.model).collect();
    sqlx::query!(
        r#"DELETE FROM drift_held pane
            USING unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[]) AS closed (topic, number, first_offset, model)
            WHERE pane.topic = closed.topic AND pane."partition" = closed.number
              AND pane.first_offset = closed.first_offset AND pane.model = closed.model"#,
        topics as _,
        &numbers,
        &first,
        &models,
    )
    .execute(connection)
    .await?;
    Ok(())
}
