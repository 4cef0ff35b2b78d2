//! Every metric, declared once with its help text. docs/metrics.md lists them, which a test holds.

mod declare;
mod labels;

use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus::{
    Encoder, Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, TextEncoder,
};

use crate::labels::LabelFault;
use crate::record::{DeadReason, TopicPartition};
pub use declare::{By, Label};
use declare::{Declarations, metrics};
pub use labels::{Abandoned, Stage, SwapEnd, Target, TrainingEnd};

/// From a millisecond, what a small batch takes, to a minute, when something is wrong.
const SECONDS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// As far as a backlog of a day.
const AGES: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0,
    86_400.0,
];

/// From the one message of a trickle to the largest chunk.
const SIZES: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0,
];

/// Tokens in a row of a batch.
const WIDTHS: &[f64] = &[
    8.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0, 192.0, 256.0, 384.0, 512.0,
];

metrics! {
    /// Messages read from Kafka, those read again after an abandoned chunk included.
    messages: IntCounterVec = "messages_total" by ["topic"];
    /// Bytes of the values read from Kafka.
    input_bytes: IntCounter = "input_bytes_total";
    /// Messages whose prediction was committed, by the label given to them.
    predictions: IntCounterVec = "predictions_total" by ["label"];
    /// Messages that were committed as dead letters, by reason.
    dead_letters: By<DeadReason, IntCounter> = "dead_letters_total" by ["reason"];
    /// Messages whose text was cut to what the model takes.
    truncated: IntCounter = "truncated_messages_total";

    /// Tokens the model has read, padding excluded.
    tokens: IntCounter = "tokens_total";
    /// Tokens of padding the model has read; the work that batching wastes.
    padding_tokens: IntCounter = "padding_tokens_total";
    /// Batches the model has scored.
    batches: IntCounter = "batches_total";
    /// Messages in a batch.
    batch_rows: Histogram = "batch_rows" in SIZES;
    /// Tokens in each row of a batch, padding included.
    batch_width: Histogram = "batch_width_tokens" in WIDTHS;

    /// Messages in a chunk, the unit of commit.
    chunk_messages: Histogram = "chunk_messages" in SIZES;
    /// Chunks that stand in Kafka and in Postgres.
    chunks_committed: IntCounter = "chunks_committed_total";
    /// Chunks given up and left to be read again, by reason.
    chunks_abandoned: By<Abandoned, IntCounter> = "chunks_abandoned_total" by ["reason"];
    /// Chunks between their first message and their commit.
    chunks_in_flight: IntGauge = "chunks_in_flight";

    /// Time that a chunk spends in each stage.
    stage_seconds: By<Stage, Histogram> = "stage_duration_seconds" by ["stage"] in SECONDS;
    /// Time that committing a Kafka transaction takes; part of the stage `kafka`.
    commit_seconds: Histogram = "kafka_commit_duration_seconds" in SECONDS;
    /// Time from the arrival of a chunk's first message to its commit.
    latency_seconds: Histogram = "chunk_latency_seconds" in SECONDS;
    /// Time from Kafka's own timestamp of a chunk's first message to its commit; after a backlog it says how old that was.
    age_seconds: Histogram = "message_age_seconds" in AGES;

    /// Messages of a partition that are not committed yet.
    lag_messages: IntGaugeVec = "consumer_lag_messages" by ["topic", "partition"];
    /// Time that the lag of all partitions takes at the present throughput.
    lag_seconds: Gauge = "consumer_lag_seconds";
    /// Partitions this instance reads now.
    assigned_partitions: IntGauge = "assigned_partitions";
    /// Times that the assignment of partitions has changed.
    rebalances: IntCounter = "rebalances_total";
    /// Attempts repeated because Kafka or Postgres was not available.
    retries: By<Target, IntCounter> = "retries_total" by ["target"];

    /// Attempts to let another model serve while the stream runs, by end (served, failed).
    model_swaps: By<SwapEnd, IntCounter> = "model_swaps_total" by ["end"];

    /// Windows of the feed that this instance has judged for drift, by verdict (ok, unknown, drift).
    drift_windows: IntCounterVec = "drift_windows_total" by ["verdict"];
    /// Drift alarms that are open, where this instance watches the feed.
    drift_alarms_open: IntGauge = "drift_alarms_open";
    /// Messages that came too late for the window of their event time and were counted in the one that was open.
    drift_late_messages: IntCounter = "drift_late_messages_total";
    /// 1 while this instance watches the feed for all, else 0.
    drift_leader: IntGauge = "drift_leader";
    /// Alerts on sentiment, by what has become of them (opened, updated, resolved), where this instance watches the feed.
    alert_events: IntCounterVec = "alert_events_total" by ["status"];
    /// Alerts that are open, where this instance watches the feed.
    alerts_open: IntGauge = "alerts_open";
    /// Series (sources, subjects, the whole) whose sentiment is watched, where this instance watches the feed.
    alert_series: IntGauge = "alert_series";
    /// Attempts to deliver a notice, by outcome (delivered, failed, in_doubt, given_up).
    deliveries: IntCounterVec = "deliveries_total" by ["outcome"];
    /// Labelled messages chosen by chance that this instance has put into the test on errors, by answer (right, wrong).
    drift_answers: IntCounterVec = "drift_answers_total" by ["answer"];
    /// Share of right answers among the labelled messages of the window that got labels last, where this instance has measured it.
    drift_accuracy: Gauge = "drift_measured_accuracy";
    /// Labels that this instance has read.
    labels: IntCounter = "labels_total";
    /// Records that are no labels and labels that cannot be used, by reason.
    labels_rejected: By<LabelFault, IntCounter> = "labels_rejected_total" by ["reason"];
    /// Messages that this instance has picked to be labelled, by how (random, uncertain).
    annotation_picks: IntCounterVec = "annotation_picks_total" by ["sampling"];
    /// Messages that annotators were given by HTTP.
    annotations_given: IntCounter = "annotations_given_total";
    /// Labels given by HTTP, by outcome (accepted, duplicate, rejected).
    labels_submitted: IntCounterVec = "labels_submitted_total" by ["outcome"];

    /// Trainings that this process has run, by end (done, stopped, failed).
    trainings: By<TrainingEnd, IntCounter> = "trainings_total" by ["end"];
    /// 1 while this process runs a training, else 0.
    training_running: IntGauge = "training_running";
    /// Share of its steps that the training of this process has done.
    training_progress: Gauge = "training_progress";
    /// 1 while this instance decides on trainings and rollouts for all, else 0.
    controller_leader: IntGauge = "controller_leader";
    /// Decisions on trainings that this instance has recorded, by action (launch, remedy, wait).
    training_decisions: IntCounterVec = "training_decisions_total" by ["action"];

    /// 1 while /readyz says that the service is ready, else 0.
    ready: IntGauge = "ready";
    /// 1, with the live model's version (the hash of its manifest), its folder's name and where it runs.
    model_info: IntGaugeVec = "model_info" by ["version", "name", "device"];
    /// 1, with the program's version.
    build_info: IntGaugeVec = "build_info" by ["version"];
    /// When the process started, in seconds since 1970.
    start_time: Gauge = "start_time_seconds";
}

