//! From Kafka to Kafka and Postgres: the stages in the order of the data.

pub mod config;
