//! Outcomes on their way to the tables: written together.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;

use super::error::RepairError;
use super::rebuild::reorder;
use crate::record::{Assignment, ModelVersion, Offsets, Origin, Outcome, ScoredChunk};
use crate::store::Store;

/// Most outcomes of one transaction, and about the most bytes.
const OUTCOMES: usize = 1_000;
const BYTES: usize = 8 << 20;

/// Outcomes that are to be written.
pub(super) struct Batches<'a> {
    store: &'a Store,
    runtime: &'a Handle,
    known: Option<&'a ModelVersion>,
    /// By version.
    models: HashMap<String, Arc<ModelVersion>>,
    outcomes: Vec<Outcome>,
    held: BTreeSet<Origin>,
    bytes: usize,
    written: u64,
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
            models: HashMap::new(),
            outcomes: Vec::new(),
            held: BTreeSet::new(),
            bytes: 0,
            written: 0,
        }
    }

    /// Takes an outcome, in place of rows if the message is `held`; the inner error says in words why it cannot be written.
    pub(super) fn add(
        &mut self,
        mut outcome: Outcome,
        held: bool,
    ) -> Result<Result<(), String>, RepairError> {
        if let Outcome::Scored(scored) = &mut outcome {
            let model = self.model(&scored.model)?;
            if scored.model.labels != model.labels && !reorder(scored, &model.labels) {
                return Ok(Err(format!(
                    "its labels are {:?}, and the database has {:?} for its model",
                    scored.model.labels, model.labels
                )));
            }
            scored.model = model;
        }
        let raw = outcome.raw();
        self.bytes += raw.payload.as_ref().map_or(0, bytes::Bytes::len);
        if held {
            self.held.insert(raw.origin.clone());
        }
        self.outcomes.push(outcome);
        if self.outcomes.len() >= OUTCOMES || self.bytes >= BYTES {
            self.write()?;
        }
        Ok(Ok(()))
    }

    /// Writes what is left, and returns how many were written in all.
    pub(super) fn finish(mut self) -> Result<u64, RepairError> {
        self.write()?;
        Ok(self.written)
    }

    /// A model as the database has it; else as the settings' bundle has it; else as the record shows it.
    fn model(&mut self, shown: &Arc<ModelVersion>) -> Result<Arc<ModelVersion>, RepairError> {
        if let Some(model) = self.models.get(&shown.version) {
            return Ok(Arc::clone(model));
        }
        let labels = self
            .runtime
            .block_on(self.store.labels_of(&shown.version))?;
        let known = self.known.filter(|known| known.version == shown.version);
        let model = match (labels, known) {
            (Some(labels), _) => Arc::new(ModelVersion {
                labels,
                ..(**shown).clone()
            }),
            (None, Some(known)) => Arc::new(known.clone()),
            (None, None) => Arc::clone(shown),
        };
        self.models
            .insert(shown.version.clone(), Arc::clone(&model));
        Ok(model)
    }

    fn write(&mut self) -> Result<(), RepairError> {
        if self.outcomes.is_empty() {
            return Ok(());
        }
        let chunk = ScoredChunk {
            outcomes: std::mem::take(&mut self.outcomes),
            offsets: Offsets::default(),
            assignment: Assignment::default(),
            panes: Vec::new(),
            started: Instant::now(),
        };
        let held = std::mem::take(&mut self.held);
        self.bytes = 0;
        self.runtime.block_on(self.store.rewrite(&chunk, &held))?;
        self.written += chunk.outcomes.len() as u64;
        Ok(())
    }
}
