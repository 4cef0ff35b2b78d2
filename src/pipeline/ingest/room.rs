//! Handing chunks over, and holding back while there is no room for them.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::Ingest;
use crate::fault;
use crate::metrics::Stage;
use crate::pipeline::group::list_of;
use crate::record::Chunk;

/// How long a full chunk waits for room before the thread looks after the group again.
const ROOM: Duration = Duration::from_millis(100);
/// After waiting this long for room, nothing more is fetched: a poll would otherwise return a message each time.
const HOLD_AFTER: Duration = Duration::from_secs(1);

impl Ingest {
    /// Hands the chunk over if it is full or due and there is room; tells whether anybody still takes chunks.
    pub(super) fn offer(&mut self, out: &mpsc::Sender<Chunk>) -> bool {
        let full = self.collector.is_full();
        match self.collector.due_in(Instant::now()) {
            None => {
                // What waited for room may have become void meanwhile: then nothing is left to be held back for.
                self.release();
                return !out.is_closed();
            }
            Some(left) if !full && !left.is_zero() => return true,
            Some(_) => {}
        }
        let mut room = out.try_reserve();
        if matches!(room, Err(TrySendError::Full(()))) {
            if !full {
                // It grows meanwhile: a busy model gets larger chunks.
                return true;
            }
            let reserved = async { tokio::time::timeout(ROOM, out.reserve()).await };
            room = match self.runtime.block_on(reserved) {
                Ok(Ok(permit)) => Ok(permit),
                Ok(Err(_)) => Err(TrySendError::Closed(())),
                Err(_) => Err(TrySendError::Full(())),
            };
        }
        match room {
            Ok(permit) => {
                if let Some(chunk) = self.collector.take() {
                    self.metrics
                        .chunk_messages
                        .observe(chunk.items.len() as f64);
                    self.metrics
                        .stage_seconds
                        .of(Stage::Collect)
                        .observe(chunk.started.elapsed().as_secs_f64());
                    self.metrics.chunks_in_flight.inc();
                    fault::point("chunk-formed");
                    permit.send(chunk);
                }
                self.release();
                true
            }
            Err(TrySendError::Full(())) => {
                self.hold();
                true
            }
            Err(TrySendError::Closed(())) => false,
        }
    }

    /// Stops fetching once the wait for room gets long, or what waits gets large.
    fn hold(&mut self) {
        let since = *self.blocked.get_or_insert_with(Instant::now);
        let large = self.collector.is_overflowing();
        if !self.held && (large || since.elapsed() >= HOLD_AFTER) {
            self.held = self.pause(&self.flowing()).is_ok();
        }
    }

    fn release(&mut self) {
        self.blocked = None;
        if std::mem::take(&mut self.held)
            && let Err(error) = self.consumer.resume(&list_of(&self.flowing()))
        {
            tracing::warn!("fetching cannot be resumed: {error}");
            self.begin_anew();
        }
    }
}
