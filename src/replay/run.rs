//! Sending lines when they are due, until their end or until told to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::{LineFault, ReplayError};
use super::feeder::{Deliveries, Feeder};
use super::open::Lines;
use super::records::Line;
use super::schedule::Schedule;

/// How often a waiting replay looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);
/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(100);

/// What happens along the way.
#[derive(Debug)]
pub enum Event<'a> {
    /// A line gives no post.
    Malformed(&'a LineFault),
    /// Time to show how far it is.
    Progress(&'a Deliveries),
}

/// How a replay ended.
#[derive(Debug)]
pub struct Replayed {
    pub deliveries: Deliveries,
    /// Lines that gave no post.
    pub malformed: u64,
    /// Why the rest could not be read, if it could not.
    pub fault: Option<ReplayError>,
}

/// Sends every line when it is due, then waits until each is acknowledged or given up.
///
/// Once `stop` is set, no further line is sent.
pub fn replay(
    lines: Lines,
    mut schedule: Schedule,
    feeder: &Feeder,
    stop: &AtomicBool,
    mut tell: impl FnMut(Event<'_>),
) -> Replayed {
    let start = Instant::now();
    let mut told = start;
    let mut malformed = 0;
    let mut fault = None;
    let mut progress = |tell: &mut dyn FnMut(Event<'_>)| {
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            tell(Event::Progress(&feeder.deliveries()));
        }
    };
    for line in lines {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match line {
            Ok(Line::Post(post)) => {
                let due = start + schedule.due(post.event_time);
                loop {
                    progress(&mut tell);
                    let left = due.saturating_duration_since(Instant::now());
                    if left.is_zero() || stop.load(Ordering::Relaxed) {
                        break;
                    }
                    std::thread::sleep(left.min(TICK));
                }
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                feeder.send(&post, 0);
            }
            Ok(Line::Malformed(fault)) => {
                malformed += 1;
                tell(Event::Malformed(&fault));
            }
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    // The producer gives every post up after its message.timeout.ms, so this ends.
    while feeder.flush(PROGRESS).is_err() {
        progress(&mut tell);
    }
    Replayed {
        deliveries: feeder.deliveries(),
        malformed,
        fault,
    }
}
