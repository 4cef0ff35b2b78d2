//! The whole service on one machine with nothing installed but Postgres: a feed, a broker, a database, and a count at the
//! end that proves that nothing was lost.

mod broker;
mod error;
mod feed;
mod postgres;

pub use broker::{ApacheBroker, EmbeddedBroker, PARTITION_BYTES, find_upwards};
pub use error::DemoError;
pub use feed::Feed;
pub use postgres::PrivatePostgres;
