//! The fence: who may write a partition's outcomes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sqlx::PgConnection;

use super::{Store, StoreError, clean};
use crate::record::TopicPartition;

/// The epochs that an instance holds: for each partition the number it was given when it claimed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Epochs(pub BTreeMap<TopicPartition, i64>);

impl Store {
    /// Raises the epoch of each partition and returns the new ones.
    ///
    /// It waits for a chunk of these partitions that is being written at this moment; from its return on, whoever
    /// claimed any of them before is fenced.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] where a retry may help; claiming again is always safe.
    pub async fn claim(
        &self,
        instance: &str,
        partitions: &[TopicPartition],
    ) -> Result<Epochs, StoreError> {
        // In one order everywhere, so that two claims never wait for each other in a circle.
        let wanted: BTreeSet<&TopicPartition> = partitions.iter().collect();
        let (topics, numbers) = columns(wanted);
        let rows = sqlx::query!(
            r#"INSERT INTO partition_epochs AS held (topic, "partition", epoch, claimed_by, claimed_at)
               SELECT topic, number, 1, $3, clock_timestamp()
                 FROM unnest($1::text[], $2::integer[]) AS wanted (topic, number)
               ON CONFLICT (topic, "partition") DO UPDATE
                  SET epoch = held.epoch + 1, claimed_by = excluded.claimed_by, claimed_at = excluded.claimed_at
               RETURNING topic, "partition" AS number, epoch"#,
            topics as _,
            &numbers,
            &*clean::name(instance),
        )
        .fetch_all(&self.pool)
        .await?;
        let epochs = rows
            .into_iter()
            .map(|row| (partition(&row.topic, row.number), row.epoch));
        Ok(Epochs(epochs.collect()))
    }

    /// Whether the epochs of `partitions` are still the current ones: asked between taking offsets into a Kafka
    /// transaction and committing it.
    ///
    /// A claim that this does not see yet reads the offsets after it, and so waits for the transaction.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] where one has been claimed since, [`StoreError::Unavailable`] where asking again may help.
    pub async fn confirm(
        &self,
        partitions: impl IntoIterator<Item = &TopicPartition>,
        epochs: &Epochs,
    ) -> Result<(), StoreError> {
        let wanted: BTreeSet<&TopicPartition> = partitions.into_iter().collect();
        let (topics, numbers) = columns(wanted.iter().copied());
        let rows = sqlx::query!(
            r#"SELECT held.topic, held."partition" AS number, held.epoch
                 FROM partition_epochs held
                 JOIN unnest($1::text[], $2::integer[]) AS wanted (topic, number)
                   ON held.topic = wanted.topic AND held."partition" = wanted.number"#,
            topics as _,
            &numbers,
        )
        .fetch_all(&self.pool)
        .await?;
        let current: BTreeMap<TopicPartition, i64> = rows
            .into_iter()
            .map(|row| (partition(&row.topic, row.number), row.epoch))
            .collect();
        compare(wanted, epochs, |partition| current.get(partition).copied())
    }
}

/// Refuses partitions whose held epoch is not the current one.
fn compare<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
    epochs: &Epochs,
    current: impl Fn(&TopicPartition) -> Option<i64>,
) -> Result<(), StoreError> {
    for wanted in partitions {
        let held = epochs.0.get(wanted).copied();
        let epoch = current(wanted);
        if held.is_none() || held != epoch {
            return Err(StoreError::Fenced {
                partition: wanted.clone(),
                held,
                current: epoch,
            });
        }
    }
    Ok(())
}

/// Locks the rows of `partitions` until the transaction ends, checks that they still hold `epochs`, and returns the
/// `next_offset` of each.
pub(super) async fn lock(
    connection: &mut PgConnection,
    partitions: &BTreeSet<TopicPartition>,
    epochs: &Epochs,
) -> Result<BTreeMap<TopicPartition, i64>, StoreError> {
    let current = hold(connection, partitions).await?;
    compare(partitions, epochs, |partition| {
        current.get(partition).map(|&(epoch, _)| epoch)
    })?;
    Ok(current
        .into_iter()
        .map(|(partition, (_, next))| (partition, next))
        .collect())
}

/// Locks the rows of `partitions` until the transaction ends, whoever claimed them; the epoch and the `next_offset` of each.
///
/// The lock is exclusive, not shared: the first attempt at a chunk, given up by a client that lost its connection, may
/// still be running on the server, and its retry must wait for it and see what it wrote. For the same reason the lock
/// is a statement of its own: a statement does not see what was committed while it waited.
pub(super) async fn hold(
    connection: &mut PgConnection,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<BTreeMap<TopicPartition, (i64, i64)>, StoreError> {
    let (topics, numbers) = columns(partitions);
    let rows = sqlx::query!(
        r#"SELECT held.topic, held."partition" AS number, held.epoch, held.next_offset
             FROM partition_epochs held
             JOIN unnest($1::text[], $2::integer[]) AS wanted (topic, number)
               ON held.topic = wanted.topic AND held."partition" = wanted.number
            ORDER BY held.topic COLLATE "C", held."partition"
              FOR UPDATE OF held"#,
        topics as _,
        &numbers,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (
                partition(&row.topic, row.number),
                (row.epoch, row.next_offset),
            )
        })
        .collect())
}

/// Records that offsets below `next` have been written; call it under [`lock`].
pub(super) async fn advance(
    connection: &mut PgConnection,
    next: &BTreeMap<TopicPartition, i64>,
) -> Result<(), StoreError> {
    let (topics, numbers) = columns(next.keys());
    let offsets: Vec<i64> = next.values().copied().collect();
    sqlx::query!(
        r#"UPDATE partition_epochs held SET next_offset = written.next_offset
             FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS written (topic, number, next_offset)
            WHERE held.topic = written.topic AND held."partition" = written.number
              AND held.next_offset < written.next_offset"#,
        topics as _,
        &numbers,
        &offsets,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn columns<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> (Vec<&'a str>, Vec<i32>) {
    partitions
        .into_iter()
        .map(|partition| (&*partition.topic, partition.partition))
        .unzip()
}

pub(super) fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: Arc::from(topic),
        partition,
    }
}
