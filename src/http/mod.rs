//! Probes and metrics over HTTP.

pub mod config;
