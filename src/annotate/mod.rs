//! Which messages people are asked to label, and what their labels say of all messages.
//!
//! A random slice of the feed is taken by a coin ([`coin`](crate::coin)), and beside it the messages that the model is least
//! sure of ([`queue`], by their [`margin`]). Of each message that is picked it is recorded with what probability it was
//! ([`pick`]), so [`estimate`] can say how good the model is on all messages although the labelled ones are not like them.
//! The [`pace`] of both keeps to a daily number. Pure: nothing here knows Postgres, HTTP or a clock.

pub mod config;
pub mod estimate;
pub mod keys;
pub mod margin;
pub mod pace;
pub mod pick;
pub mod queue;
#[cfg(test)]
mod synthetic;
