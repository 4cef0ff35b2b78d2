//! All SQL, a file for each family of tables.
//!
//! [`Store::claim`] and [`Store::write_chunk`] carry the exactly-once promise; [`Store::maintain`] keeps the tables
//! within their window; [`Store::check`] says what is wrong with a database.

pub mod config;

mod alerts;
mod annotations;
mod answered;
mod arms;
mod bundles;
mod check;
mod clean;
mod counts;
mod days;
mod dead_letters;
mod decisions;
mod deployments;
mod drift;
mod epochs;
mod error;
mod evidence;
mod feedback;
mod history;
mod keys;
mod labelled;
mod labels;
mod leases;
mod maintain;
mod matching;
mod models;
mod notices;
mod panes;
mod partitions;
mod past;
mod predictions;
mod registry;
mod repair;
mod rollout;
mod rollouts;
mod rollups;
mod schema;
mod serving;
mod shadow;
mod slices;
mod submitted;
mod training;
mod verdicts;
mod write;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor};
use tokio::sync::RwLock;

pub use alerts::{AlertStep, KeptAlert, KeptCell, KeptKey, KeptSeries, PastAlert, kept_name};
pub use annotations::{Asked, KeptPick};
pub use answered::AnsweredMessage;
pub use arms::RolloutCounts;
pub use bundles::{BundleLock, Unreferenced};
pub use check::Findings;
pub use counts::Counts;
pub use decisions::{KeptDecision, NewDecision, TrainingRequest};
pub use deployments::{Change, Deployment, Swap};
pub use drift::{KeptReport, KeptWindow, Watched};
pub use epochs::Epochs;
pub use error::StoreError;
pub use evidence::{FreshLabel, LabelCounts, OpenDrift};
pub use feedback::LabelledText;
pub use history::{PastCounts, PastReport, PastWindow};
pub use labelled::{KeptMeasure, LabelledMessage, RecentMessage, WindowSpan};
pub use labels::{LabelIntake, RejectedLabel};
pub use leases::Lease;
pub use maintain::Maintained;
pub use matching::Matched;
pub use notices::{Due, Ending, KeptNotice};
pub use panes::{KeptPane, PaneKey};
pub use past::{PastMessage, SpanModel};
pub use registry::{Alias, AliasOf, Import, Imported, RegisteredModel};
pub use repair::Recount;
pub use rollout::{NewRollout, Rollout, RolloutKind, RolloutOutcome, RolloutStep};
pub use rollups::PastHour;
pub use serving::{Loaded, Serving};
pub use submitted::{PickedLabel, Submitted};
pub use training::{Begun, Claim, NewTraining, TrainingLock, TrainingRun, TrainingState};

use config::{StoreConfig, TextStorage};
use days::Window;

/// How long to wait for a connection, new or from the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Set on every connection. A client that vanished must not hold its locks for long: its successor waits for them.
/// Whatever a chunk needs is done in a fraction of this. A server that confirms a commit before it is on the disk would
/// break the promise: after its crash Kafka holds the offsets of rows that are gone. So commits wait here, whatever the
/// server's default; any setting stronger than `on` is left as it is.
const SESSION: &str = "SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '30s'; \
                       SET lock_timeout = '30s'; SET timezone = 'UTC'; \
                       SELECT set_config('synchronous_commit', 'on', false) \
                        WHERE current_setting('synchronous_commit') = 'off'";

/// Access to Postgres; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    options: PgConnectOptions,
    text: TextStorage,
    window: Window,
    /// The numbers of the models seen so far, by version.
    models: Arc<RwLock<HashMap<String, i32>>>,
}

impl Store {
    /// Connects once, to tell a wrong URL or login from a server that is down, and opens the pool.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] where the server does not answer (retry), [`StoreError::Denied`] where it refuses.
    pub async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        let options = options(config)?;
        let connecting = PgConnection::connect_with(&options);
        let target = format!("{}:{}", options.get_host(), options.get_port());
        let connection = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                return Err(match StoreError::from(error) {
                    StoreError::Unavailable { problem } => {
                        StoreError::unavailable(format!("{problem} (at {target})"))
                    }
                    other => other,
                });
            }
            Err(_) => {
                return Err(StoreError::unavailable(format!(
                    "{target} did not answer within {} s",
                    CONNECT_TIMEOUT.as_secs()
                )));
            }
        };
        connection.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(CONNECT_TIMEOUT)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION).await.map(drop) })
            })
            .after_release(|connection, _| {
                Box::pin(async move {
                    // A connection that was given up in mid-statement may belong to a server that is gone without a word.
                    // Those that wait for it would use up the pool, though its successor answers.
                    let answered = tokio::time::timeout(CONNECT_TIMEOUT, connection.ping()).await;
                    answered
                        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
                        .map(|()| true)
                })
            })
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool,
            options,
            text: config.text,
            window: Window::of(config),
            models: Arc::default(),
        })
    }

    /// What it is connected to, as `host:port/database`.
    #[must_use]
    pub fn target(&self) -> String {
        format!(
            "{}:{}/{}",
            self.options.get_host(),
            self.options.get_port(),
            self.options
                .get_database()
                .unwrap_or(self.options.get_username())
        )
    }

    /// Closes every connection, after those in use have been given back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl fmt::Debug for Store {
    /// Without the options, which would show the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

fn options(config: &StoreConfig) -> Result<PgConnectOptions, StoreError> {
    let url = config.url.expose_secret();
    let invalid = |problem: &str| {
        StoreError::denied(format!(
            "[postgres] url is not of the form postgres://user:password@host:port/database: {problem}"
        ))
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(invalid("it does not begin with postgres://"));
    }
    let options = PgConnectOptions::from_str(url).map_err(|error| invalid(&error.to_string()))?;
    if options.get_options().is_some_and(commits_unsafely) {
        return Err(StoreError::denied(
            "[postgres] url must not turn synchronous_commit off: a crash of the server would then lose rows of which Kafka \
             holds the offsets",
        ));
    }
    Ok(options.application_name("tidewatch"))
}

/// Whether options for the server (`-c name=value …`) turn `synchronous_commit` off.
fn commits_unsafely(options: &str) -> bool {
    let settings = options.split_whitespace();
    settings
        .filter_map(|setting| {
            setting
                .trim_start_matches("-c")
                .trim_start_matches("--")
                .split_once('=')
        })
        .any(|(name, value)| {
            name.replace('-', "_")
                .eq_ignore_ascii_case("synchronous_commit")
                && ["off", "false", "no", "0"].contains(&value.to_ascii_lowercase().as_str())
        })
}
