//! Named points at which a test lets the process die or stop, to see what becomes of the promise.
//!
//! Compiled in only by the feature `failpoints`, which no build for use turns on; without it a point is nothing.
//! `TIDEWATCH_FAULT=rows-committed@37=kill` ends the process by SIGKILL when it passes the point `rows-committed` for the
//! 37th time; `stop` instead of `kill` suspends it by SIGSTOP, `abort` ends it as a failed assertion in C does, and `kill+800`
//! does it 800 µs later, while whatever follows the point is under way. Any other action of the `fail` crate can be had through its own variable, `FAILPOINTS`.

/// A point by its name.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name);
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

/// Arms what the environment asks for; called once, first thing.
///
/// # Panics
///
/// The variable cannot be understood: a test that believes to have armed a point must not pass.
pub fn arm() {
    #[cfg(feature = "failpoints")]
    armed::from_environment();
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    const VARIABLE: &str = "TIDEWATCH_FAULT";

    pub(super) fn from_environment() {
        // Leaked on purpose: dropping it would disarm every point.
        std::mem::forget(fail::FailScenario::setup());
        if let Ok(wanted) = std::env::var(VARIABLE) {
            arm(&wanted).unwrap_or_else(|| {
                panic!(
                    "{VARIABLE} is not of the form POINT@COUNT=kill|stop|abort[+MICROSECONDS]: {wanted}"
                )
            });
        }
    }

    fn arm(wanted: &str) -> Option<()> {
        let (place, action) = wanted.split_once('=')?;
        let (point, count) = place.split_once('@')?;
        let (action, delay) = action.split_once('+').unwrap_or((action, "0"));
        let signal = match action {
            "kill" => Signal::KILL,
            "stop" => Signal::STOP,
            "abort" => Signal::ABORT,
            _ => return None,
        };
        let delay = Duration::from_micros(delay.parse().ok()?);
        let count: u64 = count.parse().ok()?;
        let passed = AtomicU64::new(0);
        let send = move || kill_process(getpid(), signal).expect("a process may signal itself");
        fail::cfg_callback(point, move || {
            if passed.fetch_add(1, Ordering::SeqCst) + 1 != count {
                return;
            }
            if delay.is_zero() {
                send();
            } else {
                std::thread::spawn(move || {
                    std::thread::sleep(delay);
                    send();
                });
            }
        })
        .ok()
    }
}
