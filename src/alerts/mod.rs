//! Alerts on sentiment: a series' share of a label has changed. Pure: time comes in with the counts, and nothing here knows
//! Kafka, Postgres or HTTP.
//!
//! A [`Book`] takes in [`Cell`]s of [`SeriesKey`]s and gives out [`Event`]s of [`Alert`]s. What is normal for a series is
//! learnt from its own history (`normal`), changes are called by a sequential test (`scan`), and `watch` makes one alert of
//! a change. [`payload`] and [`signature`] are what receivers get.

mod alert;
mod book;
mod cell;
pub mod config;
pub mod gather;
mod hours;
mod names;
mod normal;
mod open;
pub mod payload;
mod quiet;
mod scan;
mod score;
mod series;
mod settings;
mod signature;
mod standing;
mod time;
mod watch;
mod wildcard;

pub use alert::{Alert, Event, Resolution, Status, sample};
pub use book::Book;
pub use cell::{Cell, Count, SeriesKey};
pub use config::{AlertsConfig, Direction, Level, Rule, SCORE, Unfit};
pub use quiet::QuietHours;
pub use score::{position, score};
pub use series::StateError;
pub use signature::signature;
pub use standing::Standing;
pub use time::rfc3339;

#[cfg(test)]
mod airline;
#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod tests;
