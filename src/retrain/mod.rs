//! Training the model anew while it serves: when it is worth it, on which messages, and how it is run.
//!
//! The [`trigger`] decides by a situation that is passed in, the [`dataset`] is chosen from rows that are passed in; neither
//! knows Postgres, a clock or a process. The [`runner`] runs what was decided.

pub mod config;
pub mod dataset;
pub mod runner;
pub mod trigger;
