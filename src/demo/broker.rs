//! The Kafka brokers a demo can bring along.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tempfile::TempDir;

use super::error::DemoError;
use crate::nearby::find_upwards;

/// A broker inside this process: librdkafka's own mock cluster.
///
/// It speaks the protocol, groups and transactions included, but it is no Kafka: it keeps at most
/// [`PARTITION_BYTES`] a partition and silently drops the oldest beyond that, and its transactions prove nothing (what an
/// aborted one wrote stays visible). Good for looking, not for judging guarantees.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

/// What the embedded broker keeps of a partition; librdkafka fixes it.
pub const PARTITION_BYTES: usize = 5 << 20;

impl EmbeddedBroker {
    /// Starts the broker; takes milliseconds.
    ///
    /// # Errors
    ///
    /// librdkafka cannot open its listening socket.
    pub fn start() -> Result<Self, DemoError> {
        let cluster = MockCluster::new(1).map_err(|source| DemoError::Kafka {
            what: "the embedded broker does not start",
            source,
        })?;
        Ok(Self { cluster })
    }

    /// `host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Creates a topic. (The mock does not answer the admin client.)
    ///
    /// # Errors
    ///
    /// The topic exists already.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), DemoError> {
        self.cluster
            .create_topic(topic, partitions, 1)
            .map_err(|error| DemoError::Topic {
                topic: topic.to_owned(),
                reason: error.to_string(),
            })
    }
}

/// A private Apache Kafka, started by the clone's `scripts/kafka`; dropping it stops the broker and removes its files.
#[derive(Debug)]
pub struct ApacheBroker {
    script: PathBuf,
    folder: TempDir,
    bootstrap: String,
}

impl ApacheBroker {
    /// Starts the broker; takes some ten seconds, and the first time a download.
    ///
    /// # Errors
    ///
    /// There is no clone around, or the script fails; what it says goes to standard error.
    pub fn start() -> Result<Self, DemoError> {
        let script = find_upwards("scripts/kafka").ok_or(DemoError::NoKafkaScript)?;
        let folder = tempfile::Builder::new()
            .prefix("tidewatch-kafka-")
            .tempdir()
            .map_err(|source| DemoError::Files {
                what: "create a folder in",
                path: std::env::temp_dir(),
                source,
            })?;
        let mut broker = Self {
            script,
            folder,
            bootstrap: String::new(),
        };
        broker.bootstrap = broker.run("start")?;
        Ok(broker)
    }

    /// `host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn run(&self, verb: &str) -> Result<String, DemoError> {
        let failed = |detail: String| DemoError::Program {
            program: format!("{} {verb}", self.script.display()),
            detail,
        };
        let output = Command::new(&self.script)
            .arg(verb)
            .arg(self.folder.path())
            // Ctrl-C in the terminal is for this process, which then stops the broker in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(output.status.to_string()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for ApacheBroker {
    fn drop(&mut self) {
        if let Err(error) = self.run("stop") {
            tracing::warn!(folder = %self.folder.path().display(), "the private Kafka did not stop: {error}");
        }
    }
}
