//! Processes that an earlier run has left behind.
//!
//! The process that a run starts dies with its parent; what that process has started itself may live on. It is known by
//! a variable in its environment, which is inherited, and ended before another run works in the same folder.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The variable that marks a run's processes.
pub(super) const VARIABLE: &str = "TIDEWATCH_RUNNER_FOLDER";
/// How long processes that were killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the variable holds for runs in this folder.
pub(super) fn mark(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    folder.to_string_lossy().into_owned()
}

/// Ends all processes that runs in this folder have left.
pub(super) fn end(folder: &Path) -> io::Result<()> {
    let entry = format!("{VARIABLE}={}", mark(folder));
    let began = Instant::now();
    loop {
        let found = processes(entry.as_bytes());
        if found.is_empty() {
            return Ok(());
        }
        if began.elapsed() >= PATIENCE {
            let reason = format!(
                "process {} of an earlier run does not end",
                found[0].as_raw_nonzero()
            );
            return Err(io::Error::other(reason));
        }
        for process in found {
            // It may have ended meanwhile.
            let _ = kill_process(process, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The living processes whose environment has this entry, as far as they may be looked at.
fn processes(entry: &[u8]) -> Vec<Pid> {
    let own = std::process::id();
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    numbers
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter(|number| u32::try_from(*number) != Ok(own))
        .filter(|number| {
            // A process that has ended and is not yet waited for has no environment any more.
            let environment = fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|other| other == entry)
        })
        .filter_map(Pid::from_raw)
        .collect()
}
