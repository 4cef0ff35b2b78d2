//! Integration tests: the seams against real Apache Kafka and real Postgres, and the whole by killing it.
//!
//! One binary, so that it links once. `scripts/test` starts the servers; to use running ones set
//! `KAFKA_BOOTSTRAP` and `DATABASE_URL`. Each test makes its own topics and its own database.

mod alerts;
mod annotate;
mod bench;
mod check;
mod compare;
mod controller;
mod demo;
mod deploy;
mod drain;
mod drift;
mod faults;
mod finetune;
mod gradients;
mod harness;
mod http;
mod layout;
mod model;
#[cfg(feature = "failpoints")]
mod points;
mod poison;
mod pressure;
mod recovery;
mod registry;
mod renewal;
mod replay;
mod runner;
mod score;
mod store;
mod stream;
mod torture;
mod verify;
