//! The thread that owns the consumer: it takes partitions on, collects their messages into chunks, and hands those over as
//! fast as they are taken.

mod rejoin;
mod room;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::claim::{Claim, Hindrance};
use super::client;
use super::collect::{Collector, Place};
use super::config::{BatchConfig, InputConfig, KafkaConfig};
use super::decode::Decoder;
use super::error::PipelineError;
use super::flight::Flight;
use super::group::{Group, list_of};
use super::lag::Lag;
use super::limits::Limits;
use super::missing::{Absent, Missing};
use super::raw::detach;
use crate::health::{Health, Part};
use crate::metrics::{Metrics, Target};
use crate::record::{Assignment, Chunk, RawMessage, TopicPartition};
use crate::reminder::Reminder;
use crate::store::Store;
use rejoin::Rejoins;

/// How long a poll waits at most, so that the thread notices what else it has to do.
const POLL: Duration = Duration::from_millis(50);
/// The same while a chunk is overdue and there is no room for it.
const OVERDUE_POLL: Duration = Duration::from_millis(2);
/// Between two attempts to begin partitions.
const RETRY: Duration = Duration::from_millis(500);

/// How long a broker may take to answer that it is there.
const REACH: Duration = Duration::from_secs(1);
/// When none has answered for so long, the consumer may have forgotten them.
const LOST: Duration = Duration::from_secs(5);

/// What the thread works with.
pub(super) struct Ingest {
    consumer: BaseConsumer<Group>,
    /// The consumer's.
    settings: ClientConfig,
    rejoins: Rejoins,
    reminder: Reminder,
    flight: Arc<Flight>,
    decoders: HashMap<String, Decoder>,
    config: KafkaConfig,
    claim: Claim,
    runtime: Handle,
    metrics: Metrics,
    health: Health,
    lag: Lag,
    collector: Collector,
    /// Since when the next stage has had no room.
    blocked: Option<Instant>,
    /// Fetching is paused until there is room.
    held: bool,
    retry_at: Instant,
    /// Since when no broker has answered, while the probe says so.
    unreached: Option<Instant>,
    rebalances: u64,
    missing: Missing,
}

/// Everything [`Ingest::new`] needs.
pub(super) struct Setting<'a> {
    pub kafka: &'a KafkaConfig,
    pub inputs: &'a [InputConfig],
    pub batch: &'a BatchConfig,
    pub store: Store,
    pub runtime: Handle,
    pub metrics: Metrics,
    pub health: Health,
    pub flight: Arc<Flight>,
}

impl Ingest {
    /// Makes the consumer; it joins the group when the thread runs.
    pub(super) fn new(setting: Setting<'_>) -> Result<Self, PipelineError> {
        let decoders: HashMap<String, Decoder> = setting
            .inputs
            .iter()
            .map(|input| {
                (
                    input.topic.clone(),
                    Decoder::new(input, setting.batch.max_bytes),
                )
            })
            .collect();
        let topics = decoders.values().map(|decoder| Arc::clone(&decoder.topic));
        let limits = Limits::of(setting.kafka);
        let settings = client::consumer(setting.kafka, setting.batch);
        Ok(Self {
            consumer: rejoin::consumer(&settings, &setting.flight, topics, limits)?,
            reminder: Reminder::new(&settings),
            settings,
            rejoins: Rejoins::default(),
            flight: setting.flight,
            decoders,
            config: setting.kafka.clone(),
            claim: Claim {
                store: setting.store,
                runtime: setting.runtime.clone(),
                instance: setting.kafka.instance_name(),
                start: setting.kafka.start,
                limits,
            },
            runtime: setting.runtime,
            lag: Lag::new(setting.metrics.clone()),
            metrics: setting.metrics,
            health: setting.health,
            collector: Collector::new(setting.batch),
            blocked: None,
            held: false,
            retry_at: Instant::now(),
            unreached: None,
            rebalances: 0,
            missing: Missing::default(),
        })
    }

    /// Consumes until `stop`; then stays in the group until `drained`, so that what is under way can still be committed.
    pub(super) fn run(
        mut self,
        out: mpsc::Sender<Chunk>,
        stop: &CancellationToken,
        drained: &CancellationToken,
    ) -> Result<(), PipelineError> {
        self.join()?;
        let mut out = Some(out);
        while !drained.is_cancelled() {
            // Read before anything else: should it end meanwhile, what this round collects under it is void.
            let (assignment, restart) = self.flight.follow();
            if restart {
                self.consumer.context().restart();
                self.pause(&self.consumer.context().owned())?;
            }
            if out.is_some() && stop.is_cancelled() {
                // Nobody waits for what is being collected: it is read again by whoever comes next.
                out = None;
                self.collector.clear();
            }
            self.follow_group(out.is_some(), assignment)?;
            if let Some(message) = self.poll()?
                && out.is_some()
            {
                self.take(message, assignment);
            }
            if let Some(sender) = &out
                && !self.offer(sender)
            {
                out = None;
            }
        }
        // Leaves the group at once, so that others need not wait until this member is missed.
        self.consumer.unsubscribe();
        Ok(())
    }

