//! The composition root: everything the service consists of, built, wired and drained here.

mod database;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::database::connect;
use crate::blocking::blocking;
use crate::config::Config;
use crate::controller::{self, Controller};
use crate::deploy::{self, DeployError};
use crate::drift::baseline::Baseline;
use crate::health::{Health, Part};
use crate::http;
use crate::metrics::Metrics;
use crate::model::error::ModelError;
use crate::model::live::{Live, Loaded};
use crate::model::manifest::{Bundle, BundleError};
use crate::model::scorer::Scorer;
use crate::monitor::{self, BaselineFault, Counted, Monitor};
use crate::notify;
use crate::pipeline::{self, Delivery, Pipeline, PipelineError};
use crate::registry::{Registry, RegistryError};
use crate::store::{Store, StoreError};

/// How long closing may take after the drain.
const CLOSE: Duration = Duration::from_secs(5);

/// What is promised of each message. A measurement goes without, and a broker for looking only cannot give all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    pub delivery: Delivery,
    pub counted: Counted,
}

impl Default for Promise {
    fn default() -> Self {
        Self {
            delivery: Delivery::ExactlyOnce,
            counted: Counted::Committed,
        }
    }
}

/// What keeps the service from starting or from going on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Baseline(#[from] BaselineFault),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Deploy(#[from] DeployError),
    #[error(
        "probes and metrics cannot be served at {address} ({source}); set [http] listen to a free address"
    )]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
}

/// A running service.
pub struct Service {
    address: SocketAddr,
    metrics: Metrics,
    health: Health,
    pipeline: Pipeline,
    store: Store,
    /// Ends what runs beside the pipeline.
    stop: CancellationToken,
    http: JoinHandle<std::io::Result<()>>,
    upkeep: JoinHandle<()>,
    /// The watch over the feed, where there is one.
    watch: Option<JoinHandle<()>>,
    /// Follows the registry, where there is one.
    following: Option<JoinHandle<()>>,
    /// Decides on trainings and rollouts, where there is a registry.
    controller: Option<JoinHandle<()>>,
    /// How long a training may take to keep its state.
    controller_patience: Duration,
    couriers: JoinHandle<()>,
    /// How long an attempt to tell a receiver may take.
    courier_patience: Duration,
}

impl Service {
    /// Loads the model, connects to Postgres and starts the stages. It is ready once [`Health`] says so.
    ///
    /// # Errors
    ///
    /// Whatever is missing, refused or wrong.
    pub async fn start(config: Config) -> Result<Self, AppError> {
        Self::start_with(config, Promise::default()).await
    }

    /// As [`Service::start`], with what is promised of each message.
    ///
    /// # Errors
    ///
    /// Whatever is missing, refused or wrong.
    pub async fn start_with(config: Config, promise: Promise) -> Result<Self, AppError> {
        let (metrics, health) = (Metrics::new(), Health::new());
        // The probes answer first, so that a long start is seen to be one.
        let listen = |source| AppError::Listen {
            address: config.http.listen,
            source,
        };
        let listener = TcpListener::bind(config.http.listen)
            .await
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        tracing::info!(address = %address, "probes and metrics are served");
        let stop = CancellationToken::new();
        let desk = http::Desk::new(
            http::Access::of(&config.http, address),
            &config.labels.fields,
            config.annotate.claim_minutes,
        );
        let http = tokio::spawn(http::serve(
            listener,
            health.clone(),
            metrics.clone(),
            desk.clone(),
            stop.clone(),
        ));

        let stop_if_dropped = stop.clone().drop_guard();
        let model = config.model.clone();
        let (bundle, followed) = if config.registry.is_on() {
            // Which model is to serve stands in Postgres.
            let store = connect(&config.postgres, &health).await?;
            health.ready(Part::Postgres);
            let registry = Registry::open(&config.registry, &model, store.clone())?;
            let bundle = deploy::first(&registry, &model, &config.kafka.instance_name()).await?;
            (bundle, Some((registry, store)))
        } else {
            let folder = model.path.clone();
            let opened = blocking(move || {
                let bundle = Bundle::open(&folder)?;
                bundle.verify()?;
                Ok::<_, BundleError>(bundle)
            });
            (opened.await?, None)
        };
        let name = bundle
            .dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let scorer = {
            let (bundle, model) = (bundle.clone(), model.clone());
            blocking(move || Scorer::of(&bundle, &model)).await?
        };
        let loaded = Loaded::new(scorer, pipeline::observer(metrics.clone()));
        let version = Arc::clone(loaded.version());
        metrics.set_model(&version.version, &name, loaded.device());
        tracing::info!(
            version = version.version,
            device = loaded.device(),
            "model loaded"
        );
        let live = Arc::new(Live::new(loaded));
        health.ready(Part::Model);
        let baseline = config
            .drift
            .enabled
            .then(|| baseline(&bundle, &config.drift.baseline, followed.is_some()))
            .transpose()?
            .flatten();

        let (registry, store) = match followed {
            Some((registry, store)) => (Some(registry), store),
            None => (None, connect(&config.postgres, &health).await?),
        };
        health.ready(Part::Postgres);
        desk.open(store.clone());
        let watched = config.drift.enabled || config.alerts.enabled || config.annotate.enabled;
        let watch = watched.then(|| {
            Monitor::new(monitor::Setting {
                store: store.clone(),
                counted: promise.counted,
                kafka: config.kafka.clone(),
                topics: config
                    .input
                    .iter()
                    .map(|input| input.topic.clone())
                    .collect(),
                drift: config.drift.clone(),
                alerts: config.alerts.clone(),
                webhooks: config.webhook.clone(),
                labels: config.labels.clone(),
                annotate: config.annotate.clone(),
                model: version,
                baseline,
                live: Arc::clone(&live),
                metrics: metrics.clone(),
            })
        });
        let pipeline = Pipeline::start(pipeline::Setting {
            kafka: &config.kafka,
            inputs: &config.input,
            output: &config.output,
            batch: &config.batch,
            delivery: promise.delivery,
            watched,
            live: Arc::clone(&live),
            store: store.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
        })
        .await?;
        let controller = registry.clone().map(|registry| {
            Controller::new(controller::Setting {
                store: store.clone(),
                registry,
                retrain: config.retrain.clone(),
                held_out: config.held_out.clone(),
                gate: config.gate.clone(),
                rollout: config.rollout.clone(),
                model: config.model.clone(),
                max_tokens: config.batch.max_tokens,
                webhooks: config.webhook.clone(),
                instance: config.kafka.instance_name(),
                metrics: metrics.clone(),
            })
        });
        let following = registry.map(|registry| {
            let observed = metrics.clone();
            tokio::spawn(deploy::follow(
                deploy::Setting {
                    registry,
                    store: store.clone(),
                    live,
                    model,
                    max_tokens: config.batch.max_tokens,
                    instance: config.kafka.instance_name(),
                    metrics: metrics.clone(),
                },
                move || Box::new(pipeline::observer(observed.clone())),
                stop.clone(),
            ))
        });
        let upkeep = tokio::spawn({
            let (store, stop) = (store.clone(), stop.clone());
            async move { store.maintain_forever(stop).await }
        });
        let watch = watch.map(|watch| tokio::spawn(watch.run(stop.clone())));
        let controller = controller.map(|controller| tokio::spawn(controller.run(stop.clone())));
        let couriers = tokio::spawn(notify::run(
            notify::Setting {
                store: store.clone(),
                kafka: config.kafka.clone(),
                alerts_topic: config.alerts.topic.clone(),
                webhooks: config.webhook.clone(),
                metrics: metrics.clone(),
            },
            stop.clone(),
        ));
        stop_if_dropped.disarm();
        Ok(Self {
            address,
            metrics,
            health,
            pipeline,
            store,
            stop,
            http,
            upkeep,
            watch,
            following,
            controller,
            controller_patience: Duration::from_secs(config.retrain.runner.grace_seconds) + CLOSE,
            couriers,
            courier_patience: notify::longest_attempt(&config.webhook).max(CLOSE),
        })
    }

