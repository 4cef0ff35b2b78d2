//! Tidewatch: streaming sentiment. Kafka in, a transformer on ONNX Runtime, exactly once to Kafka and Postgres.
//!
//! The modules in the order in which data flows through them; each may use only what ARCHITECTURE.md
//! allows it, which a test checks.

pub mod adjustment;
pub mod alerts;
pub mod annotate;
pub mod app;
pub mod bench;
pub mod blocking;
pub mod cli;
pub mod clock;
pub mod coin;
pub mod compare;
pub mod config;
pub mod controller;
pub mod demo;
pub mod deploy;
pub mod derive;
pub mod drift;
pub mod durable;
pub mod fault;
pub mod gate;
pub mod health;
pub mod http;
pub mod json;
pub mod labels;
pub mod log;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod nearby;
pub mod notify;
pub mod pipeline;
pub mod posts;
pub mod record;
pub mod refusal;
pub mod registry;
pub mod remedy;
pub mod reminder;
pub mod renewal;
pub mod repair;
pub mod replay;
pub mod retrain;
pub mod rollout;
pub mod special;
pub mod store;
pub mod train;
pub mod verify;
pub mod watermark;
