//! The whole service on one machine with nothing installed but Postgres: a feed, a broker, a database, and a count at the
//! end that proves that nothing was lost.

mod broker;
mod change;
mod display;
mod error;
mod feed;
mod figures;
mod live;
mod news;
mod postgres;
mod pump;
mod reader;
mod run;
mod servers;
mod setting;
mod story;
mod summary;
mod tally;
mod window;

pub use broker::{ApacheBroker, EmbeddedBroker, PARTITION_BYTES};
pub use change::{Changed, Recalls};
pub use display::{Display, Moment, REFRESH};
pub use error::DemoError;
pub use feed::{Feed, Mood, Scene};
pub use postgres::{Durability, PrivatePostgres};
pub use pump::{Ears, Fed, Limits, Posts, Pump, Told};
pub use reader::{OutcomeTopics, Reader, Scored};
pub use run::{Demo, Ended};
pub use servers::{BrokerChoice, Servers};
pub use story::Story;
pub use summary::Summary;
pub use tally::{Example, Outcome, Tally};
pub use window::{WINDOW_BYTES, Window, cost};
