//! A stream of messages that goes on while servers come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Kafka;

/// Messages sent at once, and the time between two such times.
const AT_ONCE: usize = 10;
const EVERY: Duration = Duration::from_millis(80);
/// What is sent in some five seconds.
const MANY: usize = 600;

/// Sends until it is stopped.
pub struct Feed {
    stop: Arc<AtomicBool>,
    /// Gone once it has been awaited.
    thread: Option<JoinHandle<usize>>,
}

impl Feed {
    /// Begins to send `values` to the input, some hundred a second. A broker that is away delays it, no more.
    pub fn start(
        kafka: &Arc<Kafka>,
        values: impl Iterator<Item = Option<Vec<u8>>> + Send + 'static,
    ) -> Self {
        let (kafka, stop) = (Arc::clone(kafka), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut sent = 0;
            for value in values {
                if sent % AT_ONCE == 0 {
                    if stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    std::thread::sleep(EVERY);
                    if kafka.queued() > MANY {
                        kafka.remind();
                    }
                }
                kafka.send_next(sent, format!("key-{sent}").as_bytes(), value.as_deref());
                sent += 1;
            }
            kafka.flush();
            sent
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Stops, and says how many messages the broker has taken.
    pub fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().expect("the broker takes everything")
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
