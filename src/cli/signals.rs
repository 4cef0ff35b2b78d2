//! Ctrl-C, SIGTERM and a closed terminal, for commands that end in order.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The bit of SIGHUP in the kernel's masks of signals.
const HANGUP: u64 = 1;

/// What this process was asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// To end in order: the first signal.
    pub(super) end: CancellationToken,
    /// To end at once: the second.
    pub(super) at_once: CancellationToken,
}

/// Takes signals from now on. Must be called inside a runtime.
pub(super) fn listen() -> io::Result<Asked> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // `nohup` lets a program ignore the end of its terminal: so it stays.
    let mut hangup = (!ignores_hangup())
        .then(|| signal(SignalKind::hangup()))
        .transpose()?;
    let asked = Asked::default();
    let Asked { end, at_once } = asked.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                Some(()) = async { hangup.as_mut()?.recv().await } => {}
            }
            if end.is_cancelled() {
                at_once.cancel();
            }
            end.cancel();
        }
    });
    Ok(asked)
}

fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status) & HANGUP != 0
}

/// The mask of ignored signals in the text of /proc/self/status.
fn ignored(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_found() {
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!(ignored("nothing"), 0);
    }
}
