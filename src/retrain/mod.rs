//! Training the model anew while it serves.

pub mod runner;
