//! A pipeline under torture: its topics, group, database and configuration, and how far it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, TopicPartitionList};
use tidewatch::model::manifest::Bundle;

use super::schedule::Header;
use super::servers::{Problem, again};

/// For each request.
const REQUEST: Duration = Duration::from_secs(5);
/// For requests that change something.
const ADMIN: Duration = Duration::from_secs(30);

/// One of the two.
pub struct Pipeline {
    pub name: &'static str,
    pub input: String,
    pub config: PathBuf,
    /// The URL of its database.
    pub database: String,
    program: PathBuf,
    bootstrap: String,
    group: String,
    results: String,
    dead_letters: String,
    /// The versions that may be champion, where a registry is followed.
    versions: Vec<String>,
}

/// How far a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Messages in the input.
    pub stored: u64,
    /// Of these, before the committed offsets.
    pub committed: u64,
}

impl Pipeline {
    /// Makes topics, configuration and schema.
    pub fn create(
        name: &'static str,
        program: &Path,
        bootstrap: &str,
        database: String,
        header: &Header,
        folder: &Path,
        models: &[PathBuf],
    ) -> Result<Self, Problem> {
        let mut pipeline = Self {
            name,
            input: format!("{name}.posts"),
            config: folder.join(format!("{name}.toml")),
            database,
            program: program.to_owned(),
            bootstrap: bootstrap.to_owned(),
            group: format!("{name}.group"),
            results: format!("{name}.results"),
            dead_letters: format!("{name}.dead"),
            versions: Vec::new(),
        };
        pipeline.create_topics(header)?;
        let mut text = pipeline.text(header, &models[0]);
        // Where there is one model only, none can take over from it.
        let is_registered = header.swaps && models.len() > 1;
        if is_registered {
            let depot = folder.join(format!("{name}-models"));
            text += &format!("\n[registry]\nurl = \"{}\"\n", depot.display());
        }
        fs::write(&pipeline.config, text).map_err(|error| error.to_string())?;
        again(|| pipeline.migrate())?;
        if is_registered {
            for model in models {
                let folder = model.to_string_lossy();
                pipeline.model(&["import", &folder])?;
                let bundle = Bundle::open(model).map_err(|error| error.to_string())?;
                pipeline.versions.push(bundle.version);
            }
            pipeline.promote(0)?;
        }
        Ok(pipeline)
    }

    /// Makes one of the models the champion.
    pub fn promote(&self, bundle: usize) -> Result<(), Problem> {
        self.model(&["promote", &self.versions[bundle], "--reason", "torture"])
    }

