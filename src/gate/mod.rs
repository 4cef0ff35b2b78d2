//! Is the candidate good enough to take the champion's place? Both models' answers to the same labelled messages, compared.
//! Pure: answers, speeds and scores are handed in, and nothing here knows where they come from.
//!
//! An [`example`] is a labelled message with both answers; a [`table`] says how the models differ on a set of them, by what
//! [`paired`] and [`calibration`] compute. [`speed`] compares repeated runs, [`equity`] what the models make of sentences that
//! differ in a person's gender or race only. [`check`] holds the rules, and [`comparison`] puts it all together into a verdict.

pub mod calibration;
pub mod check;
pub mod comparison;
pub mod config;
pub mod equity;
pub mod example;
pub mod paired;
pub mod speed;
pub mod table;