    /// Where probes and metrics are served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Waits until the service ends by itself, which it does only where it cannot go on.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub async fn stopped(&mut self) -> Result<(), AppError> {
        Ok(self.pipeline.ended().await?)
    }

    /// Drains and stops: the probes last, so that they can be asked meanwhile.
    ///
    /// # Errors
    ///
    /// What went wrong on the way; everything is stopped all the same.
    pub async fn stop(self) -> Result<(), AppError> {
        self.health.stopping();
        let drained = self.pipeline.stop().await;
        self.stop.cancel();
        // An attempt that is under way is ended: cut off, it would be in doubt.
        let ended = async |task: Option<JoinHandle<()>>| match task {
            Some(task) => task.await,
            None => Ok(()),
        };
        let (couriers, controller) = tokio::join!(
            tokio::time::timeout(self.courier_patience, self.couriers),
            tokio::time::timeout(self.controller_patience, ended(self.controller)),
        );
        let rest = async {
            for (name, result) in [
                ("http", self.http.await.map(drop)),
                ("upkeep", self.upkeep.await),
                ("watch", ended(self.watch).await),
                ("following the registry", ended(self.following).await),
                ("the controller", controller.unwrap_or(Ok(()))),
                ("couriers", couriers.unwrap_or(Ok(()))),
            ] {
                if let Err(error) = result {
                    tracing::warn!("{name} had ended by a panic: {error}");
                }
            }
            self.store.close().await;
        };
        // A server that has gone silent must not keep the process.
        if tokio::time::timeout(CLOSE, rest).await.is_err() {
            tracing::warn!("not everything was closed within {} s", CLOSE.as_secs());
        }
        Ok(drained?)
    }
}

/// What the live messages are compared with, if anything. A baseline that was `given` counts for the configured model, and a
/// model that is `registered` may be another.
fn baseline(bundle: &Bundle, given: &Path, registered: bool) -> Result<Option<Baseline>, AppError> {
    match monitor::of_bundle(bundle, given) {
        Err(_) if registered && !given.as_os_str().is_empty() => {
            baseline(bundle, Path::new(""), registered)
        }
        Ok(Some(baseline)) => Ok(Some(baseline)),
        Ok(None) => {
            tracing::warn!(
                "the model's bundle has no baseline, so nothing can be said about drift: make one with `tidewatch baseline`"
            );
            Ok(None)
        }
        // Named in the configuration, it is meant to be used; one that merely came along must not keep the stream.
        Err(fault) if given.as_os_str().is_empty() => {
            tracing::warn!("nothing can be said about drift: {fault}");
            Ok(None)
        }
        Err(fault) => Err(fault.into()),
    }
}