/// All metrics of a process, in a registry of their own; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    families: Arc<Families>,
    declarations: Arc<Declarations>,
}

impl Deref for Metrics {
    type Target = Families;

    fn deref(&self) -> &Families {
        &self.families
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// The media type of [`Metrics::render`].
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut declarations = Declarations::default();
        let families = Families::declare(&mut declarations);
        let version = env!("CARGO_PKG_VERSION");
        families.build_info.with_label_values(&[version]).set(1);
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        families
            .start_time
            .set(started.unwrap_or_default().as_secs_f64());
        Self {
            families: Arc::new(families),
            declarations: Arc::new(declarations),
        }
    }

    /// Counts messages read from a topic, and the bytes of their values.
    pub fn add_messages(&self, topic: &str, messages: u64, bytes: u64) {
        self.messages.with_label_values(&[topic]).inc_by(messages);
        self.input_bytes.inc_by(bytes);
    }

    /// Counts committed predictions of a label.
    pub fn add_predictions(&self, label: &str, messages: u64) {
        self.predictions
            .with_label_values(&[label])
            .inc_by(messages);
    }

    /// Says which model is live, in place of whichever was.
    pub fn set_model(&self, version: &str, name: &str, device: &str) {
        self.model_info.reset();
        self.model_info
            .with_label_values(&[version, name, device])
            .set(1);
    }

