//! From "it may be rolled out" to "it serves": who is scored by which model, what their answers prove while they come in, and
//! when to go on, to stop or to go back. Pure: counts and the time are handed in.
//!
//! [`share`] assigns messages to models, [`sequential`] compares models at any time without being wrong more often for it, and
//! [`policy`] decides.

pub mod config;
pub mod policy;
pub mod sequential;
pub mod share;
