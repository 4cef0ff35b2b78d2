//! Recorded posts into Kafka: reading files, putting them in order, pacing them, and proving their delivery.
//!
//! [`open`] makes [`Records`] of files, which read them line by line into [`Post`]s and name every line that they cannot
//! read; a [`Schedule`] says when each post is due; a [`Feeder`] sends it and counts what the broker has acknowledged;
//! [`replay`] is the whole of it.

mod error;
mod feeder;
mod fields;
mod open;
mod post;
mod records;
mod run;
mod schedule;

pub use error::{LineFault, ReplayError};
pub use feeder::{Deliveries, Feeder, OnDelivery};
pub use fields::{Format, ReadOptions};
pub use open::{Lines, Opened, open};
pub use post::{Post, PostFields};
pub use records::{Line, Records, by_event_time};
pub use run::{Event, Replayed, replay};
pub use schedule::{Pace, Schedule};
