//! All SQL, a file for each family of tables.

pub mod config;
