//! Work that computes or waits for a disk, away from the threads that serve everybody.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

/// Runs it on a thread where it may block, and gives back what it gives; a panic in it is one here.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}
