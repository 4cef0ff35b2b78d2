//! Has the feed changed? Statistics of live messages beside those of the data that a model was calibrated on. Pure: time is
//! passed in, and nothing here knows Kafka or Postgres.
//!
//! A [`reading`] is what is kept of a scored message. Instances leave them as [`pane`]s; [`windows`] puts them in order, and
//! [`counts`] are what a window's distinct ones ([`copies`]) add up to. A [`baseline`] holds the counts of held-out data and,
//! by its [`null`], how far windows of that same data are from the rest of it (of a derived model, [`adjusted`]). The [`detector`] measures a window by it, the
//! [`rule`] says when windows in a row are an alarm, and [`judge`] does both, and says what it means: by the estimated
//! [`accuracy`], the label [`shift`], the [`severity`], and what [`explain`]s it.

pub mod accuracy;
mod adjusted;
pub mod baseline;
pub mod blocks;
pub mod config;
pub mod copies;
pub mod counts;
pub mod detector;
pub mod dispersion;
pub mod errors;
pub mod explain;
pub mod holm;
pub mod judge;
pub mod labelled;
pub mod matrix;
pub mod measured;
pub mod memory;
pub mod null;
pub mod packed;
pub mod pane;
pub mod proportion;
pub mod quantiles;
pub mod reading;
pub mod rule;
pub mod severity;
pub mod shift;
pub mod sources;
pub mod statistics;
#[cfg(test)]
mod synthetic;
pub mod timeline;
pub mod windows;
