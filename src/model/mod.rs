//! Model bundles: what they hold, how they are loaded, and how they score a batch.
//!
//! In the order of use: a folder is a bundle by its [`manifest`]; its [`tokenizer`] makes tokens of texts, these are grouped
//! into a [`batch`], a [`backend`] ([`onnx`]) makes logits of that, and logits are a prediction by their [`probability`].
//! Several models' logits become one's by their [`ensemble`] ([`pooled`]). [`inference`] is the loop round all of that,
//! [`scorer`] opens the whole, [`live`] is the one that serves.

pub mod backend;
pub mod batch;
pub mod config;
pub mod ensemble;
pub mod error;
pub mod inference;
mod library;
pub mod live;
pub mod manifest;
pub mod onnx;
pub mod pooled;
pub mod probability;
pub mod scorer;
pub mod telemetry;
pub mod tokenizer;
