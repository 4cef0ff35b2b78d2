//! A training that runs beside the service while this is measured.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::json;
use tempfile::TempDir;

use super::error::BenchError;
use crate::retrain::runner::{End, Event, Progress, RunnerConfig, Task, run};

/// What a training's folder calls its recipe; the files that this names lie beside it.
const RECIPE: &str = "recipe.toml";

/// A training in a process of its own, again and again until it is no longer wanted.
pub(super) struct Companion {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    /// Why it does not run any more, where it ended badly.
    fault: Arc<Mutex<Option<String>>>,
}

impl Companion {
    /// Starts the training whose recipe and files lie in the folder, by the runner's settings, and waits for its first step. The
    /// folder stays as it is.
    ///
    /// # Errors
    ///
    /// It does not get there.
    pub(super) fn start(folder: &Path, runner: &RunnerConfig) -> Result<Self, BenchError> {
        let work = copy(folder).map_err(|source| BenchError::Training {
            detail: format!("{} cannot be copied: {source}", folder.display()),
        })?;
        let enough = Arc::new(AtomicBool::new(false));
        let fault = Arc::new(Mutex::new(None));
        let (begun, first_step) = mpsc::channel();
        let thread = std::thread::spawn({
            let (enough, fault, runner) = (Arc::clone(&enough), Arc::clone(&fault), runner.clone());
            move || {
                let stop = || enough.load(Ordering::Relaxed);
                for number in 0.. {
                    let task = Task {
                        recipe: work.path().join(RECIPE),
                        bundle: work.path().join(format!("bundle-{number}")),
                        folder: work.path().to_owned(),
                    };
                    let mut hear = |event: &Event| {
                        if matches!(event, Event::Told(Progress::Step { .. })) {
                            // Nobody waits for a second one.
                            let _ = begun.send(());
                        }
                    };
                    let end = run(&runner.job(&task), &mut hear, &stop);
                    if stop() {
                        return;
                    }
                    if !matches!(end, End::Done { .. }) {
                        *fault.lock().unwrap_or_else(PoisonError::into_inner) =
                            Some(json!(end).to_string());
                        return;
                    }
                }
            }
        });
        let companion = Self {
            enough,
            thread,
            fault,
        };
        // The other end is gone where the training has ended before its first step.
        if first_step.recv().is_err() {
            companion.finish()?;
            return Err(BenchError::Training {
                detail: "it has no steps".to_owned(),
            });
        }
        Ok(companion)
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// It had ended before, so there was nothing to measure beside.
    pub(super) fn finish(self) -> Result<(), BenchError> {
        self.enough.store(true, Ordering::Relaxed);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match fault.clone() {
            None => Ok(()),
            Some(detail) => Err(BenchError::Training { detail }),
        }
    }
}

/// The folder's files in a temporary one.
fn copy(folder: &Path) -> std::io::Result<TempDir> {
    let copy = tempfile::Builder::new()
        .prefix("tidewatch-bench-")
        .tempdir()?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
        }
    }
    Ok(copy)
}
