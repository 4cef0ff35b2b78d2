//! Writing a chunk: one SQL transaction that replaces every trace of the chunk's messages.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::keys::Keys;
use super::rollups::Deltas;
use super::{Epochs, Store, StoreError, dead_letters, epochs, panes, predictions};
use crate::fault;
use crate::record::{DeadLetter, Origin, Outcome, RawMessage, Scored, ScoredChunk, TopicPartition};

/// How often a chunk is begun anew because partitions were made under it: it needs one of each table.
pub(super) const MAX_REROUTED: u32 = 5;

/// Whose earlier rows to look for before inserting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replace {
    /// Those of messages below what was already written: none, unless the chunk is delivered again.
    Redelivered,
    /// Those of every message.
    All,
}

impl Store {
    /// Writes the outcomes of a chunk in one transaction, in place of whatever an earlier attempt left of its messages.
    ///
    /// `epochs` must hold the current epoch of every partition in the chunk, which is checked under a lock that is held
    /// until the commit. After an error nothing is written, except that a connection lost during the commit leaves it
    /// open; writing the same chunk again is always right.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] where a partition has been claimed by another since: abandon the chunk.
    /// [`StoreError::Unavailable`] where a retry may help.
    pub async fn write_chunk(
        &self,
        chunk: &ScoredChunk,
        epochs: &Epochs,
    ) -> Result<(), StoreError> {
        let model_id = self.model_id(&chunk.model).await?;
        let rows = Rows::of(chunk);
        let mut replace = Replace::Redelivered;
        let mut rerouted = 0;
        loop {
            match self.attempt(chunk, &rows, epochs, model_id, replace).await {
                // Somebody changed the tables by hand (restored a backup, say): look for every row.
                Err(error) if error.is_unique_violation() && replace == Replace::Redelivered => {
                    replace = Replace::All;
                }
                Err(error) if error.is_rerouted() && rerouted < MAX_REROUTED => rerouted += 1,
                result => return result,
            }
        }
    }

    /// Inserts the outcomes of a chunk without looking for earlier ones or for who else writes: only to measure what
    /// [`Store::write_chunk`] costs beside it.
    ///
    /// # Errors
    ///
    /// As [`Store::write_chunk`]; a row that is already there is one.
    pub async fn insert_chunk(&self, chunk: &ScoredChunk) -> Result<(), StoreError> {
        let model_id = self.model_id(&chunk.model).await?;
        let rows = Rows::of(chunk);
        let mut transaction = self.pool.begin().await?;
        self.insert(&mut transaction, chunk, &rows, model_id, Deltas::default())
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn attempt(
        &self,
        chunk: &ScoredChunk,
        rows: &Rows<'_>,
        epochs: &Epochs,
        model_id: i32,
        replace: Replace,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let written = epochs::lock(&mut transaction, &rows.partitions, epochs).await?;
        let mut deltas = Deltas::default();

        let replaced: Keys<'_> = rows
            .raw()
            .filter(|raw| replace == Replace::All || is_written(&written, &raw.origin))
            .collect();
        predictions::delete(&mut transaction, &replaced, &mut deltas).await?;
        dead_letters::delete(&mut transaction, &replaced).await?;
        let redelivered = |partition: &TopicPartition, first: i64| {
            replace == Replace::All || written.get(partition).is_some_and(|&next| first < next)
        };
        panes::replace(&mut transaction, chunk, model_id, redelivered).await?;

        epochs::advance(&mut transaction, &rows.next).await?;
        self.insert(&mut transaction, chunk, rows, model_id, deltas)
            .await?;
        fault::point("rows-written");
        transaction.commit().await?;
        fault::point("rows-committed");
        Ok(())
    }

    /// Inserts the rows and counts them on top of `deltas`.
    pub(super) async fn insert(
        &self,
        connection: &mut PgConnection,
        chunk: &ScoredChunk,
        rows: &Rows<'_>,
        model_id: i32,
        mut deltas: Deltas,
    ) -> Result<(), StoreError> {
        predictions::insert(
            &mut *connection,
            &rows.scored,
            &chunk.model,
            model_id,
            self.text,
        )
        .await?;
        dead_letters::insert(&mut *connection, &rows.dead, self.text).await?;
        for scored in &rows.scored {
            deltas.count(scored, &chunk.model);
        }
        deltas.apply(connection).await
    }
}

fn is_written(written: &BTreeMap<TopicPartition, i64>, origin: &Origin) -> bool {
    written
        .get(&origin.topic_partition())
        .is_some_and(|&next| origin.offset < next)
}

/// A chunk's outcomes by table: each message once (the last outcome counts), ordered by origin.
pub(super) struct Rows<'a> {
    pub scored: Vec<&'a Scored>,
    pub dead: Vec<&'a DeadLetter>,
    /// Every partition that the chunk touches: those with outcomes, and those whose offsets will be committed with it.
    pub partitions: BTreeSet<TopicPartition>,
    /// For each partition, the offset after the last one written.
    next: BTreeMap<TopicPartition, i64>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(chunk: &'a ScoredChunk) -> Self {
        let latest: BTreeMap<&Origin, &Outcome> = chunk
            .outcomes
            .iter()
            .map(|outcome| (&outcome.raw().origin, outcome))
            .collect();
        let mut rows = Self {
            scored: Vec::with_capacity(latest.len()),
            dead: Vec::new(),
            partitions: chunk.offsets.0.keys().cloned().collect(),
            next: BTreeMap::new(),
        };
        for (origin, outcome) in latest {
            match outcome {
                Outcome::Scored(scored) => rows.scored.push(scored),
                Outcome::Dead(letter) => rows.dead.push(letter),
            }
            rows.next
                .insert(origin.topic_partition(), origin.offset + 1);
        }
        rows.partitions.extend(rows.next.keys().cloned());
        rows
    }

    pub(super) fn raw(&self) -> impl Iterator<Item = &'a RawMessage> {
        let scored = self.scored.iter().map(|scored| &scored.message.raw);
        scored.chain(self.dead.iter().map(|letter| &letter.raw))
    }
}
