//! Work that computes for long, beside the stream and behind it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::oneshot;

/// So much nicer than the stages is what can wait.
const NICER: i32 = 10;

/// Runs it on a thread of its own, which the system lets compute when the stages leave it the time. So do the threads that the
/// work starts, such as those of a model that it opens.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
    let started = std::thread::Builder::new()
        .name("controller".to_owned())
        .spawn(move || {
            // On Linux niceness is a thread's. Without it the work is done all the same.
            if let Ok(own) = getpriority_process(None) {
                let _ = setpriority_process(None, (own + NICER).min(19));
            }
            // Nobody waits where the whole was given up.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
        });
    started.expect("a thread can be started");
    match done.await.expect("the thread sends before it ends") {
        Ok(done) => done,
        Err(panic) => resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_work_is_nicer_than_who_asks_for_it_and_so_is_what_it_starts() {
        let own = getpriority_process(None).unwrap();
        let asked = || getpriority_process(None).unwrap();
        let started = aside(move || (asked(), std::thread::spawn(asked).join().unwrap())).await;
        let nicer = (own + NICER).min(19);
        assert_eq!(started, (nicer, nicer));
        assert_eq!(getpriority_process(None).unwrap(), own);
    }
}
