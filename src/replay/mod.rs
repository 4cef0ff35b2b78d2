//! Recorded posts into Kafka: reading files, putting them in order, pacing them, and proving their delivery.
//!
//! A [`Records`] reads a file line by line into [`Post`]s and names every line that it cannot read; a [`Schedule`] says
//! when each post is due; a [`Feeder`] sends it and counts what the broker has acknowledged.

mod error;
mod feeder;
mod fields;
mod post;
mod records;
mod schedule;

pub use error::{LineFault, ReplayError};
pub use feeder::{Deliveries, Feeder, OnDelivery};
pub use fields::{Format, ReadOptions};
pub use post::{Post, PostFields};
pub use records::{Line, Records, by_event_time};
pub use schedule::{Pace, Schedule};
