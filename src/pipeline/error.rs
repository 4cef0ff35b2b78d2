//! What ends the pipeline: everything else is retried, dead-lettered or read again.

use crate::store::StoreError;

/// Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// librdkafka refuses the settings.
    #[error("{0} in [kafka.client]")]
    Client(String),
    /// The topics cannot be read, and waiting would not help.
    #[error("the input cannot be read: {0}")]
    Input(String),
    /// The transactional producer cannot go on.
    #[error("the output cannot be written: {0}")]
    Output(String),
    /// Another process uses this instance's name.
    #[error(
        "another process runs as the instance {instance} (transactional id {transactional_id}) and has taken over: give each instance its own [kafka] instance"
    )]
    Replaced {
        instance: String,
        transactional_id: String,
    },
    /// The model fails whatever it is given.
    #[error(
        "the model does not work any more: {0}; check the model with `tidewatch model verify`, and the device"
    )]
    Model(String),
    /// Postgres refuses what a retry would only repeat.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The drain took too long.
    #[error(
        "the drain did not end in time: still running are {0}; what they had under way will be read again"
    )]
    Late(String),
    /// A thread cannot be started, or has panicked.
    #[error("the thread {name} ended: {reason}")]
    Thread { name: &'static str, reason: String },
}
