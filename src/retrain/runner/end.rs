//! How a training's process ended.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

use super::Because;
use super::job::Job;
use super::output::LastWords;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// There is a bundle.
    Done {
        /// Its folder.
        bundle: PathBuf,
    },
    /// The program ended by itself, without a bundle. Another try would end like this one.
    Refused {
        /// What kind of refusal.
        why: Refusal,
        /// The exit code.
        code: i32,
        /// What it said last.
        last_words: Vec<String>,
    },
    /// A signal of others ended it: the kernel's for want of memory, a person's, its own crash.
    Killed {
        /// The signal's number.
        by: i32,
        /// What it said last.
        last_words: Vec<String>,
    },
    /// It took longer than it may, and was ended.
    TimedOut {
        /// What it said last.
        last_words: Vec<String>,
    },
    /// It said nothing for longer than it may, and was ended.
    Silent {
        /// What it said last.
        last_words: Vec<String>,
    },
    /// It was ended because the service ends, or by whoever asked it to; it can go on later.
    Stopped {
        /// What it said last.
        last_words: Vec<String>,
    },
    /// There is no process.
    NotStarted {
        /// Why, as a sentence that says what to do.
        reason: String,
    },
}

/// Why a program ended by itself without a bundle, as the exit codes of `tidewatch-finetune` tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// 2: the recipe, the data or the backbone.
    BadInput,
    /// 3: the model is not good enough, or training diverged.
    Gate,
    /// 4: disk, permissions, ONNX Runtime.
    Resources,
    /// 0, though no bundle stands in its place.
    NoBundle,
    /// Another code.
    Other,
}

/// The code of a `tidewatch-finetune` that was asked to stop.
pub(super) const STOPPED: i32 = 130;

/// What a process did at its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exit {
    /// It ended by itself with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => Self::Code(code),
            None => Self::Signal(status.signal().unwrap_or_default()),
        }
    }
}

/// What a process's end means.
pub(super) fn of(job: &Job, exit: Exit, because: Option<Because>, words: &LastWords) -> End {
    let last_words = words.take();
    // A bundle that was finished while the process was asked to end is a bundle.
    if matches!(exit, Exit::Code(0)) && job.bundle.is_dir() {
        let bundle = job.bundle.clone();
        return End::Done { bundle };
    }
    match (because, exit) {
        (Some(Because::Stopped), _) | (None, Exit::Code(STOPPED)) => End::Stopped { last_words },
        (Some(Because::TimedOut), _) => End::TimedOut { last_words },
        (Some(Because::Silent), _) => End::Silent { last_words },
        (None, Exit::Code(code)) => End::Refused {
            why: match code {
                0 => Refusal::NoBundle,
                2 => Refusal::BadInput,
                3 => Refusal::Gate,
                4 => Refusal::Resources,
                _ => Refusal::Other,
            },
            code,
            last_words,
        },
        (None, Exit::Signal(by)) => End::Killed { by, last_words },
    }
}
