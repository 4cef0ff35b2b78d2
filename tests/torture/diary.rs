//! What happened, as it happens: for a person, for the file that is kept, and for the sum at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

/// An instance that ends by itself within this time after a fault may have ended because of it.
const NEAR: Duration = Duration::from_secs(60);

/// The book of a run.
pub struct Diary {
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// Faults that last now.
    active: u32,
    last_fault: Option<Instant>,
    tally: Tally,
}

/// What is counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub faults: BTreeMap<&'static str, u64>,
    /// Instances started again, by a fault or by the supervisor.
    pub restarts: u64,
    /// Instances that ended in an error by themselves near a fault, by the sentence they left.
    pub ended: BTreeMap<String, u64>,
    /// Why the run has failed.
    pub failures: Vec<String>,
}

impl Diary {
    /// Writes into `happened.jsonl` in this folder.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        Ok(Self {
            begun: Instant::now(),
            state: Mutex::new(State {
                file: File::create(folder.join("happened.jsonl"))?,
                active: 0,
                last_fault: None,
                tally: Tally::default(),
            }),
        })
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Something worth a line.
    pub fn note(&self, what: &str) {
        self.write(&mut self.lock(), what);
    }

    /// A fault begins.
    pub fn fault_begins(&self, kind: &'static str, what: &str) {
        let mut state = self.lock();
        state.active += 1;
        *state.tally.faults.entry(kind).or_default() += 1;
        self.write(&mut state, what);
    }

    /// A fault has been healed.
    pub fn fault_ends(&self) {
        let mut state = self.lock();
        state.active -= 1;
        state.last_fault = Some(Instant::now());
    }

    /// Whether what happens now may come of a fault.
    pub fn is_near_fault(&self) -> bool {
        let state = self.lock();
        state.active > 0 || state.last_fault.is_some_and(|end| end.elapsed() < NEAR)
    }

    pub fn restarted(&self) {
        self.lock().tally.restarts += 1;
    }

    /// An instance has ended in an error by itself, and a fault may be why.
    pub fn ended(&self, sentence: &str) {
        *self
            .lock()
            .tally
            .ended
            .entry(sentence.to_owned())
            .or_default() += 1;
    }

    /// The run has failed.
    pub fn fail(&self, why: &str) {
        let mut state = self.lock();
        state.tally.failures.push(why.to_owned());
        self.write(&mut state, &format!("FAILED: {why}"));
    }

    pub fn has_failed(&self) -> bool {
        !self.lock().tally.failures.is_empty()
    }

    pub fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    fn write(&self, state: &mut State, what: &str) {
        let at = self.begun.elapsed();
        let (minutes, seconds) = (at.as_secs() / 60, at.as_secs() % 60);
        eprintln!("{minutes:02}:{seconds:02}  {what}");
        let line = json!({
            "at_ms": u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            "time": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "what": what,
        });
        // A full disk ends the run elsewhere, with a better reason.
        let _ = writeln!(state.file, "{line}");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