    /// Sets the lag of a partition that this instance reads.
    pub fn set_lag(&self, partition: &TopicPartition, messages: u64) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.lag_messages
            .with_label_values(&[&*partition.topic, &partition.partition.to_string()])
            .set(messages);
    }

    /// Forgets the lag of a partition that went to another instance, which reports it from then on.
    pub fn forget_lag(&self, partition: &TopicPartition) {
        // It fails where there was no lag to forget.
        let _ = self
            .lag_messages
            .remove_label_values(&[&*partition.topic, &partition.partition.to_string()]);
    }

    /// Everything in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.declarations.registry.gather(), &mut text)
            .expect("a buffer in memory takes everything");
        String::from_utf8(text).expect("the format is UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition {
            topic: Arc::from("posts"),
            partition: number,
        }
    }

    #[test]
    fn the_documentation_lists_every_metric_as_it_is_declared() {
        let expected: String = Metrics::new()
            .declarations
            .inventory
            .iter()
            .map(|metric| metric.row())
            .collect();
        let listed: String = include_str!("../docs/metrics.md")
            .lines()
            .filter(|line| line.starts_with("| `tidewatch_"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(listed, expected, "docs/metrics.md should hold:\n{expected}");
    }

    #[test]
    fn names_follow_the_convention() {
        for metric in &Metrics::new().declarations.inventory {
            let name = &metric.name;
            assert_eq!(name.ends_with("_total"), metric.kind == "counter", "{name}");
            assert!(metric.help.ends_with('.'), "{name}: {}", metric.help);
        }
    }

    #[test]
    fn whatever_can_be_counted_stands_at_zero_before_it_happens() {
        let text = Metrics::new().render();
        for line in [
            "tidewatch_dead_letters_total{reason=\"tombstone\"} 0",
            "tidewatch_chunks_abandoned_total{reason=\"fenced\"} 0",
            "tidewatch_retries_total{target=\"postgres\"} 0",
            "tidewatch_stage_duration_seconds_count{stage=\"infer\"} 0",
            "tidewatch_tokens_total 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}:\n{text}");
        }
    }

    #[test]
    fn clones_share_their_values_and_two_instances_do_not() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.clone().dead_letters.of(DeadReason::NoText).inc_by(3);
        one.add_messages("posts", 1, 5);
        let line = "tidewatch_dead_letters_total{reason=\"no_text\"} 3";
        assert!(one.render().contains(line));
        assert!(
            one.render()
                .contains("tidewatch_messages_total{topic=\"posts\"} 1")
        );
        assert!(!other.render().contains(line));
    }

    #[test]
    fn a_partition_that_moved_away_and_a_model_that_was_replaced_leave_no_value() {
        let metrics = Metrics::new();
        metrics.set_lag(&partition(0), 7);
        metrics.set_lag(&partition(1), 8);
        metrics.forget_lag(&partition(1));
        metrics.set_model("aa", "old", "cpu");
        metrics.set_model("bb", "new", "cpu");
        let text = metrics.render();
        assert!(
            text.contains("tidewatch_consumer_lag_messages{partition=\"0\",topic=\"posts\"} 7")
        );
        assert!(!text.contains("partition=\"1\""));
        assert!(text.contains("version=\"bb\"") && !text.contains("version=\"aa\""));
    }
}
