//! What can go wrong between us and Postgres, sorted by what the caller can do about it.

use sqlx::error::DatabaseError;

use crate::record::TopicPartition;

/// A failure of the store. Each message is a sentence; none holds the password of the URL.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has claimed the partition since: the chunk must be abandoned, never retried.
    #[error(
        "partition {partition} has been claimed by another instance (our epoch is {}, the current one {}): its chunk is abandoned",
        or_none(*held), or_none(*current)
    )]
    Fenced {
        partition: TopicPartition,
        /// The epoch that the caller holds, if any.
        held: Option<i64>,
        /// The epoch that Postgres holds, if the partition has ever been claimed.
        current: Option<i64>,
    },
    /// Postgres cannot be reached or cannot do it now; the same call may succeed later.
    #[error("Postgres is not available: {problem}")]
    Unavailable { problem: String },
    /// The schema is missing, older, newer or changed.
    #[error("{problem}")]
    Schema { problem: String },
    /// The URL is wrong, or the server refuses it: somebody must change the configuration or grant a right.
    #[error("{problem}")]
    Denied { problem: String },
    /// Anything else, which a retry would only repeat.
    #[error("Postgres refused a statement: {problem}")]
    Other {
        problem: String,
        /// The SQLSTATE, where the server gave one.
        code: Option<String>,
    },
}

/// The SQLSTATEs of a violated unique constraint and of a violated check or partition bound.
const UNIQUE_VIOLATION: &str = "23505";
const CHECK_VIOLATION: &str = "23514";

impl StoreError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the server found a row that should not have been there.
    pub(super) fn is_unique_violation(&self) -> bool {
        self.has_code(UNIQUE_VIOLATION)
    }

    /// Whether a row was on its way to the default partition when its day got a partition of its own.
    pub(super) fn is_rerouted(&self) -> bool {
        self.has_code(CHECK_VIOLATION)
    }

    fn has_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Other { code: Some(code), .. } if code == wanted)
    }

    pub(super) fn schema(problem: impl Into<String>) -> Self {
        Self::Schema {
            problem: problem.into(),
        }
    }

    pub(super) fn denied(problem: impl Into<String>) -> Self {
        Self::Denied {
            problem: problem.into(),
        }
    }

    pub(super) fn unavailable(problem: impl Into<String>) -> Self {
        Self::Unavailable {
            problem: problem.into(),
        }
    }
}

fn or_none(epoch: Option<i64>) -> String {
    epoch.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string())
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refusal) => from_refusal(refusal.as_ref()),
            // A broken connection shows as any of these, depending on what was in flight.
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => Self::unavailable(error.to_string()),
            sqlx::Error::PoolTimedOut => Self::unavailable(
                "no connection could be had in time (all in use, or the server does not answer)",
            ),
            _ => Self::Other {
                problem: error.to_string(),
                code: None,
            },
        }
    }
}

/// Sorts what the server itself answered by its SQLSTATE
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn from_refusal(refusal: &dyn DatabaseError) -> StoreError {
    let said = refusal.message().to_owned();
    let Some(code) = refusal.code() else {
        return StoreError::Other {
            problem: said,
            code: None,
        };
    };
    match code.as_ref() {
        "53100" => StoreError::unavailable(format!("its disk is full ({said})")),
        "53300" => StoreError::unavailable(format!(
            "it has no connection left ({said}); raise its max_connections or lower [postgres] max_connections"
        )),
        // A standby that has not been promoted yet, after a fail-over.
        "25006" => StoreError::unavailable(format!("it is read-only ({said})")),
        // Lock timeout, statement timeout, a session ended for idling in a transaction.
        "55P03" | "57014" | "25P03" | "25P04" => StoreError::unavailable(said),
        "28P01" | "28000" => StoreError::denied(format!(
            "Postgres refused the login ({said}): correct the user and password in [postgres] url"
        )),
        "3D000" => StoreError::denied(format!(
            "Postgres has no such database ({said}): create it or correct [postgres] url"
        )),
        "42501" => StoreError::denied(format!(
            "Postgres refused a right ({said}): connect as the role that ran `tidewatch migrate`"
        )),
        "42P01" | "42703" | "3F000" => StoreError::schema(format!(
            "the database's schema is not the one of this version ({said}): run `tidewatch migrate`"
        )),
        // Connection, transaction rollback (serialization, deadlock), resources, operator intervention, system.
        code if ["08", "40", "53", "57", "58"].contains(&&code[..2]) => {
            StoreError::unavailable(said)
        }
        code => StoreError::Other {
            problem: format!("{said} (SQLSTATE {code})"),
            code: Some(code.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_fenced_writer_is_told_both_epochs_and_never_to_retry() {
        let error = StoreError::Fenced {
            partition: TopicPartition {
                topic: Arc::from("posts"),
                partition: 3,
            },
            held: Some(4),
            current: Some(5),
        };
        assert!(!error.is_retryable());
        assert_eq!(
            error.to_string(),
            "partition posts[3] has been claimed by another instance (our epoch is 4, the current one 5): \
             its chunk is abandoned"
        );
    }

    #[test]
    fn a_broken_connection_is_worth_retrying_and_a_bad_row_is_not() {
        let broken = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(StoreError::from(broken).is_retryable());
        assert!(!StoreError::from(sqlx::Error::RowNotFound).is_retryable());
    }
}