    /// Does what has come up since the last time: partitions to begin, trouble, the lag.
    fn follow_group(
        &mut self,
        consuming: bool,
        assignment: Assignment,
    ) -> Result<(), PipelineError> {
        let group = Arc::clone(self.consumer.client().context());
        if let Some(reason) = group.broken() {
            return Err(PipelineError::Input(format!(
                "a rebalance of the group could not be followed: {reason}"
            )));
        }
        self.collector.keep_only(assignment);
        let rebalances = group.rebalances();
        if rebalances != self.rebalances {
            self.metrics.rebalances.inc_by(rebalances - self.rebalances);
            self.rebalances = rebalances;
            self.metrics
                .assigned_partitions
                .set(group.owned().len().try_into().unwrap_or(i64::MAX));
        }
        if let Some(trouble) = group.take_trouble() {
            self.health.not_ready(Part::Kafka, trouble);
        }
        self.lag.follow(
            &group.owned(),
            &group.ends(),
            &self.flight.positions(),
            Instant::now(),
        );

        match (self.missing).look(self.consumer.client(), self.decoders.keys()) {
            None => {}
            Some(Absent::ForNow(reason)) => self.health.not_ready(Part::Kafka, reason),
            Some(Absent::ForGood(reason)) => {
                return Err(PipelineError::Input(format!(
                    "{reason} (or it was deleted); create it or correct [[input]]"
                )));
            }
        }
        let pending = group.pending();
        if consuming && !pending.is_empty() && Instant::now() >= self.retry_at {
            match self.claim.begin(&self.consumer, &self.flight, &pending) {
                Ok(()) => {
                    self.collector.begin(&pending);
                    group.begun(&pending);
                    self.health.ready(Part::Postgres);
                    if self.held {
                        self.pause(&pending)?;
                    }
                }
                Err(Hindrance::Fatal(error)) => return Err(error),
                Err(Hindrance::Later(part, reason)) => {
                    let target = match part {
                        Part::Postgres => Target::Postgres,
                        _ => Target::Kafka,
                    };
                    self.metrics.retries.of(target).inc();
                    self.health.not_ready(part, reason);
                    self.retry_at = Instant::now() + RETRY;
                    return Ok(());
                }
            }
        }
        if self.rebalances > 0
            && !self.missing.is_suspected()
            && group.pending().is_empty()
            && self.flight.transacts()
            && self.is_reachable()
        {
            self.health.ready(Part::Kafka);
        }
        if self.rebalances > 0 && group.owned().is_empty() {
            // Nothing is asked of it then.
            self.health.ready(Part::Postgres);
        }
        Ok(())
    }

    /// Whether a broker answers; asked only while the probe says that none does.
    fn is_reachable(&mut self) -> bool {
        if !self.health.waiting_for().contains_key(&Part::Kafka) {
            self.unreached = None;
            return true;
        }
        if Instant::now() < self.retry_at {
            return false;
        }
        self.retry_at = Instant::now() + RETRY;
        let topic = self.decoders.keys().next().map(String::as_str);
        let is_reached = self.consumer.fetch_metadata(topic, REACH).is_ok();
        if is_reached {
            self.unreached = None;
        } else if self.unreached.get_or_insert_with(Instant::now).elapsed() >= LOST {
            self.reminder.remind(self.consumer.client());
        }
        is_reached
    }

    /// The next message, if one comes before there is something else to do.
    fn poll(&mut self) -> Result<Option<RawMessage>, PipelineError> {
        let wait = match self.collector.due_in(Instant::now()) {
            Some(left) => left.clamp(OVERDUE_POLL, POLL),
            None => POLL,
        };
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => {
                let group = self.consumer.context();
                let flows = group.flows(message.topic(), message.partition());
                let decoder = self.decoders.get(message.topic()).filter(|_| flows);
                Ok(decoder.map(|decoder| detach(&message, &decoder.topic)))
            }
            Some(Err(error)) => self.judge(error).map(|()| None),
        }
    }

    /// Tells what passes from what does not.
    fn judge(&mut self, error: KafkaError) -> Result<(), PipelineError> {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                self.missing.suspect();
                Ok(())
            }
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed,
            ) => Err(PipelineError::Input(format!(
                "Kafka refuses the right to it ({error}); allow this user to read the topics and to join the group {}",
                self.config.group
            ))),
            Some(Code::FencedInstanceId) => self.rejoin(),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                Err(PipelineError::Input(error.to_string()))
            }
            _ => {
                tracing::warn!("the consumer reports: {error}");
                Ok(())
            }
        }
    }

    /// Decodes a message and adds it to the chunk being collected.
    fn take(&mut self, raw: RawMessage, assignment: Assignment) {
        let Some(decoder) = self.decoders.get(&*raw.origin.topic) else {
            return;
        };
        match self.collector.place(&raw.origin) {
            Place::New => {}
            Place::Repeated => return,
            Place::Before => {
                tracing::warn!(
                    "{} came after messages behind it: all partitions are begun anew",
                    raw.origin
                );
                return self.begin_anew();
            }
        }
        let bytes = raw.payload.as_ref().map_or(0, bytes::Bytes::len);
        self.metrics
            .add_messages(&raw.origin.topic, 1, bytes as u64);
        self.collector
            .add(decoder.decode(raw), assignment, Instant::now());
    }

    /// Everything under way becomes void, and is read again from the committed offsets.
    fn begin_anew(&self) {
        self.flight.lose();
        self.consumer.context().restart();
    }

    fn flowing(&self) -> BTreeSet<TopicPartition> {
        let group = self.consumer.context();
        group
            .owned()
            .difference(&group.pending())
            .cloned()
            .collect()
    }

    fn pause(&self, partitions: &BTreeSet<TopicPartition>) -> Result<(), PipelineError> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.consumer
            .pause(&list_of(partitions))
            .map_err(|error| PipelineError::Input(error.to_string()))
    }
}
