//! The commit protocol as a model, of which every state is looked at (with the model checker `stateright`).
//!
//! Two instances of the service share two partitions, with a broker, a group's coordinator and Postgres between them. Any
//! step of one may fall between any two of the other, so an instance sleeps as long as it likes wherever it likes; `Faults`
//! bounds how often processes die, living members are missed, partitions are moved, replies are lost and models are
//! swapped. `state.rs` says what there is, `protocol.rs` which steps and which guards, and `group.rs`, `reading.rs` and
//! `sink.rs` what the steps do, each after the sources that it names. `holds.rs` shows that the protocol keeps its
//! promise, `guards.rs` that it takes each of its guards to do so.

mod group;
mod guards;
mod holds;
mod properties;
mod protocol;
mod reach;
mod reading;
mod sink;
mod state;
