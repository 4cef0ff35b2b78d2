//! Why nothing can be said.

use rdkafka::error::KafkaError;

/// What kept the check from coming to an end. None holds a password.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The options for Kafka's client cannot be used.
    #[error("{0}")]
    Client(String),
    /// Kafka does not answer, or refuses.
    #[error("Kafka: {what}: {source}")]
    Kafka { what: String, source: KafkaError },
    /// A topic of the configuration is not there.
    #[error("the topic {topic} does not exist: correct its name, or create it")]
    NoTopic { topic: String },
    /// Nothing came for a long time, though more is there.
    #[error(
        "{topic} could not be read to its end: nothing came for {seconds} s (the last error: {last})"
    )]
    Unread {
        topic: String,
        seconds: u64,
        last: String,
    },
    /// A transaction stays open, and what follows it cannot be seen.
    #[error(
        "a transaction in {topic} has been open for more than {seconds} s, and what follows it cannot be read: find its \
         producer (kafka-transactions.sh find-hanging), or wait until it times out"
    )]
    Open { topic: String, seconds: u64 },
    /// `[postgres] url` cannot be used.
    #[error("[postgres] url is not of the form postgres://user:password@host:port/database")]
    Url,
    /// The database has no tables of Tidewatch, or others.
    #[error("the database's schema is not the one of this version ({0}): run `tidewatch migrate`")]
    Schema(String),
    /// Postgres does not answer, or refuses.
    #[error("Postgres: {what}: {source}")]
    Postgres {
        what: &'static str,
        source: sqlx::Error,
    },
}

impl VerifyError {
    /// Wraps an error of Kafka's client.
    pub(super) fn kafka(what: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let what = what.into();
        move |source| Self::Kafka { what, source }
    }

    /// Wraps an error of a statement.
    pub(super) fn postgres(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| match &source {
            sqlx::Error::Database(refusal)
                if matches!(refusal.code().as_deref(), Some("42P01" | "42703" | "3F000")) =>
            {
                Self::Schema(refusal.message().to_owned())
            }
            _ => Self::Postgres { what, source },
        }
    }
}
