//! The `[postgres]` section.

use secrecy::SecretString;
use serde::Deserialize;

/// Most days with a partition each: a query over all of them locks each with its indexes, and Postgres as it comes has
/// room for 6,400 locks.
const MAX_DAYS: u32 = 1_000;

/// Most days made ahead.
const MAX_AHEAD: u32 = 60;

/// How to reach Postgres, and what is kept there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// `postgres://user:password@host:port/database`; never logged.
    pub url: SecretString,
    /// Most connections held open.
    pub max_connections: u32,
    pub text: TextStorage,
    /// Days for which predictions and dead letters are kept; older partitions are dropped.
    pub retention_days: u32,
    /// Days for which the counts per minute are kept after their last change; they are small, so usually far longer.
    pub rollup_retention_days: u32,
    /// Daily partitions made ahead of time.
    pub partitions_ahead: u32,
}

/// What is stored of a message's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextStorage {
    /// The text itself.
    Full,
    /// Its SHA-256, enough to find equal texts.
    Hash,
    /// Nothing.
    None,
}

impl StoreConfig {
    /// Says what makes no sense, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.max_connections < 2 {
            return Err("[postgres] max_connections must be at least 2: one writes, one looks after the tables".to_owned());
        }
        if self.retention_days == 0 || self.rollup_retention_days == 0 {
            return Err(
                "[postgres] retention_days and rollup_retention_days must be at least 1".to_owned(),
            );
        }
        if self.retention_days > MAX_DAYS {
            return Err(format!(
                "[postgres] retention_days must be at most {MAX_DAYS}, since each day is a partition: copy what is to be kept \
                 longer elsewhere"
            ));
        }
        if !(1..=MAX_AHEAD).contains(&self.partitions_ahead) {
            return Err(format!(
                "[postgres] partitions_ahead must be between 1 and {MAX_AHEAD}"
            ));
        }
        Ok(())
    }
}
