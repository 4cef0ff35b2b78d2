//! What keeps a demo from starting or from being counted.

use std::path::PathBuf;

/// Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(
        "there are no Postgres server binaries (initdb, pg_ctl) under /usr/lib/postgresql or on the PATH: install the package 'postgresql' or run scripts/setup --postgres, or name a server of your own with --database-url"
    )]
    NoPostgres,
    #[error(
        "Postgres refuses to run as root, and this system has no user 'postgres' or 'nobody' to run it as: run the demo as an ordinary user, or name a server of your own with --database-url"
    )]
    NoOrdinaryUser,
    #[error("{program} failed: {detail}")]
    Program { program: String, detail: String },
    #[error("cannot {what} {}: {source}", path.display())]
    Files {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("no free port for Postgres was found in {attempts} attempts: {detail}")]
    NoPort { attempts: u32, detail: String },
    #[error("Kafka: {what}: {source}")]
    Kafka {
        what: &'static str,
        source: rdkafka::error::KafkaError,
    },
    #[error("cannot create the topic {topic}: {reason}; the user needs the right to create topics")]
    Topic { topic: String, reason: String },
    #[error("the demo's first model was not trained: {detail}")]
    Untrained { detail: String },
    #[error("a thread cannot be started: {source}")]
    Thread { source: std::io::Error },
    #[error(transparent)]
    Service(#[from] crate::app::AppError),
    #[error("the service ended by itself, without an error")]
    Ended,
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("the end of {topic} was not reached within {seconds} s: the broker does not answer")]
    Unread { topic: String, seconds: u64 },
    #[error(transparent)]
    Replay(#[from] crate::replay::ReplayError),
    #[error(
        "scripts/kafka is not to be found in the current folder, beside the executable, or above them: run the demo inside a clone, or name a broker with --kafka"
    )]
    NoKafkaScript,
}
