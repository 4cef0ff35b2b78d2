//! A feed that changes midway, and everything that follows of it, without a hand: the watch fires, people label, a training runs,
//! the gate judges, and the new model takes over step by step.
//!
//! The demo brings the feed, the annotation team and a small first model; all else is the service's own work.

mod annotators;
mod first;
mod follow;
mod measure;
mod setting;
mod summary;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use chrono::Utc;
use rdkafka::ClientConfig;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::error::DemoError;
use super::pump::Told;
use super::reader::Scored;
use super::setting::PARTITIONS;
use crate::config::Config;
use crate::registry::{Order, Registry};
use crate::replay::Feeder;
use crate::store::{Change as Promotion, Store, StoreError};
use annotators::Annotators;
use first::First;
use follow::Follow;
pub use measure::Recalls;
use measure::{Measure, Phase};
pub use summary::Changed;

/// Texts that the promoted model must have answered before the demo ends.
const ENOUGH: u64 = 500;
/// How often the tables are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Who has done what the demo does by itself.
const BY: &str = "demo";

/// The loop, as the demo sees it.
pub(super) struct Change {
    /// Holds the first model, the registry and the trainings; gone with this.
    _folder: TempDir,
    told: (Sender<Told>, Receiver<Told>),
    scored: (Sender<Scored>, Receiver<Scored>),
    topic: String,
    labels: Option<Feeder>,
    team: Annotators,
    measure: Measure,
    follow: Follow,
    looked: Instant,
    alarms: u64,
}

impl Change {
    /// Trains the first model, makes it the champion, and sets the service up for minutes rather than weeks.
    ///
    /// # Errors
    ///
    /// There is no first model, or it is not taken in.
    pub(super) async fn begin(
        config: &mut Config,
        store: &Store,
        seed: u64,
        end: &CancellationToken,
    ) -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new()
            .prefix("tidewatch-demo-")
            .tempdir()
            .map_err(|source| DemoError::Files {
                what: "make a folder in",
                path: std::env::temp_dir(),
                source,
            })?;
        let first = train(folder.path(), &config.model.path, seed, end).await?;
        setting::settle(config, folder.path(), &first);
        let registry = Registry::open(&config.registry, &config.model, store.clone())
            .map_err(crate::app::AppError::from)?;
        let version = enthrone(&registry, &first.bundle).await?;
        Ok(Self {
            told: channel(),
            scored: channel(),
            topic: config.labels.topic.clone(),
            labels: None,
            team: Annotators::new(seed),
            measure: Measure::new(version.clone(), first.known),
            follow: Follow::new(version),
            looked: Instant::now(),
            alarms: 0,
            _folder: folder,
        })
    }

    /// The topic by which the team's labels come.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Where the feed tells what it sends, and where the reader tells what was answered.
    pub(super) fn listeners(&self) -> (Sender<Told>, Sender<Scored>) {
        (self.told.0.clone(), self.scored.0.clone())
    }

    /// The team can give labels from now on.
    ///
    /// # Errors
    ///
    /// The client cannot be made.
    pub(super) fn open(&mut self, client: &ClientConfig) -> Result<(), DemoError> {
        self.labels = Some(Feeder::new(client.clone(), &self.topic, None)?);
        Ok(())
    }

    /// Takes in what has happened, has the team label, and says what is new, a line each. So many alarms were told of so far.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub(super) async fn look(
        &mut self,
        store: &Store,
        alarms: u64,
    ) -> Result<Vec<String>, StoreError> {
        let mut lines = Vec::new();
        if alarms > 0 && self.alarms == 0 {
            self.team.alarm();
            lines.push(
                "team   the annotators look at three messages of five from now on".to_owned(),
            );
        }
        self.alarms = alarms;
        while let Ok(told) = self.told.1.try_recv() {
            self.measure.sent(&told);
            if self.team.see(&told, Instant::now()) {
                self.measure.labelled(told.near);
            }
        }
        while let Ok(scored) = self.scored.1.try_recv() {
            self.measure.scored(&scored);
        }
        if let Some(labels) = &self.labels {
            for label in self.team.due(Instant::now(), Utc::now()) {
                labels.send(&label, 0);
            }
        }
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            let before = self.follow.promoted.clone();
            lines.extend(self.follow.poll(store).await?);
            if let Some(version) = &self.follow.promoted
                && before.as_ref() != Some(version)
            {
                self.measure.promote(version);
            }
        }
        Ok(lines)
    }

    /// Whether everything was shown.
    pub(super) fn is_over(&self) -> bool {
        self.follow.promoted.is_some() && self.measure.of(Phase::After).messages >= ENOUGH
    }

    /// What came of it.
    pub(super) fn changed(&self) -> Changed {
        Changed::new(
            [Phase::Before, Phase::Drifted, Phase::After].map(|phase| self.measure.of(phase)),
            self.alarms,
            self.team.given(),
            &self.follow,
            ENOUGH,
        )
    }
}

/// Labels go to as many partitions as posts do.
pub(super) const LABEL_PARTITIONS: i32 = PARTITIONS;

async fn train(
    folder: &Path,
    shipped: &Path,
    seed: u64,
    end: &CancellationToken,
) -> Result<First, DemoError> {
    eprintln!("training a small first model on the posts as they are before the change");
    let (folder, shipped) = (folder.to_owned(), shipped.to_owned());
    let stopped = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopped);
    let training = tokio::task::spawn_blocking(move || {
        let first = First::prepare(&folder.join("first"), &shipped, seed)?;
        let tell = |line: String| eprintln!("  {line}");
        first.train(&tell, &|| asked.load(Ordering::Relaxed))?;
        Ok(first)
    });
    tokio::pin!(training);
    let trained = tokio::select! {
        trained = &mut training => trained,
        () = end.cancelled() => {
            stopped.store(true, Ordering::Relaxed);
            training.await
        }
    };
    trained.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Takes the first model in, and makes it the champion.
async fn enthrone(registry: &Registry, bundle: &Path) -> Result<String, DemoError> {
    let fault = crate::app::AppError::from;
    let taken = registry
        .import(&Order {
            folder: bundle,
            expected: None,
            origin: "the demo's first training",
            by: BY,
        })
        .await
        .map_err(fault)?;
    let change = Promotion {
        by: BY,
        reason: "the first model",
        detail: json!({}),
        lease: None,
    };
    registry
        .promote(&taken.version, None, &change)
        .await
        .map_err(crate::app::AppError::from)?;
    Ok(taken.version)
}
