//! What keeps a measurement from being one.

/// Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Servers(#[from] crate::demo::DemoError),
    #[error(transparent)]
    Replay(#[from] crate::replay::ReplayError),
    #[error("the input gives no text to score: check --input and its fields")]
    Nothing,
    #[error(
        "the broker took {delivered} of {sent} messages{why}: nothing can be measured with the rest"
    )]
    Undelivered {
        sent: u64,
        delivered: u64,
        why: String,
    },
    #[error(transparent)]
    Model(#[from] crate::model::error::ModelError),
    #[error(transparent)]
    Bundle(#[from] crate::model::manifest::BundleError),
    #[error("the bare session failed: {0}")]
    Infer(#[from] crate::model::backend::InferError),
    #[error(transparent)]
    Service(#[from] crate::app::AppError),
    #[error("the service ended by itself, without an error")]
    Ended,
    #[error(
        "nothing was committed for {seconds} s ({committed} of {messages} messages were): the service hangs; its log may say why"
    )]
    Stalled {
        seconds: u64,
        committed: u64,
        messages: u64,
    },
    #[error("no training runs beside the service, so nothing is measured: {detail}")]
    Training { detail: String },
    #[error("there is no temporary folder for the models: {0}")]
    Folder(#[source] std::io::Error),
    #[error(transparent)]
    Registry(#[from] crate::registry::RegistryError),
    #[error("no model has taken over while it was measured: measure with more --messages")]
    NoSwap,
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error(
        "{rows} rows in Postgres for {messages} messages: this was no exactly-once run, so it is no measurement"
    )]
    Miscounted { rows: u64, messages: u64 },
}
