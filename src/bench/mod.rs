//! How much of the model's own speed is left when everything around it works too.
//!
//! [`Bench`] preloads a topic and lets the whole service work it off, into Postgres and back into Kafka; before and after
//! each time [`Bare`] scores the same texts in the same batches with nothing around it. [`Report`] sets the two beside
//! each other.

mod bare;
mod companion;
mod cpu;
mod error;
mod report;
mod round;
mod run;
mod turns;
mod variant;

pub use bare::{Alone, Bare};
pub use cpu::CpuTime;
pub use error::BenchError;
pub use report::{Report, Setup};
pub use round::Round;
pub use run::Bench;
pub use variant::Variant;