    fn model(&self, arguments: &[&str]) -> Result<(), Problem> {
        let mut command = Command::new(&self.program);
        command.arg("model").args(arguments);
        let output = command.arg("--config").arg(&self.config).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("tidewatch model {}: {said}", arguments.join(" ")))
    }

    fn migrate(&self) -> Result<(), Problem> {
        let migrate = self.command("migrate").output();
        let migrate = migrate.map_err(|error| error.to_string())?;
        if migrate.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&migrate.stderr);
        Err(format!("tidewatch migrate: {said}"))
    }

    fn text(&self, header: &Header, model: &Path) -> String {
        format!(
            r#"[kafka]
bootstrap_servers = "{bootstrap}"
group = "{group}"
static_membership = {static_membership}

[kafka.client]
"session.timeout.ms" = "6000"
"heartbeat.interval.ms" = "1000"
"partition.assignment.strategy" = "{strategy}"
"topic.metadata.refresh.interval.ms" = "5000"

[[input]]
topic = "{input}"

[output]
results = "{results}"
dead_letters = "{dead_letters}"

[batch]
max_tokens = 16384
tokenizer_threads = 1

[model]
path = "{model}"
device = "cpu"
threads = 1

[postgres]
url = "{database}"

[http]
listen = "127.0.0.1:0"

[log]
format = "json"
"#,
            bootstrap = self.bootstrap,
            group = self.group,
            static_membership = header.static_membership,
            strategy = header.strategy,
            input = self.input,
            results = self.results,
            dead_letters = self.dead_letters,
            model = model.display(),
            database = self.database,
        )
    }

    /// `tidewatch SUBCOMMAND --config …`.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(subcommand).arg("--config").arg(&self.config);
        command
    }

    /// Settings of a client.
    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.bootstrap)
            .set("topic.metadata.refresh.interval.ms", "5000");
        client
    }

    fn create_topics(&self, header: &Header) -> Result<(), Problem> {
        let replicas = i32::try_from(header.brokers.min(3)).expect("brokers are few");
        let topics: Vec<_> = [&self.input, &self.results, &self.dead_letters]
            .into_iter()
            .map(|name| {
                NewTopic::new(name, header.partitions, TopicReplication::Fixed(replicas))
                    .set("max.message.bytes", "10000000")
            })
            .collect();
        self.administer(async |admin, options| admin.create_topics(&topics, options).await)
    }

    /// Brings the input to so many partitions.
    pub fn grow(&self, partitions: i32) -> Result<(), Problem> {
        let to = usize::try_from(partitions).expect("partitions are few");
        let grown = NewPartitions::new(&self.input, to);
        self.administer(async |admin, options| admin.create_partitions([&grown], options).await)
    }

    fn administer(
        &self,
        work: impl AsyncFnOnce(
            &AdminClient<DefaultClientContext>,
            &AdminOptions,
        ) -> rdkafka::error::KafkaResult<
            Vec<Result<String, (String, rdkafka::error::RDKafkaErrorCode)>>,
        >,
    ) -> Result<(), Problem> {
        let admin = self
            .client()
            .create()
            .map_err(|error| format!("an admin client: {error}"))?;
        let options = AdminOptions::new()
            .request_timeout(Some(ADMIN))
            .operation_timeout(Some(ADMIN));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let results = runtime
            .block_on(work(&admin, &options))
            .map_err(|error| error.to_string())?;
        results.into_iter().try_for_each(|result| {
            result
                .map(drop)
                .map_err(|(topic, code)| format!("{topic}: {code}"))
        })
    }

    /// A consumer that only asks. `stable` waits for offsets of open transactions, as the service does.
    pub fn asker(&self, stable: bool) -> Result<BaseConsumer, Problem> {
        let isolation = if stable {
            "read_committed"
        } else {
            "read_uncommitted"
        };
        self.client()
            .set("group.id", &self.group)
            .set("isolation.level", isolation)
            .create()
            .map_err(|error| error.to_string())
    }

    fn partitions(&self, asker: &BaseConsumer) -> Result<Vec<i32>, Problem> {
        let metadata = asker
            .fetch_metadata(Some(&self.input), REQUEST)
            .map_err(|error| error.to_string())?;
        let topic = metadata.topics().first().ok_or("the input is not there")?;
        Ok(topic.partitions().iter().map(|part| part.id()).collect())
    }

    /// How many messages lie before the committed offsets.
    pub fn committed(&self, asker: &BaseConsumer) -> Result<u64, Problem> {
        let mut list = TopicPartitionList::new();
        for partition in self.partitions(asker)? {
            list.add_partition(&self.input, partition);
        }
        let committed = asker
            .committed_offsets(list, REQUEST)
            .map_err(|error| error.to_string())?;
        let mut sum = 0;
        for element in committed.elements() {
            element.error().map_err(|error| error.to_string())?;
            sum += element.offset().to_raw().unwrap_or(0).max(0).unsigned_abs();
        }
        Ok(sum)
    }

    /// How far the group is.
    pub fn progress(&self, asker: &BaseConsumer) -> Result<Progress, Problem> {
        let mut stored = 0;
        for partition in self.partitions(asker)? {
            let (_, high) = asker
                .fetch_watermarks(&self.input, partition, REQUEST)
                .map_err(|error| error.to_string())?;
            stored += high.unsigned_abs();
        }
        let committed = self.committed(asker)?;
        Ok(Progress { stored, committed })
    }
}
