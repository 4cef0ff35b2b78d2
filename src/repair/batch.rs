//! Outcomes on their way to the tables: written together by model, since a transaction writes those of one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;

use super::error::RepairError;
use super::rebuild::{Rebuilt, reorder};
use crate::record::{Assignment, ModelVersion, Offsets, Origin, Outcome, Problem, ScoredChunk};
use crate::store::Store;

/// Most outcomes of one transaction, and about the most bytes.
const OUTCOMES: usize = 1_000;
const BYTES: usize = 8 << 20;

/// Outcomes by model; those of none are dead letters.
pub(super) struct Batches<'a> {
    store: &'a Store,
    runtime: &'a Handle,
    known: Option<&'a ModelVersion>,
    by_model: HashMap<Option<String>, Batch>,
    written: u64,
}

struct Batch {
    model: Arc<ModelVersion>,
    outcomes: Vec<Outcome>,
    held: BTreeSet<Origin>,
    bytes: usize,
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        store: &'a Store,
        runtime: &'a Handle,
        known: Option<&'a ModelVersion>,
    ) -> Self {
        Self {
            store,
            runtime,
            known,
            by_model: HashMap::new(),
            written: 0,
        }
    }

    /// Takes an outcome, in place of rows if the message is `held`; the inner error says in words why it cannot be written.
    pub(super) fn add(
        &mut self,
        rebuilt: Rebuilt,
        held: bool,
    ) -> Result<Result<(), String>, RepairError> {
        let Rebuilt { mut outcome, model } = rebuilt;
        let key = model.as_ref().map(|model| model.version.clone());
        if !self.by_model.contains_key(&key) {
            let model = self.model(model.clone())?;
            self.by_model.insert(key.clone(), Batch::new(model));
        }
        let Some(batch) = self.by_model.get_mut(&key) else {
            return Ok(Ok(()));
        };
        if let (Outcome::Scored(scored), Some(mut model)) = (&mut outcome, model)
            && model.labels != batch.model.labels
            && !reorder(scored, &mut model.labels, &batch.model.labels)
        {
            return Ok(Err(format!(
                "its labels are {:?}, and the database has {:?} for its model",
                model.labels, batch.model.labels
            )));
        }
        let raw = outcome.raw();
        batch.bytes += raw.payload.as_ref().map_or(0, bytes::Bytes::len);
        if held {
            batch.held.insert(raw.origin.clone());
        }
        batch.outcomes.push(outcome);
        if batch.outcomes.len() >= OUTCOMES || batch.bytes >= BYTES {
            self.written += batch.write(self.store, self.runtime)?;
        }
        Ok(Ok(()))
    }

    /// Writes what is left, and returns how many were written in all.
    pub(super) fn finish(mut self) -> Result<u64, RepairError> {
        for batch in self.by_model.values_mut() {
            self.written += batch.write(self.store, self.runtime)?;
        }
        Ok(self.written)
    }

    /// A model as the database has it; else as the settings' bundle has it; else as the record shows it.
    fn model(&self, shown: Option<ModelVersion>) -> Result<ModelVersion, RepairError> {
        let Some(shown) = shown else {
            return Ok(ModelVersion {
                version: String::new(),
                labels: Vec::new(),
                problem: Problem::SingleLabel,
            });
        };
        let labels = self
            .runtime
            .block_on(self.store.labels_of(&shown.version))?;
        let known = self.known.filter(|known| known.version == shown.version);
        Ok(match (labels, known) {
            (Some(labels), _) => ModelVersion { labels, ..shown },
            (None, Some(known)) => known.clone(),
            (None, None) => shown,
        })
    }
}

impl Batch {
    fn new(model: ModelVersion) -> Self {
        Self {
            model: Arc::new(model),
            outcomes: Vec::new(),
            held: BTreeSet::new(),
            bytes: 0,
        }
    }

    fn write(&mut self, store: &Store, runtime: &Handle) -> Result<u64, RepairError> {
        if self.outcomes.is_empty() {
            return Ok(0);
        }
        let chunk = ScoredChunk {
            outcomes: std::mem::take(&mut self.outcomes),
            offsets: Offsets::default(),
            assignment: Assignment::default(),
            model: Arc::clone(&self.model),
            panes: Vec::new(),
            started: Instant::now(),
        };
        let held = std::mem::take(&mut self.held);
        self.bytes = 0;
        runtime.block_on(store.rewrite(&chunk, &held))?;
        Ok(chunk.outcomes.len() as u64)
    }
}
