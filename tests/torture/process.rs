//! Signals to instances.

use std::fs;
use std::process::{Command, Stdio};

/// Sends a signal.
pub fn signal(name: &str, pid: u32) {
    // One that has just ended is no fault.
    let _ = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Whether a process is suspended.
pub fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may hold anything; the state follows the last bracket.
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}
