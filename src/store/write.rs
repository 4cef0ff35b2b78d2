//! Writing a chunk: one SQL transaction that replaces every trace of the chunk's messages.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::keys::Keys;
use super::rollups::Deltas;
use super::{Epochs, Store, StoreError, dead_letters, epochs, panes, predictions, shadow};
use crate::fault;
use crate::record::{
    DeadLetter, ModelVersion, Origin, Outcome, RawMessage, Scored, ScoredChunk, TopicPartition,
};

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
        let rows = Rows::of(chunk);
        let numbers = self.numbers(chunk, &rows).await?;
        let mut replace = Replace::Redelivered;
        let mut rerouted = 0;
        loop {
            match self.attempt(chunk, &rows, epochs, &numbers, replace).await {
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
        let rows = Rows::of(chunk);
        let numbers = self.numbers(chunk, &rows).await?;
        let mut transaction = self.pool.begin().await?;
        self.insert(&mut transaction, &rows, &numbers, Deltas::default())
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn attempt(
        &self,
        chunk: &ScoredChunk,
        rows: &Rows<'_>,
        epochs: &Epochs,
        numbers: &Numbers,
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
        shadow::delete(&mut transaction, &replaced).await?;
        let redelivered = |partition: &TopicPartition, first: i64| {
            replace == Replace::All || written.get(partition).is_some_and(|&next| first < next)
        };
        panes::replace(&mut transaction, chunk, numbers, redelivered).await?;

        epochs::advance(&mut transaction, &rows.next).await?;
        self.insert(&mut transaction, rows, numbers, deltas).await?;
        fault::point("rows-written");
        transaction.commit().await?;
        fault::point("rows-committed");
        Ok(())
    }

    /// Inserts the rows and counts them on top of `deltas`.
    pub(super) async fn insert(
        &self,
        connection: &mut PgConnection,
        rows: &Rows<'_>,
        numbers: &Numbers,
        mut deltas: Deltas,
    ) -> Result<(), StoreError> {
        for (model, scored) in rows.by_model() {
            let number = numbers.of(model);
            predictions::insert(&mut *connection, &scored, model, number, self.text).await?;
        }
        shadow::insert(&mut *connection, &rows.scored, numbers).await?;
        dead_letters::insert(&mut *connection, &rows.dead, self.text).await?;
        for scored in &rows.scored {
            deltas.count(scored);
        }
        deltas.apply(connection).await
    }

    /// The numbers of all models that a chunk names, asked for before its transaction.
    pub(super) async fn numbers(
        &self,
        chunk: &ScoredChunk,
        rows: &Rows<'_>,
    ) -> Result<Numbers, StoreError> {
        let scored = rows.scored.iter();
        let said = scored.flat_map(|scored| {
            let shadow = scored.shadow.as_ref().map(|shadow| &shadow.model);
            [Some(&scored.model), shadow].into_iter().flatten()
        });
        let mut numbers = Numbers::default();
        for model in said.chain(chunk.panes.iter().map(|pane| &pane.model)) {
            if numbers.0.contains_key(&model.version) {
                continue;
            }
            let number = self.model_id(model).await?;
            numbers.0.insert(model.version.clone(), number);
        }
        Ok(numbers)
    }
}

/// The numbers of models by their versions.
#[derive(Debug, Default)]
pub(super) struct Numbers(BTreeMap<String, i32>);

impl Numbers {
    /// The number of a model that was asked for.
    pub(super) fn of(&self, model: &ModelVersion) -> i32 {
        self.0.get(&model.version).copied().unwrap_or_default()
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

    /// The scored ones by the model that has scored them.
    fn by_model(&self) -> Vec<(&'a ModelVersion, Vec<&'a Scored>)> {
        let mut models: Vec<(&ModelVersion, Vec<&Scored>)> = Vec::new();
        for &scored in &self.scored {
            let model = &*scored.model;
            match models
                .iter_mut()
                .find(|(known, _)| known.version == model.version)
            {
                Some((_, rows)) => rows.push(scored),
                None => models.push((model, vec![scored])),
            }
        }
        models
    }

    pub(super) fn raw(&self) -> impl Iterator<Item = &'a RawMessage> {
        let scored = self.scored.iter().map(|scored| &scored.message.raw);
        scored.chain(self.dead.iter().map(|letter| &letter.raw))
    }
}
