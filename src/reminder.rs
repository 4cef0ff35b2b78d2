//! A client that has forgotten every broker is told of them again.
//!
//! A broker that was away for longer than its session, such as a suspended one, may answer once before the controllers know of it
//! again: its list of brokers is then empty. librdkafka (2.12) drops the brokers that it knew and sets a timer to begin again
//! with the configured ones, but the same answer, in another thread, may stop that timer: then it waits for ever. Adding the
//! brokers by hand helps, and changes nothing for a client that knows them.

use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::Client;
use rdkafka::{ClientConfig, ClientContext};

/// Between two reminders: the client keeps each of them.
const EVERY: Duration = Duration::from_secs(15);

/// Tells a client, not too often, which brokers it was configured with.
#[derive(Debug)]
pub struct Reminder {
    bootstrap: CString,
    last: Mutex<Option<Instant>>,
}

impl Reminder {
    /// For clients of these settings.
    #[must_use]
    pub fn new(settings: &ClientConfig) -> Self {
        let bootstrap = settings.get("bootstrap.servers").unwrap_or_default();
        Self {
            // A client of settings with a NUL in them cannot be made.
            bootstrap: CString::new(bootstrap).unwrap_or_default(),
            last: Mutex::new(None),
        }
    }

    /// To be called when the client has waited in vain for some seconds.
    #[expect(
        unsafe_code,
        reason = "the safe wrapper has no way to add brokers to a client"
    )]
    pub fn remind<C: ClientContext>(&self, client: &Client<C>) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.duration_since(last) < EVERY) {
            return;
        }
        *last = Some(now);
        // SAFETY: the client outlives the call, which any thread may make; the text ends with NUL and is copied.
        unsafe { rd_kafka_brokers_add(client.native_ptr(), self.bootstrap.as_ptr()) };
    }
}
