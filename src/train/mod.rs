//! Fine-tuning: from labelled text to a model bundle.

pub mod bundle;
pub mod calibrate;
pub mod evaluate;
