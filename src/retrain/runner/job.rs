//! What is started, and within which limits.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// What is to be trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The recipe.
    pub recipe: PathBuf,
    /// Where the bundle shall stand; the same path again goes on with the same training.
    pub bundle: PathBuf,
    /// The folder in which the process works, which exists. No two processes work in one.
    pub folder: PathBuf,
}

/// A command that trains, with everything that bounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The program, to be found along `PATH` where it is a bare name.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it works.
    pub folder: PathBuf,
    /// The folder that stands at the end where all went well.
    pub bundle: PathBuf,
    /// All of its environment.
    pub environment: BTreeMap<String, String>,
    /// Variables of the environment whose values must not be told on.
    pub secrets: Vec<String>,
    /// What it may take.
    pub limits: Limits,
}

/// What a process may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Its niceness, 0 to 19.
    pub nice: i32,
    /// Processors it may run on; without a number, all of this process's.
    pub cpus: Option<NonZeroUsize>,
    /// Bytes of memory that one of its processes may ask for.
    pub memory: Option<u64>,
    /// Time until it must have ended.
    pub time: Duration,
    /// Time without a word after which it is taken for dead.
    pub silence: Duration,
    /// Time that it has to end when it is asked to, before it is killed.
    pub grace: Duration,
}

impl Job {
    /// What must not be told on. Short values are no secrets, and would hide what words say.
    pub(super) fn secret_values(&self) -> Vec<(String, String)> {
        let values = self.secrets.iter().filter_map(|name| {
            let value = self.environment.get(name)?;
            (value.len() >= 6).then(|| (name.clone(), value.clone()))
        });
        values.collect()
    }
}
